/** Failures as a workflow passes them on: the sentence that matters on top, at every level. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  ContinueAsNew,
  isCancellation,
} from '@temporalio/workflow'
import { isShardmillError } from '../errors/index.ts'

/** What a workflow throws for an error of the orchestration, of an activity or of a child. */
export function failureOf(error: unknown): unknown {
  if (error instanceof ContinueAsNew || isCancellation(error)) return error
  const application = applicationFailureIn(error)
  if (application !== undefined) {
    return ApplicationFailure.create({
      message: application.message,
      type: application.type ?? 'BUG',
      nonRetryable: true,
      details: application.details ?? [],
      ...(error instanceof Error && error !== application ? { cause: error } : {}),
    })
  }
  if (isShardmillError(error)) {
    return ApplicationFailure.create({
      message: error.message,
      type: error.code,
      nonRetryable: true,
      details: [error.toFacts()],
    })
  }
  if (
    error instanceof ActivityFailure ||
    error instanceof ChildWorkflowFailure ||
    error instanceof CancelledFailure
  )
    return error
  const { message } = error instanceof Error ? error : new Error(String(error))
  return ApplicationFailure.create({
    message,
    type: 'BUG',
    nonRetryable: true,
    ...(error instanceof Error ? { cause: error } : {}),
  })
}

/** The failure that started it, below the layers that Temporal puts around it. */
export function applicationFailureIn(error: unknown): ApplicationFailure | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at instanceof ApplicationFailure) return at
  return undefined
}

/** True when a blob was damaged or gone: the stage that makes it has to run again. */
export function needsRepair(error: unknown): boolean {
  const type = applicationFailureIn(error)?.type
  return type === 'CORRUPT_BLOB' || type === 'MISSING_BLOB'
}
