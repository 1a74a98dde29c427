import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { describe, expect, test } from 'vitest'
import { bytesSource, openParquet } from '../../parquet/index.ts'
import { readAll, readableColumns, type Value } from './values.ts'

const folder = join(import.meta.dirname, '../fixtures/parquet')
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.parquet'))
  .map((name) => name.slice(0, -'.parquet'.length))
const notForValues = new Set(['bad-utf8', 'wrong-types'])

type Expected = Record<string, Value>[] | { like: string } | { rows: number; sha256: string }

function expected(name: string): Expected {
  const read = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Expected
  return 'like' in read ? expected(read.like) : read
}

function load(name: string) {
  return openParquet(
    bytesSource(new Uint8Array(readFileSync(join(folder, `${name}.parquet`))), `${name}.parquet`),
  )
}

/** Only what is asked for, as pyarrow's rows hold columns that this reader does not read. */
function pick(row: Record<string, Value>, columns: Record<string, unknown>): Record<string, Value> {
  return Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]!]))
}

function compare(rows: Record<string, Value>[], name: string, columns: Record<string, unknown>): void {
  const want = expected(name)
  if (Array.isArray(want)) {
    expect(rows).toEqual(want.map((row) => pick(row, columns)))
    return
  }
  if (!('sha256' in want)) throw new Error(`${name}.json holds neither rows nor their digest`)
  const hash = createHash('sha256')
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`)
  expect({ rows: rows.length, sha256: hash.digest('hex') }).toEqual(want)
}

test('there are fixtures of every kind', () => {
  expect(names.length).toBeGreaterThan(55)
  for (const writer of ['codec-', 'duckdb-', 'polars-', 'delta-', 'integers', 'nested']) {
    expect(names.filter((name) => name.startsWith(writer)).length).toBeGreaterThan(1)
  }
})

describe.each(names.filter((name) => !notForValues.has(name)))('%s', (name) => {
  test('gives what pyarrow gives', async () => {
    const file = await load(name)
    const columns = readableColumns(file)
    expect(Object.keys(columns).length).toBeGreaterThan(0)
    compare(await readAll(file, columns), name, columns)
  })

  test('gives the same in memory that is used again', async () => {
    const file = await load(name)
    const columns = readableColumns(file)
    compare(await readAll(file, columns, { reuse: true }), name, columns)
    compare(await readAll(file, columns, { reuse: true, batchRows: 7 }), name, columns)
  })

  test('gives the same in batches of a few bytes or rows', async () => {
    const file = await load(name)
    const columns = readableColumns(file)
    compare(await readAll(file, columns, { batchBytes: 200 }), name, columns)
    compare(await readAll(file, columns, { batchRows: 3, batchBytes: 100_000 }), name, columns)
  })

  test('gives the same column by column, and any run of row groups by itself', async () => {
    const file = await load(name)
    const columns = readableColumns(file)
    const all = await readAll(file, columns)
    for (const [column, type] of Object.entries(columns)) {
      expect(await readAll(file, { [column]: type })).toEqual(all.map((row) => pick(row, { [column]: type })))
    }
    const groups = file.rowGroups
    expect(groups.reduce((sum, group) => sum + group.rows, 0)).toBe(all.length)
    expect(file.rows).toBe(all.length)
  })
})

// Its own conversion drops a leading byte order mark, and parses JSON.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const text = (value: Uint8Array | undefined) => value && decoder.decode(value)

// hyparquet reads them by other code: what both say is unlikely to be the fixture's own mistake.
test.each(names.filter((name) => !notForValues.has(name)))(
  'hyparquet reads the same from %s',
  async (name) => {
    const bytes = new Uint8Array(readFileSync(join(folder, `${name}.parquet`)))
    const file = await load(name)
    const columns = Object.keys(readableColumns(file))
    const theirs = await parquetReadObjects({
      file: { byteLength: bytes.length, slice: (start, end) => bytes.slice(start, end).buffer },
      columns,
      compressors,
      parsers: { stringFromBytes: text, jsonFromBytes: text },
    })
    expect(plain(await readAll(file, readableColumns(file)))).toEqual(plain(theirs))
  },
)

/** undefined as null, bigints as numbers. */
function plain(value: unknown): unknown {
  if (value === undefined || value === null) return null
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as ArrayLike<unknown>, plain)
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
  }
  return value
}
