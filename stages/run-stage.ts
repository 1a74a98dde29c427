/** The cache around every stage: what is in the store is taken, what is not is made, and its record is written last. */
import { hostname, userInfo } from 'node:os'
import { toolVersion } from '../errors/version.ts'
import { keyOf, type StageCall, stages } from '../pipeline/stage.ts'
import type { Circumstances, Digest, StageRecord, Store } from '../store/types.ts'
import type { StageOutput } from './define-stage.ts'

export interface RunStageOptions {
  readonly store: Store
  /** Does the work: here, in a worker thread, wherever the engine wants it. */
  readonly execute: () => Promise<StageOutput>
  /** Who runs it: `in-process`, or `temporal` with ids. Circumstances, never part of a key. */
  readonly engine: { readonly engine: string; readonly [extra: string]: string | number }
}

/** Runs a stage and stores its record. A crash at any moment leaves a miss, never a lie. */
export async function runStage(
  call: StageCall,
  { store, execute, engine }: RunStageOptions,
): Promise<StageRecord> {
  const startedAt = new Date()
  const output = await execute()
  const key: Digest = keyOf(call)
  const record: StageRecord = {
    schema: 1,
    key,
    stage: call.stage,
    version: stages[call.stage].version,
    params: call.params,
    inputs: call.inputs,
    outputs: output.outputs,
    stats: output.stats,
    circumstances: circumstances(startedAt, engine),
  }
  await store.putRecord(record)
  return record
}

function circumstances(startedAt: Date, engine: RunStageOptions['engine']): Circumstances {
  return {
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    host: hostname(),
    pid: process.pid,
    user: userName(),
    ...engine,
    tool: toolVersion,
    node: process.version,
  }
}

/** A container may run under a user id that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}
