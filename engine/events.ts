import type { StageCall } from '../pipeline/stage.ts'
import type { Meter } from '../stages/meter.ts'
import type { Digest, StageRecord } from '../store/types.ts'

/** What a runner tells whoever watches a build. Watching never changes a result. */
export interface BuildObserver {
  cached(call: StageCall, record: StageRecord): void
  started(call: StageCall, key: Digest, meter: Meter): void
  finished(call: StageCall, record: StageRecord): void
  failed(call: StageCall, key: Digest, error: unknown): void
  notice(text: string): void
  /** So many pieces of a stage are to come (added to what was expected before). */
  expected(split: string, stage: string, count: number): void
  splitStarted(split: string): void
  splitVerified(split: string): void
}

export const silentObserver: BuildObserver = {
  cached() {},
  started() {},
  finished() {},
  failed() {},
  notice() {},
  expected() {},
  splitStarted() {},
  splitVerified() {},
}
