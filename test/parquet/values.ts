/** Columns as plain values, for comparing; and the types that a file's columns can be read as. */
import { createHash } from 'node:crypto'
import type { Column, ColumnBatch, ColumnType } from '../../parquet/columns.ts'
import type { ParquetFile, ReadOptions } from '../../parquet/index.ts'
import { readParquet } from '../../parquet/index.ts'
import type { Shape } from '../../parquet/schema.ts'

export type Value = string | number | null | Value[] | { [name: string]: Value }

export function valueAt(column: Column, i: number): Value {
  if (column.valid !== undefined && column.valid[i] === 0) return null
  switch (column.kind) {
    case 'int':
      return column.values[i]!
    case 'string':
      return Buffer.from(column.bytes.subarray(column.offsets[i]!, column.offsets[i + 1]!)).toString('utf8')
    case 'list': {
      const items: Value[] = []
      for (let k = column.offsets[i]!; k < column.offsets[i + 1]!; k++) items.push(valueAt(column.item, k))
      return items
    }
    case 'struct':
      return Object.fromEntries(
        Object.entries(column.fields).map(([name, field]) => [name, valueAt(field, i)]),
      )
  }
}

export function rowsOf(batch: ColumnBatch): Record<string, Value>[] {
  return Array.from({ length: batch.rows }, (_, i) =>
    Object.fromEntries(Object.entries(batch.columns).map(([name, column]) => [name, valueAt(column, i)])),
  )
}

/** All of a file's rows. Checks on the way that batches are numbered without a gap. */
export async function readAll(
  file: ParquetFile,
  columns: Record<string, ColumnType>,
  options: ReadOptions = {},
): Promise<Record<string, Value>[]> {
  const rows: Record<string, Value>[] = []
  for await (const batch of readParquet(file, { from: 0, to: file.rowGroups.length }, columns, options)) {
    if (batch.firstRow !== rows.length)
      throw new Error(`a batch starts at ${batch.firstRow}, not ${rows.length}`)
    for (const row of rowsOf(batch)) rows.push(row)
  }
  return rows
}

/** sha256 of the rows as compact JSON, one per line: what fixtures/parquet/make.py writes for pyarrow's values. */
export async function digestOf(file: ParquetFile, columns: Record<string, ColumnType>): Promise<string> {
  const hash = createHash('sha256')
  const groups = { from: 0, to: file.rowGroups.length }
  for await (const batch of readParquet(file, groups, columns, { reuse: true })) {
    for (const row of rowsOf(batch)) hash.update(`${JSON.stringify(row)}\n`)
  }
  return hash.digest('hex')
}

/** The columns of a file that this reader can read, with their types. */
export function readableColumns(file: ParquetFile): Record<string, ColumnType> {
  const columns: Record<string, ColumnType> = {}
  for (const [name, shape] of file.footer.root.fields) {
    const type = typeOf(shape)
    if (type !== undefined) columns[name] = type
  }
  return columns
}

function typeOf(shape: Shape): ColumnType | undefined {
  if (shape.kind === 'leaf') {
    if (shape.type === 'other') return undefined
    return { kind: shape.type === 'int' ? 'int' : 'string' }
  }
  if (shape.kind === 'list') {
    const item = typeOf(shape.item)
    return item && { kind: 'list', item }
  }
  if (shape.map) return undefined
  const fields: Record<string, ColumnType> = {}
  for (const [name, field] of shape.fields) {
    const type = typeOf(field)
    if (type !== undefined) fields[name] = type
  }
  return Object.keys(fields).length === 0 ? undefined : { kind: 'struct', fields }
}
