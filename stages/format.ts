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
import { openByteSource, openParquet, readJsonLines, readParquet } from '../parquet/index.ts'
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
const mostGenerators = 4

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
  if (generators.size >= mostGenerators) generators.delete(generators.keys().next().value as string)
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
  if (auxFiles.size >= mostGenerators) auxFiles.delete(auxFiles.keys().next().value as Digest)
  auxFiles.set(digest, read)
  read.catch(() => auxFiles.delete(digest))
  return read
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
  try {
    if (source.kind === 'lines') {
      await eachBatch(
        readJsonLines(file, range),
        async (batch) => {
          for (const { line, value, error } of batch) {
            if (error !== undefined) rejects.add({ line }, error, undefined)
            else
              writeRow(
                line,
                { line },
                () => source.line(value, out),
                () => value,
                out,
                rejects,
              )
            await out.flushIfFull()
          }
          progress.rows(batch.length)
        },
        signal,
      )
      return
    }
    const columns = source.columns(locked.identity)
    const write = source.rows(locked.identity)
    const writeBatch = async (batch: ColumnBatch, lines?: readonly number[]) => {
      for (let i = 0; i < batch.rows; i++) {
        const row = batch.firstRow + i
        const at = lines === undefined ? { row } : { line: lines[i]! }
        const broken = batch.badRows?.get(i)
        if (broken !== undefined) rejects.add(at, broken, undefined)
        else
          writeRow(
            lines === undefined ? row : lines[i]!,
            at,
            () => write(batch, i, out),
            undefined,
            out,
            rejects,
          )
        if ((i & 63) === 63) await out.flushIfFull()
      }
      await out.flushIfFull()
      progress.rows(batch.rows)
      progress.done(out.rows)
    }
    if (reader === 'parquet') {
      await eachBatch(
        readParquet(await openParquet(file), { from: range.from, to: range.to }, columns, { reuse: true }),
        (batch) => writeBatch(batch),
        signal,
      )
    } else {
      await eachBatch(
        readJsonLines(file, range),
        async (batch) => {
          const table = batchOfObjects(batch, columns)
          await writeBatch(
            table,
            batch.map(({ line }) => line),
          )
        },
        signal,
      )
    }
  } finally {
    file.close()
  }
}

function writeRow(
  sourceRow: number,
  at: { row?: number; line?: number },
  write: () => void,
  value: (() => unknown) | undefined,
  out: ConversationWriter,
  rejects: Rejects,
): void {
  out.beginRow(sourceRow)
  try {
    write()
  } catch (error) {
    if (!(error instanceof BadRow)) throw error
    out.dropRow()
    rejects.add(at, error.message, value?.())
    return
  }
  out.endRow()
}

async function eachBatch<T>(
  batches: Iterable<T> | AsyncIterable<T>,
  work: (batch: T) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for await (const batch of batches) {
    signal.throwIfAborted()
    await work(batch)
  }
}
