/** CPU stages in worker threads, so that the event loop stays free for progress, downloads and heartbeats. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import type { EncoderTables } from '../bpe/index.ts'
import { isShardmillError } from '../errors/index.ts'
import { type StageCall, type StageFacts, stages } from '../pipeline/stage.ts'
import type { Digest } from '../store/types.ts'
import { type Refused, type Task, type TaskResult, unwrap } from './cpu-worker.ts'
import type { StageOutput } from './define-stage.ts'
import type { Meter } from './meter.ts'
import { tasksPerThread } from './threads.ts'

export interface StagePool {
  readonly threads: number
  run(call: StageCall, meter: Meter, signal: AbortSignal): Promise<StageOutput>
  /** Writes a blob to a new file, checked on the way and durable. */
  copyOut(blob: Digest, path: string, signal: AbortSignal): Promise<void>
  /** A blob that this process has hashed a moment ago need not be read again before it is opened. */
  trust(blob: Digest): void
  close(): Promise<void>
}

/**
 * Piscina loads its worker with `require`, and a thread that is ended while Node requires an ES module takes the
 * whole process down (v8::Module::IsGraphAsync). Where `require` cannot do that, Piscina falls back to `import`.
 */
const loadByImport = ['--no-experimental-require-module', '--no-require-module']
  .filter((flag) => process.allowedNodeEnvironmentFlags.has(flag))
  .slice(0, 1)

/** Threads start with the first stage, so that a build in which everything is cached starts none. */
export function createStagePool(storeLocation: string, threads = availableParallelism()): StagePool {
  const pool = new Piscina({
    filename: workerFile(),
    name: 'runTask',
    minThreads: 0,
    maxThreads: threads,
    concurrentTasksPerWorker: tasksPerThread,
    idleTimeout: 10_000,
    execArgv: [...threadFlags(process.execArgv), ...loadByImport],
  })
  // A failure that belongs to no task: a thread could not start, so what waits for one would wait for ever.
  let broken: Error | undefined
  pool.on('error', (error: Error) => {
    // Only the answer to a task that was cancelled while it was on its way.
    if (error.message.startsWith('Unexpected message from Worker')) return
    broken = error
    void pool.destroy()
  })
  const tables = new Map<Digest, Promise<EncoderTables>>()
  const checked = new Map<Digest, Promise<undefined>>()

  const send = async <T>(task: Task, signal: AbortSignal): Promise<T> => {
    signal.throwIfAborted()
    try {
      return unwrap((await pool.run(task, { signal })) as TaskResult<T>)
    } catch (error) {
      throw signal.aborted ? error : (broken ?? error)
    }
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
    threads,
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
      return send({ kind: 'stage', store: storeLocation, call, meter: meter.shared, tables: shared }, signal)
    },
    async copyOut(blob, path, signal) {
      const refused = await send<Refused | undefined>(
        { kind: 'copy-out', store: storeLocation, blob, path },
        signal,
      )
      if (refused !== undefined) throw Object.assign(new Error(refused.message), { code: refused.errno })
    },
    trust(blob) {
      checked.set(blob, Promise.resolve(undefined))
    },
    close: () => pool.destroy(),
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

/** The compiled worker: beside this file in dist/, or in dist/ when this runs from the sources (tests). */
function workerFile(): string {
  const beside = fileURLToPath(new URL('./cpu-worker.js', import.meta.url))
  if (existsSync(beside)) return beside
  return fileURLToPath(new URL('../dist/stages/cpu-worker.js', import.meta.url))
}
