import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openByteSource, openParquet } from '../../parquet/index.ts'
import { sharedHub, sharedSuite } from '../shared.ts'
import { digestOf, readAll, readableColumns } from './values.ts'

const folder = join(import.meta.dirname, '../fixtures/parquet')
const expected = JSON.parse(readFileSync(join(folder, 'testing/expected.json'), 'utf8')) as Record<
  string,
  Record<string, [number, string]>
>
const corrupt = 'rle-dict-uncompressed-corrupt-checksum.parquet'

describe('files of other writers (apache/parquet-testing)', () => {
  test.each(Object.keys(expected).filter((name) => name !== corrupt))(
    '%s gives what pyarrow gives',
    async (name) => {
      const source = openByteSource(join(folder, 'testing', name), name)
      try {
        const file = await openParquet(source)
        const columns = readableColumns(file)
        for (const [column, [rows, digest]] of Object.entries(expected[name]!)) {
          const values = (await readAll(file, { [column]: columns[column]! })).map((row) =>
            JSON.stringify(row[column]),
          )
          const found = [values.length, createHash('sha256').update(values.join('\n')).digest('hex')]
          expect([column, ...found]).toEqual([column, rows, digest])
        }
      } finally {
        source.close()
      }
    },
  )

  test('a page that does not match its checksum is an error', async () => {
    const source = openByteSource(join(folder, 'testing', corrupt), corrupt)
    const file = await openParquet(source)
    await expect(readAll(file, { long_field: { kind: 'int' } })).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(/^rle-dict-.*row group 0, column "long_field": .*checksum/),
      retryable: false,
    })
    source.close()
  })

  test('an encrypted footer, and an encrypted column, are named as such', async () => {
    const whole = openByteSource(join(folder, 'testing/uniform_encryption.parquet.encrypted'), 'whole')
    await expect(openParquet(whole)).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: /whole: .*encrypted/,
    })
    whole.close()
    const part = openByteSource(
      join(folder, 'testing/encrypt_columns_plaintext_footer.parquet.encrypted'),
      'part',
    )
    const file = await openParquet(part)
    await expect(
      readAll(file, { int64_field: { kind: 'list', item: { kind: 'int' } } }),
    ).resolves.toHaveLength(50)
    part.close()
  })
})

const digests = JSON.parse(readFileSync(join(folder, 'hub-digests.json'), 'utf8')) as Record<string, string>

sharedSuite('real datasets through our Parquet reader', () => {
  test.each(Object.entries(digests))('%s equals pyarrow value for value', async (path, digest) => {
    const source = openByteSource(join(sharedHub, path), path)
    try {
      const file = await openParquet(source)
      expect(await digestOf(file, readableColumns(file))).toBe(digest)
    } finally {
      source.close()
    }
  })
})
