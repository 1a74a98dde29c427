/** What runs inside a worker thread: a stage call, the building of encoder tables, the checking of a blob. */
import { buildTables, type EncoderTables } from '../bpe/index.ts'
import { type ErrorFacts, isShardmillError, ShardmillError } from '../errors/index.ts'
import type { StageCall } from '../pipeline/stage.ts'
import type { Digest, Store } from '../store/types.ts'
import type { StageOutput } from './define-stage.ts'
import { cpuStages } from './index.ts'
import { Meter } from './meter.ts'
import { openStore } from './open-store.ts'
import { decodeVocabulary } from './tokenizers/vocabulary.ts'

export interface StageTask {
  readonly kind: 'stage'
  readonly store: string
  readonly call: StageCall
  readonly meter: SharedArrayBuffer
  readonly tables: { readonly vocabulary: Digest; readonly tables: EncoderTables } | undefined
}

export interface TablesTask {
  readonly kind: 'tables'
  readonly store: string
  readonly vocabulary: Digest
}

/** Reads a blob whole, which fails when it is not the bytes of its name. */
export interface CheckTask {
  readonly kind: 'check'
  readonly store: string
  readonly blob: Digest
}

export type Task = StageTask | TablesTask | CheckTask

/** Errors cross threads as facts: structured cloning keeps an Error's message but not its fields. */
export type TaskResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ErrorFacts }

const stores = new Map<string, Promise<Store>>()

function storeAt(location: string): Promise<Store> {
  let store = stores.get(location)
  if (store === undefined) {
    store = openStore(location)
    stores.set(location, store)
  }
  return store
}

export async function runTask(task: Task): Promise<TaskResult<StageOutput | EncoderTables | undefined>> {
  try {
    const store = await storeAt(task.store)
    return { ok: true, value: await work(store, task) }
  } catch (error) {
    if (isShardmillError(error)) return { ok: false, error: error.toFacts() }
    throw error
  }
}

function work(store: Store, task: Task): Promise<StageOutput | EncoderTables | undefined> {
  if (task.kind === 'tables') return tablesOf(store, task.vocabulary)
  return task.kind === 'check' ? checkBlob(store, task.blob) : runStage(store, task)
}

async function runStage(store: Store, { call, meter, tables }: StageTask): Promise<StageOutput> {
  const stage = cpuStages[call.stage]
  if (stage === undefined) throw new TypeError(`stage ${call.stage} does not run in worker threads`)
  return stage.run(call, {
    store,
    // A thread is stopped from outside; stages that run elsewhere get a real signal.
    signal: new AbortController().signal,
    progress: new Meter(meter),
    notice: () => {},
    encoderTables: async (vocabulary) =>
      tables?.vocabulary === vocabulary ? tables.tables : tablesOf(store, vocabulary),
  })
}

async function tablesOf(store: Store, vocabulary: Digest): Promise<EncoderTables> {
  return buildTables(decodeVocabulary(await store.readBlobBytes(vocabulary)))
}

async function checkBlob(store: Store, blob: Digest): Promise<undefined> {
  for await (const _ of store.readBlob(blob));
}

/** Turns what `runTask` returned back into a value or a throw. */
export function unwrap<T>(result: TaskResult<T>): T {
  if (result.ok) return result.value
  throw ShardmillError.fromFacts(result.error)
}
