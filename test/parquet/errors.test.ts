import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { ColumnType } from '../../parquet/columns.ts'
import {
  type ByteSource,
  bytesSource,
  checkColumns,
  openByteSource,
  openParquet,
  readParquet,
} from '../../parquet/index.ts'
import { craft, dataPage, plain, string, u32 } from './craft.ts'
import { readAll, rowsOf } from './values.ts'

const folder = join(import.meta.dirname, '../fixtures/parquet')
const load = (name: string) => new Uint8Array(readFileSync(join(folder, `${name}.parquet`)))
const open = (bytes: Uint8Array, name = 'data/train.parquet') => openParquet(bytesSource(bytes, name))
const text: ColumnType = { kind: 'string' }
const int: ColumnType = { kind: 'int' }

describe('files that are no parquet files', () => {
  const good = load('codec-snappy')
  const cut = (end: number) => good.slice(0, end)
  const withFooterLength = (length: number) =>
    Buffer.concat([good.subarray(0, -8), u32(length), Buffer.from('PAR1')])

  test.each<[string, Uint8Array, RegExp]>([
    ['of no bytes', cut(0), /is empty \(0 bytes\)/],
    ['of four bytes', cut(4), /only 4 bytes/],
    ['cut off', cut(good.length - 1), /cut off/],
    ['cut off in the middle', cut(good.length >> 1), /cut off/],
    ['of text', Buffer.from('{"messages": []}\n'.repeat(20)), /no parquet file/],
    ['without a beginning', good.slice(100), /does not begin with "PAR1"/],
    ['with an encrypted footer', Buffer.concat([good.subarray(0, -4), Buffer.from('PARE')]), /encrypted/],
    [
      'with a footer longer than the file',
      withFooterLength(2 ** 32 - 1),
      /footer says it is 4294967295 bytes/,
    ],
    ['with a footer that starts elsewhere', withFooterLength(100), /./],
    ['with a footer of no bytes', withFooterLength(0), /ends early/],
  ])('%s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toMatchObject({
      name: 'ShardmillError',
      code: 'BAD_FILE',
      retryable: false,
      at: { file: 'data/train.parquet' },
      message: expect.stringMatching(message),
      hint: expect.any(String),
    })
  })

  test('the footer is read in a few pieces, however large', async () => {
    const big = craft(
      [string('x', 0)],
      1,
      Array.from({ length: 5000 }, () => ({ rows: 0, columns: [{ pages: [], values: 0 }] })),
    )
    const reads: number[] = []
    const source = bytesSource(big, 'big')
    const read = (at: number, length: number) => {
      reads.push(length)
      return source.read(at, length)
    }
    const file = await openParquet({ ...source, read })
    expect(file.rowGroups.length).toBe(5000)
    expect(reads.length).toBeLessThan(4)
  })
})

describe('columns', () => {
  test('a missing column: which, of what type, in which file, and what there is instead', async () => {
    const file = await open(load('codec-snappy'))
    const missing = { conversation: { kind: 'list', item: text } } as const
    const expected = {
      code: 'NOT_FOUND',
      retryable: false,
      message:
        'data/train.parquet: column "conversation" (list<string>) is missing. There are: id, text, source, score, tags, numbers, messages, meta.',
      details: expect.objectContaining({ column: 'conversation' }),
    }
    expect(() => checkColumns(file, missing)).toThrow(expect.objectContaining(expected))
    await expect(readAll(file, missing)).rejects.toMatchObject(expected)
  })

  test('a missing field of a struct', async () => {
    const file = await open(load('codec-snappy'))
    const type: ColumnType = { kind: 'list', item: { kind: 'struct', fields: { from: text } } }
    await expect(readAll(file, { messages: type })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message:
        'data/train.parquet: column "messages" has no field "from" (string). There are: role, content.',
    })
  })

  test.each<[string, string, ColumnType, string]>([
    ['codec-snappy', 'text', int, 'column "text" is string, but int was expected.'],
    ['codec-snappy', 'id', text, 'column "id" is int64, but string was expected.'],
    [
      'codec-snappy',
      'messages',
      text,
      'column "messages" is list<struct<role: string, content: string>>, but string was expected.',
    ],
    [
      'codec-snappy',
      'text',
      { kind: 'list', item: { kind: 'struct', fields: { role: text, content: text } } },
      'column "text" is string, but list<struct<role: string, content: string>> was expected.',
    ],
    [
      'codec-snappy',
      'messages',
      { kind: 'list', item: { kind: 'struct', fields: { content: int } } },
      'column "messages.content" is string, but int was expected.',
    ],
    ['wrong-types', 'binary', text, 'column "binary" is binary, but string was expected.'],
    ['wrong-types', 'fixed', text, 'column "fixed" is fixed_size_binary, but string was expected.'],
    ['wrong-types', 'when', int, 'column "when" is timestamp, but int was expected.'],
    ['wrong-types', 'day', int, 'column "day" is date, but int was expected.'],
    ['wrong-types', 'decimal', int, 'column "decimal" is decimal, but int was expected.'],
    ['other-types', 'double', int, 'column "double" is double, but int was expected.'],
    ['other-types', 'bool', int, 'column "bool" is bool, but int was expected.'],
    [
      'other-types',
      'map',
      { kind: 'struct', fields: { key_value: text } },
      'column "map" is map, but struct<key_value: string> was expected.',
    ],
  ])('%s: %s as another type', async (name, column, type, message) => {
    const file = await open(load(name))
    await expect(readAll(file, { [column]: type })).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: `data/train.parquet: ${message}`,
      hint: expect.any(String),
    })
  })

  test.each(['big', 'ubig'])('an integer beyond 2^53 (%s)', async (column) => {
    await expect(readAll(await open(load('wrong-types')), { [column]: int })).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(/row group 0, column "u?big": it has an integer beyond 2\^53/),
    })
  })

  test('the types of all columns, as people write them', async () => {
    const { schema, rows, rowGroups } = await open(load('codec-snappy'))
    expect(schema).toEqual([
      { name: 'id', type: 'int64' },
      { name: 'text', type: 'string' },
      { name: 'source', type: 'string' },
      { name: 'score', type: 'int32' },
      { name: 'tags', type: 'list<string>' },
      { name: 'numbers', type: 'list<int64>' },
      { name: 'messages', type: 'list<struct<role: string, content: string>>' },
      { name: 'meta', type: 'struct<lang: string, deep: struct<n: int32, list: list<string>>>' },
    ])
    expect(rows).toBe(60)
    expect(rowGroups).toEqual([{ firstRow: 0, rows: 60, bytes: expect.any(Number) }])
    expect(rowGroups[0]!.bytes).toBeGreaterThan(5000)
  })
})

describe('strings that are not UTF-8', () => {
  test('their rows are named, the others are as they were, and the columns stay valid', async () => {
    const file = await open(load('bad-utf8'))
    const batches = []
    for await (const batch of readParquet(file, { from: 0, to: 1 }, { text, n: int })) batches.push(batch)
    expect(batches.length).toBe(1)
    expect([...batches[0]!.badRows!]).toEqual([
      [1, '"text" is not valid UTF-8.'],
      [2, '"text" is not valid UTF-8.'],
      [3, '"text" is not valid UTF-8.'],
    ])
    expect(rowsOf(batches[0]!).map((row) => row.text)).toEqual([
      'fine',
      '??????????',
      '??????',
      '???????????????',
      null,
      'also fine',
    ])
    expect(rowsOf(batches[0]!).map((row) => row.n)).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('also within lists, and in batches of one row', async () => {
    const file = await open(load('bad-utf8'))
    const list: ColumnType = { kind: 'list', item: text }
    const bad: number[] = []
    for await (const batch of readParquet(file, { from: 0, to: 1 }, { list }))
      bad.push(...(batch.badRows ?? new Map()).keys())
    expect(bad).toEqual([1])
    const single: number[] = []
    for await (const batch of readParquet(file, { from: 0, to: 1 }, { list }, { batchRows: 1 })) {
      if (batch.badRows !== undefined) single.push(batch.firstRow)
    }
    expect(single).toEqual([1])
  })

  test('a character cut in two by a value’s border is no character', async () => {
    const pages = [dataPage(2, plain(Uint8Array.of(0xc3), Uint8Array.of(0xa9)))]
    const file = await open(craft([string('x', 0)], 1, [{ rows: 2, columns: [{ pages, values: 2 }] }]))
    for await (const batch of readParquet(file, { from: 0, to: 1 }, { x: text })) {
      expect([...batch.badRows!.keys()]).toEqual([0, 1])
    }
    expect((await readAll(file, { x: text })).map((row) => row.x)).toEqual(['?', '?'])
  })
})

describe('files on disk', () => {
  const temporary = mkdtempSync(join(tmpdir(), 'shardmill-parquet-'))
  afterAll(() => rmSync(temporary, { recursive: true }))

  test('are known by the name given, not by their path', async () => {
    expect(() => openByteSource(join(temporary, 'none'), 'org/data/train.parquet')).toThrow(
      expect.objectContaining({
        code: 'NOT_FOUND',
        message: 'org/data/train.parquet: the file does not exist.',
      }),
    )
    expect(() => openByteSource(temporary, 'a folder')).toThrow(expect.objectContaining({ code: 'BAD_FILE' }))
  })

  test('a file that shrinks while it is read is an error', async () => {
    const path = join(temporary, 'shrinks.parquet')
    writeFileSync(path, load('codec-snappy'))
    const source = openByteSource(path, 'shrinks')
    const file = await openParquet(source)
    writeFileSync(path, load('codec-snappy').slice(0, 100))
    await expect(readAll(file, { text })).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: /shrinks: the file ends at/,
    })
    source.close()
    source.close()
  })
})

/** One row group of about `size` bytes, made as it is read: the same two pages over and over. */
function endless(size: number): { source: ByteSource; pages: number } {
  const values = Array.from({ length: 2000 }, (_, i) => `${i} `.repeat(120))
  const page = dataPage(values.length, plain(...values))
  const pages = Math.floor(size / page.length)
  const column = {
    pages: [page],
    values: values.length * pages,
    meta: { 7: { i: page.length * pages }, 6: { i: page.length * pages } },
  }
  const small = craft([string('x', 0)], 1, [{ rows: values.length * pages, columns: [column] }])
  const tail = small.subarray(4 + page.length)
  const dataEnd = 4 + page.length * pages
  const source: ByteSource = {
    name: 'endless',
    size: dataEnd + tail.length,
    read(offset, length) {
      const bytes = new Uint8Array(length)
      for (let done = 0; done < length; ) {
        const at = offset + done
        const from =
          at < 4
            ? small.subarray(at, 4)
            : at < dataEnd
              ? page.subarray((at - 4) % page.length)
              : tail.subarray(at - dataEnd)
        const part = from.subarray(0, length - done)
        bytes.set(part, done)
        done += part.length
      }
      return bytes
    },
  }
  return { source, pages }
}

test('a row group of a gigabyte is read in the memory of a page and a batch', async () => {
  const { source, pages } = endless(2 ** 30)
  const file = await openParquet(source)
  expect(file.rows).toBe(2000 * pages)
  let rows = 0
  let largest = 0
  const before = process.memoryUsage().rss
  for await (const batch of readParquet(file, { from: 0, to: 1 }, { x: text })) {
    const column = batch.columns.x!
    if (column.kind !== 'string') throw new Error('not a string column')
    rows += batch.rows
    largest = Math.max(largest, column.bytes.byteLength)
  }
  expect(rows).toBe(file.rows)
  expect(largest).toBeLessThan(6 * 2 ** 20)
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20)
})
