import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { NewFile } from '../../stages/new-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'shardmill-new-file-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const piece = 4 << 20

describe.each([
  ['past the page cache', true],
  ['through the page cache', false],
])('%s', (name, direct) => {
  test.each([0, 1, 4095, 4096, 4097, piece - 1, piece, piece + 1, 2 * piece + 12_345])(
    '%i bytes',
    async (size) => {
      const bytes = randomBytes(size)
      for (const chunk of [1 << 20, 1_000_003, 3 * piece]) {
        const path = join(folder, `${name}-${size}-${chunk}`)
        const file = await NewFile.create(path, direct)
        for (let at = 0; at < size; at += chunk) await file.write(bytes.subarray(at, at + chunk))
        await file.sync()
        await file.close()
        expect(readFileSync(path).equals(bytes)).toBe(true)
        expect(statSync(path).mode & 0o777).toBe(0o644 & ~process.umask())
      }
    },
  )

  test('several at a time do not share memory', async () => {
    const files = await Promise.all(
      [0, 1, 2].map(async (i) => ({
        path: join(folder, `${name}-several-${i}`),
        bytes: Buffer.alloc(piece + 5000 * i, i + 1),
        file: await NewFile.create(join(folder, `${name}-several-${i}`), direct),
      })),
    )
    for (let at = 0; at < 2 * piece; at += 700_000)
      await Promise.all(files.map(({ file, bytes }) => file.write(bytes.subarray(at, at + 700_000))))
    for (const { file } of files) await file.sync()
    for (const { file } of files) await file.close()
    for (const { path, bytes } of files) expect(readFileSync(path).equals(bytes)).toBe(true)
  })

  test('a file that is there stays as it is', async () => {
    const path = join(folder, `${name}-there`)
    writeFileSync(path, 'mine')
    await expect(NewFile.create(path, direct)).rejects.toMatchObject({ code: 'EEXIST' })
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })
})
