/**
 * Every failure a user can meet is a `ShardmillError`: a stable code, one sentence that says what, where and
 * what was expected, and a hint that says what to do. Three kinds, as `retryable` and the code's prefix tell:
 * the recipe or the data is wrong (never retry), the world is in the way (retry may help), we are wrong
 * (a plain `TypeError`, never one of these).
 */

/** Stable names of what went wrong; scripts and Temporal failures carry them. */
export type ErrorCode =
  | 'USAGE' // the command line is wrong
  | 'RECIPE' // the recipe is wrong
  | 'BAD_ROW' // one row of a source is wrong
  | 'BAD_FILE' // a source file is damaged, or not of the kind, columns or types expected
  | 'BAD_TOKENIZER' // a tokenizer file is not what it should be
  | 'NOT_FOUND' // a dataset, subset, split, file or column does not exist
  | 'HUB_DENIED' // 401 or 403
  | 'HUB_UNREACHABLE' // no answer, 429 or 5xx after all retries
  | 'HUB_ANSWER' // the hub's answer makes no sense (wrong bytes, a path that leaves its folder, …)
  | 'OUTPUT' // the output folder cannot be used
  | 'STORE' // the store cannot be read or written (full disk, no permission)
  | 'CORRUPT_BLOB' // a stored blob is not the bytes its name says
  | 'MISSING_BLOB' // a stored blob is gone
  | 'LOCKED' // --locked, and the recipe would resolve to something else
  | 'VERIFY' // a shard or an output folder failed verification
  | 'TEMPORAL' // no Temporal server, or it refuses
  | 'ENDPOINT_UNREACHABLE' // an evaluated model's server: no answer, 429 or 5xx after all retries
  | 'ENDPOINT_ANSWER' // it refuses, or its answer makes no sense
  | 'INTERRUPTED' // Ctrl-C or a cancelled activity

/** Where in the input: a file as the user knows it, and the row (0-based, as in the dataset viewer) or line (1-based). */
export interface Place {
  readonly file?: string
  readonly row?: number
  readonly line?: number
}

export interface ErrorOptions_ {
  readonly hint?: string
  readonly at?: Place
  readonly retryable?: boolean
  /** Facts for programs (digests, counts, HTTP status); JSON values only, never a secret. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** What crosses a thread, a process or a Temporal failure. */
export interface ErrorFacts {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
  readonly at?: Place
  readonly retryable: boolean
  readonly details?: Readonly<Record<string, unknown>>
}

export class ShardmillError extends Error {
  override readonly name = 'ShardmillError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly at: Place | undefined
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>> | undefined
  /** The sentence without the place in front. */
  readonly why: string

  constructor(code: ErrorCode, why: string, options: ErrorOptions_ = {}) {
    super(place(options.at) + why, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.why = why
    this.hint = options.hint
    this.at = options.at
    this.retryable = options.retryable ?? false
    this.details = options.details
  }

  toFacts(): ErrorFacts {
    return {
      code: this.code,
      message: this.why,
      retryable: this.retryable,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.at === undefined ? {} : { at: this.at }),
      ...(this.details === undefined ? {} : { details: this.details }),
    }
  }

  static fromFacts(facts: ErrorFacts): ShardmillError {
    return new ShardmillError(facts.code, facts.message, facts)
  }
}

/** True for a `ShardmillError`, also one from another copy of this module (worker threads, bundles). */
export function isShardmillError(error: unknown, code?: ErrorCode): error is ShardmillError {
  if (!(error instanceof Error) || error.name !== 'ShardmillError' || !('code' in error)) return false
  return code === undefined || error.code === code
}

function place(at: Place | undefined): string {
  if (at === undefined) return ''
  const parts: string[] = []
  if (at.file !== undefined) parts.push(at.file)
  if (at.line !== undefined) parts.push(`line ${at.line}`)
  if (at.row !== undefined) parts.push(`row ${at.row}`)
  return parts.length === 0 ? '' : `${parts.join(', ')}: `
}
