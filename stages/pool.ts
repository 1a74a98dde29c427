/** CPU stages in worker threads, so that the event loop stays free for progress, downloads and heartbeats. */
import { existsSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { EncoderTables } from '../bpe/index.ts'
import { isShardmillError } from '../errors/index.ts'
import { type StageCall, type StageFacts, stages } from '../pipeline/stage.ts'
import { isS3Location } from '../store/s3/address.ts'
import type { Digest, Store } from '../store/types.ts'
import { copyOut } from './copy-out.ts'
import { type Refused, type StageDone, type Task, type TaskResult, unwrap } from './cpu-worker.ts'
import type { StageOutput } from './define-stage.ts'
import type { Meter } from './meter.ts'
import { ThreadPool } from './thread-pool.ts'
import { tasksPerThread } from './threads.ts'

export interface StagePool {
  run(call: StageCall, meter: Meter, signal: AbortSignal): Promise<StageOutput>
  /**
   * Writes a blob of the store (the one that `createStagePool` was given the location of) to a new file, checked on
   * the way and durable.
   */
  copyOut(store: Store, blob: Digest, path: string, signal: AbortSignal): Promise<void>
  /** A blob that this process has hashed a moment ago need not be read again before it is opened. */
  trust(blob: Digest): void
  /** Starts all threads now: for a build that will need them, and has other things to do first. */
  warm(): void
  close(): Promise<void>
}

/** Stages on a bucket wait for the network all the time, those on a folder only at their end. */
const computingOnBucket = 2

/** How long threads without work are kept. */
const idleMs = 10_000

export type Threads = ThreadPool<Task, TaskResult<unknown>>

/** Threads for stages on any store. They start with the first stage: where everything is cached, none does. */
export function createThreads(threads: number, computing = 1): Threads {
  return new ThreadPool({
    file: workerFile(),
    threads,
    execArgv: threadFlags(process.execArgv),
    computing,
    inHand: tasksPerThread,
    idleMs,
  })
}

/** `threads` says how many, which end with the pool; or which, and they are left to whoever made them. */
export function createStagePool(
  storeLocation: string,
  threads: number | Threads = availableParallelism(),
): StagePool {
  const computing = isS3Location(storeLocation) ? computingOnBucket : 1
  const pool = typeof threads === 'number' ? createThreads(threads, computing) : threads
  const tables = new Map<Digest, Promise<EncoderTables>>()
  const checked = new Map<Digest, Promise<undefined>>()
  /** What threads wrote and hashed themselves. */
  const written = new Map<Digest, string>()

  const send = async <T>(task: Task, signal: AbortSignal): Promise<T> => {
    return unwrap((await pool.run(task, signal)) as TaskResult<T>)
  }
  /** What all stages need of one blob is done once, by the first that asks. */
  const once = async <T>(
    done: Map<Digest, Promise<T>>,
    blob: Digest,
    task: Task,
    signal: AbortSignal,
  ): Promise<T> => {
    for (;;) {
      const others = done.get(blob)
      if (others === undefined) {
        const own = send<T>(task, signal)
        done.set(blob, own)
        own.catch(() => done.delete(blob))
        return own
      }
      try {
        return await others
      } catch (error) {
        // The one who asked first was cancelled: that is not our failure.
        if (signal.aborted || isShardmillError(error)) throw error
      }
    }
  }

  return {
    async run(call, meter, signal) {
      const vocabulary = call.inputs['vocabulary']
      const shared =
        vocabulary === undefined
          ? undefined
          : {
              vocabulary,
              tables: await once(
                tables,
                vocabulary,
                { kind: 'tables', store: storeLocation, vocabulary },
                signal,
              ),
            }
      const { opens }: StageFacts = stages[call.stage]
      const blob = opens === undefined ? undefined : call.inputs[opens]
      if (blob !== undefined) await once(checked, blob, { kind: 'check', store: storeLocation, blob }, signal)
      const hashedAs: Record<Digest, string> = {}
      for (const input of Object.values(call.inputs)) {
        const identity = written.get(input)
        if (identity !== undefined) hashedAs[input] = identity
      }
      const done = await send<StageDone>(
        { kind: 'stage', store: storeLocation, call, meter: meter.shared, tables: shared, hashedAs },
        signal,
      )
      for (const [digest, identity] of Object.entries(done.hashedAs)) written.set(digest as Digest, identity)
      return done.output
    },
    async copyOut(store, blob, path, signal) {
      const hashedAs = written.get(blob)
      // Nothing to compute then, only to wait for.
      if (hashedAs !== undefined) return copyOut(store, blob, path, { hashedAs, signal })
      const refused = await send<Refused | undefined>(
        { kind: 'copy-out', store: storeLocation, blob, path },
        signal,
      )
      if (refused !== undefined) throw Object.assign(new Error(refused.message), { code: refused.errno })
    },
    trust(blob) {
      checked.set(blob, Promise.resolve(undefined))
    },
    warm: () => pool.warm(),
    close: async () => {
      if (typeof threads === 'number') await pool.close()
    },
  }
}

/** Of the process's flags those that a thread takes: most of V8's (`--max-old-space-size`) are refused there. */
function threadFlags(flags: readonly string[]): string[] {
  const taken: string[] = []
  for (let i = 0; i < flags.length; i++) {
    const [, name, value] =
      /^(--import|--require|-r|--cpu-prof|--cpu-prof-dir|--enable-source-maps)(=.*)?$/s.exec(flags[i]!) ?? []
    if (name === undefined) continue
    taken.push(flags[i]!)
    if (value === undefined && /^(--import|--require|-r|--cpu-prof-dir)$/.test(name) && i + 1 < flags.length)
      taken.push(flags[++i]!)
  }
  return taken
}

/**
 * The worker's code: one bundled file, or the compiled module where there is no bundle or only an older one. It lies
 * beside this file in dist/, or in dist/ when this runs from the sources (tests).
 */
function workerFile(): string {
  const beside = new URL('./cpu-worker.js', import.meta.url)
  const module = existsSync(beside) ? beside : new URL('../dist/stages/cpu-worker.js', import.meta.url)
  const bundle = new URL('./cpu-worker.bundle.js', module)
  const isFresh = (statSync(bundle, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= statSync(module).mtimeMs
  return fileURLToPath(isFresh ? bundle : module)
}
