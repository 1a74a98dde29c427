/** What runs inside a worker thread: a stage call, the building of encoder tables, the checking of a blob. */
import { type MessagePort, parentPort } from 'node:worker_threads'
import type { EncoderTables } from '../bpe/index.ts'
import { type ErrorFacts, isShardmillError, ShardmillError } from '../errors/index.ts'
import type { StageCall } from '../pipeline/stage.ts'
import { storeError } from '../store/fs-errors.ts'
import type { Digest, Store } from '../store/types.ts'
import { copyOut } from './copy-out.ts'
import type { StageOutput } from './define-stage.ts'
import { cpuStages } from './index.ts'
import { Meter } from './meter.ts'
import { openStore } from './open-store.ts'
import type { FromThread, ToThread } from './thread-pool.ts'
import { buildTextTables } from './tokenizers/text-encoder.ts'
import { decodeVocabulary } from './tokenizers/vocabulary.ts'

export interface StageTask {
  readonly kind: 'stage'
  readonly store: string
  readonly call: StageCall
  readonly meter: SharedArrayBuffer
  /** Identities of inputs that threads of this process wrote. */
  readonly hashedAs: Readonly<Record<Digest, string>>
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

/** Writes a blob into the output folder. */
export interface CopyOutTask {
  readonly kind: 'copy-out'
  readonly store: string
  readonly blob: Digest
  readonly path: string
}

/** What a stage made, and the identities of the larger blobs. */
export interface StageDone {
  readonly output: StageOutput
  readonly hashedAs: Readonly<Record<Digest, string>>
}

type Done = StageDone | EncoderTables | Refused | undefined

export type Task = StageTask | TablesTask | CheckTask | CopyOutTask

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
    store.catch(() => stores.delete(location))
  }
  return store
}

async function runTask(task: Task, settling: () => void): Promise<TaskResult<Done>> {
  try {
    const store = await storeAt(task.store)
    return { ok: true, value: await work(store, task, settling) }
  } catch (error) {
    // A stage touches no files but the store's: whatever the file system refuses, it refuses there.
    const named = storeError(error, task.store)
    if (isShardmillError(named)) return { ok: false, error: named.toFacts() }
    throw error
  }
}

function work(store: Store, task: Task, settling: () => void): Promise<Done> {
  if (task.kind === 'tables') return tablesOf(store, task.vocabulary)
  if (task.kind === 'copy-out') return copyOutOrErrno(store, task, settling)
  return task.kind === 'check' ? checkBlob(store, task.blob) : runStage(store, task, settling)
}

/**
 * A thread is stopped from outside; stages that run elsewhere get a real signal. One for all: each has a shape of its
 * own, for which whatever looks at it would be compiled again.
 */
const neverAborted = new AbortController().signal

async function runStage(
  store: Store,
  { call, meter, tables, hashedAs }: StageTask,
  settling: () => void,
): Promise<StageDone> {
  const stage = cpuStages[call.stage]
  if (stage === undefined) throw new TypeError(`stage ${call.stage} does not run in worker threads`)
  const output = await stage.run(call, {
    store,
    signal: neverAborted,
    progress: new Meter(meter),
    notice: () => {},
    settling,
    hashedAs: (blob) => hashedAs[blob],
    encoderTables: async (vocabulary) =>
      tables?.vocabulary === vocabulary ? tables.tables : tablesOf(store, vocabulary),
  })
  return { output, hashedAs: await identities(output, store) }
}

/** Smaller blobs are hashed sooner than said to be known. */
const worthKnowing = 1 << 20

async function identities({ outputs }: StageOutput, store: Store): Promise<Record<Digest, string>> {
  const found: Record<Digest, string> = {}
  for (const { digest, bytes } of Object.values(outputs)) {
    const identity = bytes < worthKnowing ? undefined : await store.identity(digest)
    if (identity !== undefined) found[digest] = identity
  }
  return found
}

async function tablesOf(store: Store, vocabulary: Digest): Promise<EncoderTables> {
  return buildTextTables(decodeVocabulary(await store.readBlobBytes(vocabulary)))
}

async function checkBlob(store: Store, blob: Digest): Promise<undefined> {
  for await (const _ of store.readBlob(blob, { reuse: true }));
}

/** What the file system said, by its name: a thrown error would lose it on the way between threads. */
export interface Refused {
  readonly errno: string
  readonly message: string
}

async function copyOutOrErrno(
  store: Store,
  { blob, path }: CopyOutTask,
  onWritten: () => void,
): Promise<Refused | undefined> {
  try {
    await copyOut(store, blob, path, { onWritten })
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (isShardmillError(error) || code === undefined) throw error
    return { errno: code, message }
  }
}

/** Turns what `runTask` returned back into a value or a throw. */
export function unwrap<T>(result: TaskResult<T>): T {
  if (result.ok) return result.value
  throw ShardmillError.fromFacts(result.error)
}

function serve(port: MessagePort): void {
  const say = (message: FromThread<TaskResult<Done>>) => port.postMessage(message)
  port.on('message', ({ id, task }: ToThread<Task>) => {
    runTask(task, () => say({ kind: 'settling', id })).then(
      (result) => say({ kind: 'done', id, result }),
      (error: unknown) => say({ kind: 'failed', id, error }),
    )
  })
  say({ kind: 'ready' })
}

if (parentPort !== null) serve(parentPort)
