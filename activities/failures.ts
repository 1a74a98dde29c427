/** Our errors as Temporal failures: what can never succeed fails at once, what may is tried again. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common'
import { type ErrorCode, isShardmillError, ShardmillError } from '../errors/index.ts'

/** Not mended by trying the same again: the workflow goes back to the stage that makes the blob. */
const damaged: ReadonlySet<ErrorCode> = new Set(['CORRUPT_BLOB', 'MISSING_BLOB'])

/**
 * Trouble that is still there after so many attempts is shown to the user. Attempts that lost their worker are counted by
 * the server, too, but never end a build by themselves: they report nothing.
 */
const mostAttempts = 5

/** What an activity throws for an error: same code, same message, the facts as details. */
export function failureOf(error: unknown, attempt: number): unknown {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error
  if (isShardmillError(error)) {
    const tryAgain = error.retryable && !damaged.has(error.code) && attempt < mostAttempts
    return ApplicationFailure.create({
      message: error.message,
      type: error.code,
      nonRetryable: !tryAgain,
      details: [error.toFacts()],
    })
  }
  const { message } = error instanceof Error ? error : new Error(String(error))
  return ApplicationFailure.create({
    message,
    type: 'BUG',
    nonRetryable: error instanceof TypeError || error instanceof RangeError || attempt >= mostAttempts,
    details: [{ code: 'BUG', message, retryable: false }],
    ...(error instanceof Error ? { cause: error } : {}),
  })
}

/** A worker that goes away hands its work back: another one starts it at once. */
export function handedBack(): ApplicationFailure {
  return ApplicationFailure.retryable('the worker was shut down; another one takes over', 'WORKER_SHUTDOWN')
}

/** A look-up that finds nothing where a finished build must have left it. */
export function lostStage(title: string): ShardmillError {
  return new ShardmillError(
    'MISSING_BLOB',
    `${title}: its result is no longer in the store; it is made again`,
  )
}
