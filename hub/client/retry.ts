/** Tries again what the world may still let through: with pauses that grow, chance in them, and an end. */
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, isShardmillError, ShardmillError } from '../../errors/index.ts'

export interface RetryLimits {
  /** Tries in all, the first one included. */
  readonly tries: number
  /** Milliseconds without a byte after which the other side counts as silent. */
  readonly idleMs: number
  /** The first pause is a random part of this; it doubles with every failure, up to `idleMs`. Milliseconds. */
  readonly baseMs: number
  /** No further try begins later than this after the first (or after the last progress). Milliseconds. */
  readonly totalMs: number
}

/** What a UI may tell while we wait. */
export interface RetryNote {
  /** `the hub answered 503, trying again in 4 s (2/6)` */
  readonly message: string
  readonly status: number | undefined
  readonly waitMs: number
  /** Number of the try that comes next, from 2 on. */
  readonly attempt: number
  readonly tries: number
}

export interface RetryOptions {
  readonly limits: RetryLimits
  readonly signal?: AbortSignal | undefined
  readonly onRetry?: ((note: RetryNote) => void) | undefined
}

/** A failure that may pass by itself. Never leaves this folder: `withRetries` turns the last one into a ShardmillError. */
export class HubFault extends Error {
  override readonly name = 'HubFault'
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined
  /** What the other side asked us to wait. */
  readonly waitMs: number | undefined
  /** The code that remains when all tries are used up. */
  readonly code: ErrorCode
  readonly hint: string | undefined
  /** True when this try brought so much nearer to the end that the count of failures starts anew. */
  progressed = false

  constructor(
    reason: string,
    options: {
      status?: number
      waitMs?: number | undefined
      code?: ErrorCode
      hint?: string | undefined
      cause?: unknown
    } = {},
  ) {
    super(reason, options.cause === undefined ? undefined : { cause: options.cause })
    this.status = options.status
    this.waitMs = options.waitMs
    this.code = options.code ?? 'HUB_UNREACHABLE'
    this.hint = options.hint
  }
}

/**
 * Calls `attempt` until it succeeds, throws something other than a `HubFault`, or the limits are reached; then a
 * `ShardmillError` with the fault's code (retryable: somebody with more patience may try). Aborting ends it at once
 * with `INTERRUPTED`.
 */
export async function withRetries<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { limits, signal, onRetry } = options
  let failures = 0
  let started = performance.now()
  for (;;) {
    throwIfAborted(signal)
    try {
      return await attempt()
    } catch (error) {
      throwIfAborted(signal)
      if (!(error instanceof HubFault)) throw error
      if (error.progressed) {
        failures = 0
        started = performance.now()
      }
      failures++
      const waitMs = pause(error, failures, limits)
      const spent = performance.now() - started
      if (failures >= limits.tries)
        throw givenUp(error, `tried ${failures} ${failures === 1 ? 'time' : 'times'}`)
      if (spent + waitMs > limits.totalMs) {
        const asked = error.waitMs !== undefined && error.waitMs > limits.totalMs - spent
        const why = asked ? `and asks us to wait ${seconds(error.waitMs ?? 0)}` : `for ${seconds(spent)}`
        throw givenUp(error, why)
      }
      onRetry?.({
        message: `${error.message}, trying again in ${seconds(waitMs)} (${failures + 1}/${limits.tries})`,
        status: error.status,
        waitMs,
        attempt: failures + 1,
        tries: limits.tries,
      })
      await delay(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() =>
        throwIfAborted(signal),
      )
    }
  }
}

/** Throws `INTERRUPTED` (or the ShardmillError that was the reason) when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  if (isShardmillError(signal.reason)) throw signal.reason
  throw new ShardmillError('INTERRUPTED', 'interrupted', { cause: signal.reason })
}

/**
 * What an answer asks us to wait, in milliseconds: `Retry-After` (seconds or a date, read against the answer's own
 * `Date` so that clocks need not agree), else the time to the next window in `RateLimit` (`"api";r=0;t=55`).
 */
export function askedWait(headers: Headers): number | undefined {
  const after = headers.get('retry-after')?.trim()
  if (after !== undefined && after !== '') {
    if (/^\d+(\.\d+)?$/.test(after)) return Number(after) * 1000
    // A date begins with its weekday; of other texts `Date.parse` makes dates at random (`-5` is in May 2001).
    const until = /^[a-z]{3}/i.test(after) ? Date.parse(after) : Number.NaN
    const now = Date.parse(headers.get('date') ?? '')
    if (!Number.isNaN(until)) return Math.max(0, until - (Number.isNaN(now) ? Date.now() : now))
  }
  const reset = /(?:^|[;,\s])t\s*=\s*(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]
  if (reset !== undefined) return Number(reset) * 1000
  const plain = headers.get('ratelimit-reset')?.trim() ?? ''
  return /^\d+$/.test(plain) ? Number(plain) * 1000 : undefined
}

/** Full jitter (a random part of the doubling bound), or what was asked plus a little, so that many clients spread. */
function pause(fault: HubFault, failures: number, { baseMs, idleMs }: RetryLimits): number {
  if (fault.waitMs !== undefined) return fault.waitMs + Math.random() * baseMs
  return Math.random() * Math.min(idleMs, baseMs * 2 ** failures)
}

const CHECK_NETWORK =
  'Check the network and HF_ENDPOINT, then run the same command again: what has arrived is kept.'
const CHECK_ANSWER = 'Check HF_ENDPOINT, and any proxy or mirror on the way, or try again later.'

function givenUp(fault: HubFault, after: string): ShardmillError {
  return new ShardmillError(fault.code, `${fault.message} (${after})`, {
    retryable: true,
    hint: fault.hint ?? (fault.code === 'HUB_ANSWER' ? CHECK_ANSWER : CHECK_NETWORK),
    ...(fault.status === undefined ? {} : { details: { status: fault.status } }),
    cause: fault.cause ?? fault,
  })
}

function seconds(ms: number): string {
  return ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`
}
