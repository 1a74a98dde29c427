/** CPU stages in worker threads, so that the event loop stays free for progress, downloads and heartbeats. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import type { EncoderTables } from '../bpe/index.ts'
import { isShardmillError } from '../errors/index.ts'
import { type StageCall, type StageFacts, stages } from '../pipeline/stage.ts'
import type { Digest } from '../store/types.ts'
import { type Task, type TaskResult, unwrap } from './cpu-worker.ts'
import type { StageOutput } from './define-stage.ts'
import type { Meter } from './meter.ts'

export interface StagePool {
  readonly threads: number
  run(call: StageCall, meter: Meter, signal: AbortSignal): Promise<StageOutput>
  close(): Promise<void>
}

/** Threads start with the first stage, so that a build in which everything is cached starts none. */
export function createStagePool(storeLocation: string, threads = availableParallelism()): StagePool {
  const pool = new Piscina({
    filename: workerFile(),
    name: 'runTask',
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: 10_000,
    // The store's checks rely on plain file reads; nothing of the parent's flags matters to a stage.
    execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
  })
  const tables = new Map<Digest, Promise<EncoderTables>>()
  const checked = new Map<Digest, Promise<undefined>>()

  const send = async <T>(task: Task, signal: AbortSignal): Promise<T> => {
    signal.throwIfAborted()
    return unwrap((await pool.run(task, { signal })) as TaskResult<T>)
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
    close: () => pool.destroy(),
  }
}

/** The compiled worker: beside this file in dist/, or in dist/ when this runs from the sources (tests). */
function workerFile(): string {
  const beside = fileURLToPath(new URL('./cpu-worker.js', import.meta.url))
  if (existsSync(beside)) return beside
  return fileURLToPath(new URL('../dist/stages/cpu-worker.js', import.meta.url))
}
