/**
 * format: the rows of one partition → conversations.
 *
 * In:  a source file and its partitions, or nothing (generated sources), and the source's auxiliary files.
 * Out: one conversations blob, and the rows that were set aside (JSON lines with row, reason and, where short, the
 *      row itself).
 * Keeps: rows in = conversations + rows set aside. Whether a row set aside fails the build is the recipe's policy
 * and not this stage's: so neither changes the other's result.
 */
import type { ColumnBatch } from '../parquet/columns.ts'
import {
  type JsonLineBatch,
  openByteSource,
  openParquet,
  readJsonLines,
  readParquet,
} from '../parquet/index.ts'
import type { StageCall } from '../pipeline/stage.ts'
import type { Digest, Json, Store } from '../store/types.ts'
import { ConversationWriter } from './conversations.ts'
import { defineStage, fileName, input, paramsOf, type StageContext, together } from './define-stage.ts'
import { batchOfObjects } from './object-columns.ts'
import { Rejects } from './rejects.ts'
import type { LinesPartition, ParquetPartition } from './scan.ts'
import { BadRow, type GeneratedSource, type LinesSource, type TableSource } from './sources/define-source.ts'
import { sourceOf } from './sources/index.ts'

interface Params {
  readonly source: { readonly task: string; readonly version: number; readonly identity: Json }
  readonly reader?: 'parquet' | 'jsonl'
  readonly partition?: number
  readonly first?: number
  readonly items?: number
}

export const format = defineStage({
  name: 'format',
  async run(call, context) {
    const { store } = context
    const source = sourceOf(paramsOf<Params>(call).source.task)
    const blob = await store.createBlob()
    try {
      const out = new ConversationWriter(blob)
      const rejects = new Rejects(fileName(call))
      if (source.kind === 'generated') await formatItems(call, source, out, context)
      else await formatFile(call, source, out, rejects, context)
      const [conversations, rejected] = await together(
        out.commit(context.settling),
        store.putBlob(rejects.toBytes()),
      )
      return {
        outputs: { conversations, rejects: rejected },
        stats: {
          rows: out.rows,
          rejected: rejects.count,
          ...(rejects.first === undefined ? {} : { firstReject: rejects.first }),
        },
      }
    } finally {
      await blob.abort()
    }
  },
})

async function formatItems(
  call: StageCall,
  source: GeneratedSource<unknown>,
  out: ConversationWriter,
  { store, signal, progress }: StageContext,
): Promise<void> {
  const { source: locked, first = 0, items = 0 } = paramsOf<Params>(call)
  const write = await generatorOf(call, source, locked, store)
  for (let i = first; i < first + items; i++) {
    out.beginRow(i)
    write(i, out)
    out.endRow()
    if ((i & 255) === 255) {
      signal.throwIfAborted()
      await out.flushIfFull()
      progress.rows(256)
      progress.done(i + 1 - first, items)
    }
  }
}

/** Generators by what made them: the partitions that one thread works on share word lists and their order. */
const generators = new Map<string, Promise<(i: number, out: ConversationWriter) => void>>()
const mostKept = 4

async function generatorOf(
  call: StageCall,
  source: GeneratedSource<unknown>,
  locked: Params['source'],
  store: Store,
) {
  const key = JSON.stringify([locked, call.inputs])
  const known = generators.get(key)
  if (known !== undefined) return known
  const made = (async () => {
    const hints = call.hints as { aux?: Readonly<Record<string, string>> } | undefined
    const aux: Record<string, Uint8Array> = {}
    for (const name of Object.keys(call.inputs)) aux[name] = await auxBytes(input(call, name), store)
    return source.generator(locked.identity, aux, hints?.aux ?? {})
  })()
  if (generators.size >= mostKept) generators.delete(generators.keys().next().value as string)
  generators.set(key, made)
  made.catch(() => generators.delete(key))
  return made
}

/** One copy of each auxiliary file a thread, so that what is parsed from it (see sources/) is shared as well. */
const auxFiles = new Map<Digest, Promise<Uint8Array>>()

function auxBytes(digest: Digest, store: Store): Promise<Uint8Array> {
  const known = auxFiles.get(digest)
  if (known !== undefined) return known
  const read = store.readBlobBytes(digest)
  if (auxFiles.size >= mostKept) auxFiles.delete(auxFiles.keys().next().value as Digest)
  auxFiles.set(digest, read)
  read.catch(() => auxFiles.delete(digest))
  return read
}

type WriteRow = ReturnType<TableSource<unknown>['rows']>

/** Row functions by what made them: a function that is made anew for each partition is also compiled anew. */
const rowFunctions = new Map<string, WriteRow>()

function rowFunctionOf(source: TableSource<unknown>, identity: Json): WriteRow {
  const key = JSON.stringify([source.task, identity])
  let write = rowFunctions.get(key)
  if (write === undefined) {
    if (rowFunctions.size >= mostKept) rowFunctions.clear()
    write = source.rows(identity)
    rowFunctions.set(key, write)
  }
  return write
}

/** Where a row came from, as errors and lists of rejects say it. */
type Place = { readonly row: number } | { readonly line: number }

/** Writes rows, and sets aside those that a source refuses. */
class RowWriter {
  readonly out: ConversationWriter
  readonly rejects: Rejects

  constructor(out: ConversationWriter, rejects: Rejects) {
    this.out = out
    this.rejects = rejects
  }

  /** Lines that were parsed, each by itself. */
  async lines(batch: JsonLineBatch, source: LinesSource<unknown>): Promise<void> {
    for (const { line, value, error } of batch) {
      if (error !== undefined) this.rejects.add({ line }, error, undefined)
      else {
        this.out.beginRow(line)
        try {
          source.line(value, this.out)
          this.out.endRow()
        } catch (refusal) {
          this.refuse(refusal, { line }, value)
        }
      }
      await this.out.flushIfFull()
    }
  }

  /** A table's rows; `lines` are their places in a file of JSON lines. */
  async table(batch: ColumnBatch, write: WriteRow, lines?: readonly number[]): Promise<void> {
    const { out } = this
    for (let i = 0; i < batch.rows; i++) {
      const row = lines === undefined ? batch.firstRow + i : lines[i]!
      const broken = batch.badRows?.get(i)
      if (broken !== undefined) this.rejects.add(placeOf(row, lines), broken, undefined)
      else {
        out.beginRow(row)
        try {
          write(batch, i, out)
          out.endRow()
        } catch (refusal) {
          this.refuse(refusal, placeOf(row, lines), undefined)
        }
      }
      if ((i & 63) === 63) await out.flushIfFull()
    }
    await out.flushIfFull()
  }

  private refuse(error: unknown, at: Place, value: unknown): void {
    if (!(error instanceof BadRow)) throw error
    this.out.dropRow()
    this.rejects.add(at, error.message, value, error.hint)
  }
}

function placeOf(row: number, lines: readonly number[] | undefined): Place {
  return lines === undefined ? { row } : { line: row }
}

async function formatFile(
  call: StageCall,
  source: TableSource<unknown> | LinesSource<unknown>,
  out: ConversationWriter,
  rejects: Rejects,
  { store, signal, progress }: StageContext,
): Promise<void> {
  const { source: locked, reader, partition = 0 } = paramsOf<Params>(call)
  const { partitions } = JSON.parse(
    Buffer.from(await store.readBlobBytes(input(call, 'partitions'))).toString(),
  ) as { partitions: (ParquetPartition & LinesPartition)[] }
  const range = partitions[partition]
  if (range === undefined) throw new TypeError(`no partition ${partition}`)
  const digest = input(call, 'file')
  const file = openByteSource(await store.localFile(digest), fileName(call))
  const rows = new RowWriter(out, rejects)
  try {
    if (source.kind === 'lines') {
      for (const batch of readJsonLines(file, range)) {
        signal.throwIfAborted()
        await rows.lines(batch, source)
        progress.rows(batch.length)
      }
      return
    }
    const columns = source.columns(locked.identity)
    const write = rowFunctionOf(source, locked.identity)
    const written = (batch: ColumnBatch) => {
      progress.rows(batch.rows)
      progress.done(out.rows)
    }
    if (reader === 'parquet') {
      const groups = { from: range.from, to: range.to }
      for await (const batch of readParquet(await openParquet(file), groups, columns, { reuse: true })) {
        signal.throwIfAborted()
        await rows.table(batch, write)
        written(batch)
      }
    } else {
      for (const lines of readJsonLines(file, range)) {
        signal.throwIfAborted()
        const batch = batchOfObjects(lines, columns)
        await rows.table(
          batch,
          write,
          lines.map(({ line }) => line),
        )
        written(batch)
      }
    }
  } finally {
    file.close()
  }
}
