import { ShardmillError } from '../errors/index.ts'
import { assemble } from './assemble.ts'
import type { ByteSource } from './byte-source.ts'
import { codecName, type Decompress, loadCodec } from './codecs.ts'
import type { Column, ColumnBatch, ColumnType } from './columns.ts'
import { asBadFile, Damage, type Where } from './damage.ts'
import { elsewhereCodec, encryptedCodec, type Footer, type RowGroup, readFooter } from './footer.ts'
import { LeafReader, type LeafRows } from './leaf.ts'
import { leavesOf, type Plan, planColumns } from './plan.ts'
import { describeShape, type LeafShape } from './schema.ts'

export { type ByteSource, bytesSource, openByteSource } from './byte-source.ts'
export type * from './columns.ts'
export {
  type JsonLine,
  type JsonLineBatch,
  type JsonLinesOptions,
  type LineRange,
  readJsonLines,
  scanJsonLines,
} from './jsonl.ts'

/** A parquet file whose footer has been read and checked. */
export interface ParquetFile {
  readonly source: ByteSource
  readonly rows: number
  readonly rowGroups: readonly {
    readonly firstRow: number
    readonly rows: number
    /** Uncompressed size of all its columns, as the footer says. */
    readonly bytes: number
  }[]
  /** The columns with their types, as people write them: `list<struct<role: string, content: string>>`. */
  readonly schema: readonly { readonly name: string; readonly type: string }[]
  /** Known to this room only. */
  readonly footer: Footer
}

export interface ReadOptions {
  /** About how much data a batch holds (default 4 MiB): a column may exceed it by one row. */
  readonly batchBytes?: number
  /** At most so many rows in a batch (default and most 65,536). */
  readonly batchRows?: number
  /** A batch is good only until the next one is asked for; its memory is used again. */
  readonly reuse?: boolean
}

const defaultBatchBytes = 4 * 1024 * 1024
const maxBatchRows = 65536

/**
 * Reads the footer of a parquet file. Errors (BAD_FILE, naming the file): empty, cut off, not parquet, encrypted,
 * a footer that contradicts itself or the file's size.
 */
export async function openParquet(source: ByteSource): Promise<ParquetFile> {
  const footer = readFooter(source)
  return {
    source,
    rows: footer.rows,
    rowGroups: footer.rowGroups.map(({ firstRow, rows, bytes }) => ({ firstRow, rows, bytes })),
    schema: [...footer.root.fields].map(([name, shape]) => ({ name, type: describeShape(shape) })),
    footer,
  }
}

/** Throws what `readParquet` would throw for columns that are missing or of another type. */
export function checkColumns(file: ParquetFile, columns: Readonly<Record<string, ColumnType>>): void {
  planColumns(file.source.name, file.footer.root, columns)
}

/**
 * The rows of the row groups `from` to `to` (not included), in order, only the asked columns. No batch crosses a
 * row group. Values are those pyarrow gives; strings are UTF-8 bytes, and a row with one that is not is named in
 * the batch's `badRows`. At any time a page of each column, its dictionary and the batch are in memory, however
 * large the row group.
 *
 * Errors: NOT_FOUND for a missing column; BAD_FILE for one of another type, an unsupported codec, an integer beyond
 * 2^53 and every kind of damage, naming the file, the row group and the column.
 */
export async function* readParquet(
  file: ParquetFile,
  groups: { readonly from: number; readonly to: number },
  columns: Readonly<Record<string, ColumnType>>,
  options: ReadOptions = {},
): AsyncGenerator<ColumnBatch, void, void> {
  const { source, footer } = file
  const { from, to } = groups
  if (!(from >= 0 && from <= to && to <= footer.rowGroups.length)) {
    throw new TypeError(`row groups ${from} to ${to} of ${footer.rowGroups.length}`)
  }
  const plans = planColumns(source.name, footer.root, columns)
  for (let index = from; index < to; index++) {
    const group = footer.rowGroups[index]!
    if (group.rows > 0) yield* readGroup(source, group, index, plans, options)
  }
}

async function* readGroup(
  source: ByteSource,
  group: RowGroup,
  index: number,
  plans: ReadonlyMap<string, Plan>,
  options: ReadOptions,
): AsyncGenerator<ColumnBatch, void, void> {
  const where = { file: source.name, rowGroup: index }
  const readers = await openLeaves(source, group, where, plans, options.reuse ?? false)
  const batchBytes = Math.max(1, options.batchBytes ?? defaultBatchBytes)
  const batchRows = Math.max(1, Math.min(maxBatchRows, options.batchRows ?? maxBatchRows))
  const rowBytes =
    readers.reduce((sum, reader) => sum + group.chunks[reader.leaf.index]!.uncompressed, 0) / group.rows
  const target = Math.max(1, Math.min(batchRows, Math.floor(batchBytes / Math.max(rowBytes, 1))))
  for (let done = 0; done < group.rows; ) {
    for (const reader of readers) reader.takeBack()
    let rows = Math.min(target, group.rows - done)
    for (const reader of readers) {
      guard({ ...where, column: reader.leaf.path }, () => {
        reader.fill({ rows, bytes: batchBytes, slots: Math.max(maxBatchRows, batchBytes / 4) })
        if (reader.rows < rows && reader.ended && done + reader.rows < group.rows) {
          throw new Damage(`it has ${done + reader.rows} rows, its row group ${group.rows}`)
        }
      })
      // A column that reached its limit early sets the measure for the others; what they have more they keep.
      rows = Math.min(rows, reader.rows)
    }
    const leaves = new Map<number, LeafRows>(readers.map((reader) => [reader.leaf.index, reader.take(rows)]))
    const batchColumns: Record<string, Column> = {}
    const badRows = new Map<number, string>()
    for (const [name, plan] of plans) {
      const column = guard({ ...where, column: name }, () => assemble(plan, rows, leaves, badRows))
      Object.defineProperty(batchColumns, name, {
        value: column,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    yield {
      firstRow: group.firstRow + done,
      rows,
      columns: batchColumns,
      ...(badRows.size > 0 && { badRows }),
    }
    done += rows
  }
  for (const reader of readers) {
    guard({ ...where, column: reader.leaf.path }, () => {
      if (reader.rows > 0 || !reader.ended)
        throw new Damage(`it has more rows than its row group’s ${group.rows}`)
    })
    reader.close()
  }
}

/** A reader for each physical column, the largest first: it tells best how many rows make a batch. */
async function openLeaves(
  source: ByteSource,
  group: RowGroup,
  where: Where,
  plans: ReadonlyMap<string, Plan>,
  reuse: boolean,
): Promise<LeafReader[]> {
  const leaves = new Map<number, LeafShape>()
  for (const plan of plans.values()) for (const leaf of leavesOf(plan)) leaves.set(leaf.index, leaf)
  const readers: LeafReader[] = []
  for (const leaf of leaves.values()) {
    const decompress = await codecOf(group.chunks[leaf.index]!.codec, { ...where, column: leaf.path })
    readers.push(new LeafReader(source, group, leaf, decompress, reuse))
  }
  const size = (reader: LeafReader) => group.chunks[reader.leaf.index]!.uncompressed
  return readers.sort((a, b) => size(b) - size(a) || a.leaf.index - b.leaf.index)
}

async function codecOf(codec: number, where: Where): Promise<Decompress> {
  const decompress = await loadCodec(codec)
  if (decompress !== undefined) return decompress
  const why =
    codec === encryptedCodec
      ? 'it is encrypted, which is not supported.'
      : codec === elsewhereCodec
        ? 'its data are in another file, which is not supported.'
        : `its compression codec ${codecName(codec)} is not supported.`
  throw new ShardmillError('BAD_FILE', `row group ${where.rowGroup}, column "${where.column}": ${why}`, {
    at: { file: where.file },
    hint: 'Write the file again with one of: uncompressed, snappy, gzip, brotli, lz4, zstd.',
  })
}

function guard<T>(where: Where, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw asBadFile(error, where)
  }
}
