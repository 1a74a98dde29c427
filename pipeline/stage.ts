/**
 * What a stage is to everybody who does not run it: a name, a version, and where its work is done.
 * The work itself is in stages/, a file each.
 */
import type { BlobRef, Digest, Json } from '../store/types.ts'

/**
 * Raise a version when the same question would now give other bytes (or other statistics); nothing else
 * invalidates a cache. The golden tests in test/golden fail when this was forgotten.
 */
export const stages = {
  /** a file of the hub → blob */
  download: { version: 1, lane: 'io' },
  /** source file → its partitions */
  scan: { version: 1, lane: 'cpu' },
  /** tokenizer file → vocabulary in our own form */
  tokenizer: { version: 1, lane: 'cpu' },
  /** partition → conversations, and the rows set aside */
  format: { version: 1, lane: 'cpu' },
  /** conversations → token block and its index */
  tokenize: { version: 1, lane: 'cpu' },
  /** all indices of a split → one segment a shard: which rows stand where */
  shuffle: { version: 1, lane: 'cpu' },
  /** segment → token shard and mask shard */
  shard: { version: 1, lane: 'cpu' },
  /** a shard pair, re-read and held against its segment */
  verify: { version: 1, lane: 'cpu' },
  /** fingerprints of two splits → conversations that stand in both */
  overlap: { version: 1, lane: 'cpu' },
} as const satisfies Record<string, { version: number; lane: Lane }>

/** io waits on the network; cpu keeps a core busy. */
export type Lane = 'io' | 'cpu'

export type StageName = keyof typeof stages

/** One question to one stage. */
export interface StageCall {
  readonly stage: StageName
  readonly params: Json
  readonly inputs: Readonly<Record<string, Digest>>
  /** What helps to do the work but cannot change its result (where to download from); never in the key. */
  readonly hints?: Json
  /** How people name this piece of work: `train smoltalk 3/17`. Never in the key. */
  readonly title: string
}

export interface StageResult {
  readonly key: Digest
  readonly outputs: Readonly<Record<string, BlobRef>>
  readonly stats: Readonly<Record<string, Json>>
}

/** Runs stages: in process, as Temporal activities, or not at all (plan). The orchestration knows only this. */
export interface Runner {
  stage(call: StageCall): Promise<StageResult>
  /** Stores a JSON value as a blob, so that long lists travel as a digest. */
  list(value: Json): Promise<Digest>
  /** Tells an observer where the build is; must not influence it. */
  note(event: BuildEvent): void
}

export type BuildEvent =
  | { readonly kind: 'split-started'; readonly split: string }
  | { readonly kind: 'split-verified'; readonly split: string }
  | { readonly kind: 'expect'; readonly split: string; readonly stage: StageName; readonly count: number }

/** Runs `work` over `items`, at most `limit` at a time, results in order. Stops starting new ones after a failure. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  let failed = false
  const lane = async () => {
    while (next < items.length && !failed) {
      const index = next++
      try {
        results[index] = await work(items[index] as T, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  return results
}
