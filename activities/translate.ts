/**
 * What all activities have in common: Temporal's cancellation becomes an abort signal, progress becomes heartbeats,
 * errors become failures.
 */
import { Context } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { isShardmillError } from '../errors/index.ts'
import type { Digest } from '../store/types.ts'
import type { Dependencies } from './dependencies.ts'
import { failureOf, handedBack } from './failures.ts'

/**
 * The SDK sends what is new at most every few seconds; this is only how often it is told. What is over before the
 * first beat costs the server none.
 */
const heartbeatEveryMs = 500

export interface Translated {
  readonly signal: AbortSignal
  /** What heartbeats carry from now on: small JSON. */
  readonly report: (details: () => unknown) => void
}

/** Runs an activity's work. */
export async function translate<T>(
  deps: Dependencies,
  work: (translated: Translated) => Promise<T>,
): Promise<T> {
  const context = Context.current()
  const { cancellationSignal: signal, info } = context
  let details: () => unknown = () => undefined
  const beat = setInterval(() => context.heartbeat(details()), heartbeatEveryMs)
  try {
    return await deps.holdingStore(() => work({ signal, report: (next) => (details = next) }))
  } catch (error) {
    if (signal.aborted) throw stopped(await context.cancelled.catch((reason: unknown) => reason))
    await discardDamaged(error, deps)
    const failure = failureOf(error, info.attempt)
    if (failure instanceof ApplicationFailure)
      context.metricMeter.createCounter('shardmill_activity_failures').add(1, { code: failure.type ?? '' })
    throw failure
  } finally {
    clearInterval(beat)
  }
}

/** Cancelled by the user, or by a worker that is going away: in the latter case the work is not lost. */
function stopped(reason: unknown): unknown {
  return reason instanceof Error && reason.message === 'WORKER_SHUTDOWN' ? handedBack() : reason
}

/**
 * A damaged blob goes out of sight, so that the workflow's next round makes it again. True when the error was that
 * a blob is damaged or missing.
 */
export async function discardDamaged(
  error: unknown,
  { store }: Pick<Dependencies, 'store'>,
): Promise<boolean> {
  if (!isShardmillError(error, 'CORRUPT_BLOB') && !isShardmillError(error, 'MISSING_BLOB')) return false
  const digest = error.details?.['digest']
  if (typeof digest === 'string') await store.discardBlob(digest as Digest).catch(() => undefined)
  return true
}
