/** The activities as workflows see them. */
import type { Outline } from '../pipeline/results.ts'
import type { Long, StageCall, StageName, StageResult, StoredList } from '../pipeline/stage.ts'
import type { Digest, Json } from '../store/types.ts'
import type { BuildRef, BuildReport, Totals } from '../workflows/types.ts'

export interface StageRequest {
  readonly call: StageCall
  readonly build: BuildRef
}

/** A stage's result, with what the progress display shows of it. */
export interface StageAnswer {
  readonly result: StageResult
  /** True when it was in the store already. */
  readonly cached: boolean
  readonly figures: { readonly rows: number; readonly tokens: number; readonly bytes: number }
}

export type StageActivity = (request: StageRequest) => Promise<StageAnswer>

export type StageActivities = Readonly<Record<StageName, StageActivity>>

export interface LookUpRequest {
  /** Name of the part to walk over the store. */
  readonly part: string
  readonly args: unknown
}

/** What of a part is in the store already. */
export interface LookUpAnswer {
  /** Results of the part's own stages, by key. */
  readonly stages: Readonly<Record<string, StageResult>>
  /** Results of the parts inside it that are complete, by their path, with the number of stages by name. */
  readonly parts: Readonly<
    Record<string, { readonly result: unknown; readonly cached: Readonly<Record<string, number>> }>
  >
}

export interface PublishRequest {
  readonly lock: Digest
  readonly out: string
  readonly recheck: boolean
  readonly build: BuildRef
}

export interface IoActivities {
  /** Recipe → lock, stored; the outline has its long file lists stored too. */
  resolve(request: {
    readonly request: Digest
    /** The lock that this build was resolved to before: references to the hub stay where it has them. */
    readonly resolved?: Digest
  }): Promise<{ readonly lock: Digest; readonly outline: Outline }>
  lookUp(request: LookUpRequest): Promise<LookUpAnswer>
  /** Stores lists, one after the other, as one. */
  storeList(request: { readonly lists: readonly Long<Json>[] }): Promise<StoredList>
  readList(request: {
    readonly list: StoredList
    readonly from: number
    readonly to: number
  }): Promise<readonly Json[]>
  publish(request: PublishRequest): Promise<BuildReport>
}

export type Activities = StageActivities & IoActivities

export type { Totals }
