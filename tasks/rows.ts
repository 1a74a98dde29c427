/**
 * Single rows of a source, in any order, as conversations. Files are read a row group (parquet) or a run of lines at a
 * time; what was read last is kept, up to a limit.
 */
import { type Place, ShardmillError } from '../errors/index.ts'
import type { ColumnBatch, ColumnType } from '../parquet/columns.ts'
import {
  type ByteSource,
  checkColumns,
  type JsonLineBatch,
  openByteSource,
  openParquet,
  readJsonLines,
  readParquet,
  scanJsonLines,
} from '../parquet/index.ts'
import { batchOfObjects } from '../stages/object-columns.ts'
import { BadRow, type LinesSource, type TableSource } from '../stages/sources/define-source.ts'
import type { Json } from '../store/types.ts'
import { type Conversation, captureFrame, messagesOf } from './conversation.ts'

/** A file on this machine, and how errors call it. */
export interface RowFile {
  readonly path: string
  readonly name: string
  readonly reader: 'parquet' | 'jsonl'
}

export interface Rows {
  readonly count: number
  conversation(row: number): Promise<Conversation>
}

/** What a conversation holds beside its messages, and the columns it is read from. */
export interface Extras {
  columns(columns: Readonly<Record<string, ColumnType>>): Readonly<Record<string, ColumnType>>
  of(batch: ColumnBatch, i: number): Omit<Conversation, 'messages'>
}

/** Bytes of decoded rows that a task keeps. Most task tables are smaller as a whole. */
const keptBytes = 256 << 20
/** Of a file of JSON lines, read at once. */
const partBytes = 4 << 20

/** A run of rows that is read at once. */
interface Chunk<Batch> {
  readonly file: string
  readonly first: number
  readonly rows: number
  readonly bytes: number
  load(): Promise<Batch[]>
}

/** Rows of parquet or JSON-lines tables, the files one after the other. */
export async function openTable(
  source: TableSource<never>,
  identity: Json,
  files: readonly RowFile[],
  extras: Extras | undefined,
): Promise<Rows> {
  const own = source.columns(identity)
  const columns = extras === undefined ? own : extras.columns(own)
  const chunks: Omit<Chunk<TableBatch>, 'first'>[] = []
  for (const file of files) {
    const opened = byteSource(file)
    chunks.push(
      ...(file.reader === 'parquet'
        ? await parquetChunks(opened, columns)
        : tableLineChunks(opened, columns)),
    )
  }
  const write = source.rows(identity)
  return randomAccess(chunks, rowsOfTable, async ({ batch, lines }, i, file) => {
    const at = { file, ...(lines === undefined ? { row: batch.firstRow + i } : { line: lines[i]! }) }
    const broken = batch.badRows?.get(i)
    if (broken !== undefined) throw new ShardmillError('BAD_ROW', broken, { at })
    return atRow(at, async () => {
      const frame = await captureFrame((out) => write(batch, i, out))
      return { messages: messagesOf(frame), ...extras?.of(batch, i) }
    })
  })
}

/** Lines of a JSON-lines file, each parsed by itself. */
export async function openLines(source: LinesSource<never>, file: RowFile | undefined): Promise<Rows> {
  const chunks = file === undefined ? [] : lineChunks(byteSource(file), (batch) => batch)
  const rowsOf = (batch: JsonLineBatch) => batch.length
  return randomAccess(chunks, rowsOf, async (batch, i, name) => {
    const { line, value, error } = batch[i]!
    const at = { file: name, line }
    if (error !== undefined) throw new ShardmillError('BAD_ROW', error, { at })
    return atRow(at, async () => ({
      messages: messagesOf(await captureFrame((out) => source.line(value, out))),
    }))
  })
}

/** A bad row's error, with its place. */
async function atRow(at: Place, work: () => Promise<Conversation>): Promise<Conversation> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BadRow) throw new ShardmillError('BAD_ROW', error.message, { at })
    throw error
  }
}

interface TableBatch {
  readonly batch: ColumnBatch
  /** Of JSON lines: the number of each row's line. */
  readonly lines?: readonly number[]
}

const rowsOfTable = ({ batch }: TableBatch) => batch.rows

async function parquetChunks(
  source: ByteSource,
  columns: Readonly<Record<string, ColumnType>>,
): Promise<Omit<Chunk<TableBatch>, 'first'>[]> {
  const parquet = await openParquet(source)
  checkColumns(parquet, columns)
  return parquet.rowGroups.map(({ rows, bytes }, i) => ({
    file: source.name,
    rows,
    bytes,
    load: async () => {
      const batches: TableBatch[] = []
      for await (const batch of readParquet(parquet, { from: i, to: i + 1 }, columns)) batches.push({ batch })
      return batches
    },
  }))
}

function tableLineChunks(source: ByteSource, columns: Readonly<Record<string, ColumnType>>) {
  return lineChunks(
    source,
    (batch): TableBatch => ({
      batch: batchOfObjects(batch, columns),
      lines: batch.map(({ line }) => line),
    }),
  )
}

function lineChunks<Batch>(
  source: ByteSource,
  take: (batch: JsonLineBatch) => Batch,
): Omit<Chunk<Batch>, 'first'>[] {
  return scanJsonLines(source, partBytes).partitions.map((part) => ({
    file: source.name,
    rows: part.rows,
    bytes: part.end - part.start,
    load: async () => [...readJsonLines(source, part)].map(take),
  }))
}

/** Opened for every read, so that a task has nothing to close. */
function byteSource({ path, name }: RowFile): ByteSource {
  const first = openByteSource(path, name)
  const { size } = first
  first.close()
  return {
    name,
    size,
    read(offset, length) {
      const file = openByteSource(path, name)
      try {
        return file.read(offset, length)
      } finally {
        file.close()
      }
    },
  }
}

function randomAccess<Batch>(
  parts: readonly Omit<Chunk<Batch>, 'first'>[],
  rowsOf: (batch: Batch) => number,
  read: (batch: Batch, i: number, file: string) => Promise<Conversation>,
): Rows {
  let count = 0
  const chunks: Chunk<Batch>[] = parts.map((part) => {
    const first = count
    count += part.rows
    return { ...part, first }
  })
  /** By chunk; the one used last stands last. */
  const kept = new Map<Chunk<Batch>, Promise<Batch[]>>()
  const batchesOf = (chunk: Chunk<Batch>) => {
    const batches = kept.get(chunk) ?? chunk.load()
    kept.delete(chunk)
    kept.set(chunk, batches)
    let bytes = 0
    for (const { bytes: size } of kept.keys()) bytes += size
    for (const oldest of kept.keys()) {
      if (bytes <= keptBytes || oldest === chunk) break
      kept.delete(oldest)
      bytes -= oldest.bytes
    }
    batches.catch(() => kept.delete(chunk))
    return batches
  }
  return {
    count,
    async conversation(row) {
      const chunk = chunks[chunkAt(chunks, row)]!
      let at = row - chunk.first
      for (const batch of await batchesOf(chunk)) {
        const rows = rowsOf(batch)
        if (at < rows) return read(batch, at, chunk.file)
        at -= rows
      }
      throw new ShardmillError('BAD_FILE', `ended before row ${row}; did it change while it was read?`, {
        at: { file: chunk.file },
      })
    },
  }
}

/** The last chunk that begins at or before `row`; those without rows are passed over. */
function chunkAt(chunks: readonly { readonly first: number }[], row: number): number {
  let low = 0
  let high = chunks.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (chunks[middle]!.first <= row) low = middle
    else high = middle - 1
  }
  return low
}
