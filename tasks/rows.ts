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
import type { ConversationWriter } from '../stages/conversations.ts'
import { batchOfObjects } from '../stages/object-columns.ts'
import { BadRow, type LinesSource, type TableSource } from '../stages/sources/define-source.ts'
import type { Json } from '../store/types.ts'
import { type Conversation, writeRows } from './conversation.ts'

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

/** Bytes of rows, as they are in their files, of which a task keeps the conversations. Most tables are smaller. */
const keptBytes = 256 << 20
/** Of a file of JSON lines, read at once. */
const partBytes = 4 << 20
/** Generated conversations made at once, and about what one is. */
const itemsAtOnce = 256
const itemBytes = 1 << 10

/** Rows that were read at once. */
interface Batch {
  readonly rows: number
  conversation(i: number): Conversation
}

/** A run of rows that is read at once. */
interface Chunk {
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
  const write = source.rows(identity)
  const take = async (batch: ColumnBatch, placeOf: (i: number) => Place): Promise<Batch> => {
    const written = await writeRows(batch.rows, (i, out) => {
      const broken = batch.badRows?.get(i)
      if (broken !== undefined) throw new BadRow(broken)
      write(batch, i, out)
    })
    return {
      rows: batch.rows,
      conversation: (i) =>
        atRow(placeOf(i), () => ({ messages: written.messages(i), ...extras?.of(batch, i) })),
    }
  }
  const chunks: Chunk[] = []
  for (const file of files) {
    const opened = byteSource(file)
    if (file.reader === 'parquet') chunks.push(...(await parquetChunks(opened, columns, take)))
    else {
      const takeLines = (lines: JsonLineBatch) =>
        take(batchOfObjects(lines, columns), (i) => ({ file: file.name, line: lines[i]!.line }))
      chunks.push(...lineChunks(opened, takeLines))
    }
  }
  return randomAccess(chunks)
}

/** Lines of a JSON-lines file, each parsed by itself. */
export async function openLines(source: LinesSource<never>, file: RowFile | undefined): Promise<Rows> {
  if (file === undefined) return randomAccess([])
  const take = async (lines: JsonLineBatch): Promise<Batch> => {
    const written = await writeRows(lines.length, (i, out) => {
      const { value, error } = lines[i]!
      if (error !== undefined) throw new BadRow(error)
      source.line(value, out)
    })
    return {
      rows: lines.length,
      conversation: (i) =>
        atRow({ file: file.name, line: lines[i]!.line }, () => ({ messages: written.messages(i) })),
    }
  }
  return randomAccess(lineChunks(byteSource(file), take))
}

/** Conversations made from nothing but their number. */
export function openItems(count: number, write: (i: number, out: ConversationWriter) => void): Rows {
  const chunkOf = (first: number): Chunk => {
    const rows = Math.min(itemsAtOnce, count - first)
    return {
      rows,
      bytes: rows * itemBytes,
      load: async () => {
        const written = await writeRows(rows, (i, out) => write(first + i, out))
        return [{ rows, conversation: (i) => ({ messages: written.messages(i) }) }]
      },
    }
  }
  return cached(count, (row) => Math.floor(row / itemsAtOnce) * itemsAtOnce, chunkOf)
}

/** A bad row's error, with its place. */
function atRow(at: Place, make: () => Conversation): Conversation {
  try {
    return make()
  } catch (error) {
    if (error instanceof BadRow) throw new ShardmillError('BAD_ROW', error.message, { at })
    throw error
  }
}

async function parquetChunks(
  source: ByteSource,
  columns: Readonly<Record<string, ColumnType>>,
  take: (batch: ColumnBatch, placeOf: (i: number) => Place) => Promise<Batch>,
): Promise<Chunk[]> {
  const parquet = await openParquet(source)
  checkColumns(parquet, columns)
  return parquet.rowGroups.map(({ rows, bytes }, group) => ({
    rows,
    bytes,
    load: async () => {
      const batches: Batch[] = []
      for await (const batch of readParquet(parquet, { from: group, to: group + 1 }, columns))
        batches.push(await take(batch, (i) => ({ file: source.name, row: batch.firstRow + i })))
      return batches
    },
  }))
}

function lineChunks(source: ByteSource, take: (lines: JsonLineBatch) => Promise<Batch>): Chunk[] {
  return scanJsonLines(source, partBytes).partitions.map((part) => ({
    rows: part.rows,
    bytes: part.end - part.start,
    load: async () => {
      const batches: Batch[] = []
      for (const lines of readJsonLines(source, part)) batches.push(await take(lines))
      return batches
    },
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

function randomAccess(chunks: readonly Chunk[]): Rows {
  const firsts: number[] = []
  let count = 0
  for (const { rows } of chunks) {
    firsts.push(count)
    count += rows
  }
  const firstOf = (row: number) => firsts[lastAtMost(firsts, row)]!
  return cached(count, firstOf, (first) => chunks[lastAtMost(firsts, first)]!)
}

/** Single rows, of chunks that are known by their first row. What was read last is kept, up to a limit. */
function cached(count: number, firstOf: (row: number) => number, chunkOf: (first: number) => Chunk): Rows {
  /** By first row; the one used last stands last. */
  const kept = new Map<number, { readonly bytes: number; readonly batches: Promise<Batch[]> }>()
  const batchesAt = (first: number) => {
    let entry = kept.get(first)
    if (entry === undefined) {
      const chunk = chunkOf(first)
      entry = { bytes: chunk.bytes, batches: chunk.load() }
      entry.batches.catch(() => kept.delete(first))
    }
    kept.delete(first)
    kept.set(first, entry)
    let bytes = 0
    for (const { bytes: size } of kept.values()) bytes += size
    for (const [oldest, { bytes: size }] of kept) {
      if (bytes <= keptBytes || oldest === first) break
      kept.delete(oldest)
      bytes -= size
    }
    return entry.batches
  }
  return {
    count,
    async conversation(row) {
      const first = firstOf(row)
      let at = row - first
      for (const batch of await batchesAt(first)) {
        if (at < batch.rows) return batch.conversation(at)
        at -= batch.rows
      }
      throw new ShardmillError(
        'BAD_FILE',
        `the file ended before row ${row}; it has changed since it was opened`,
      )
    },
  }
}

/** The last of ascending numbers that is at most `value`. */
function lastAtMost(ascending: readonly number[], value: number): number {
  let low = 0
  let high = ascending.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (ascending[middle]! <= value) low = middle
    else high = middle - 1
  }
  return low
}
