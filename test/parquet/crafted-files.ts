/** What the tests of crafted files share: a file of one column, and its values as our reader gives them. */
import type { ColumnType } from '../../parquet/columns.ts'
import { bytesSource, openParquet } from '../../parquet/index.ts'
import { type CraftedColumn, craft, string } from './craft.ts'
import { readAll } from './values.ts'

export const text_: ColumnType = { kind: 'string' }
export const strings: ColumnType = { kind: 'list', item: text_ }
/** How a file that is damaged, or lies, is refused. */
export const BAD = { name: 'ShardmillError', code: 'BAD_FILE', retryable: false }

export async function open(bytes: Uint8Array) {
  return openParquet(bytesSource(bytes, 'crafted.parquet'))
}

/** The values of the one column `x`. */
export async function valuesOf(bytes: Uint8Array, type: ColumnType = text_) {
  return (await readAll(await open(bytes), { x: type })).map((row) => row.x)
}

/** A file with the one column `x`, of so many rows. */
export function flat(pages: Uint8Array[], values: number, more: Partial<CraftedColumn> = {}) {
  return craft([string('x', 0)], 1, [{ rows: values, columns: [{ pages, values, ...more }] }])
}
