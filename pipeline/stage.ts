/**
 * What a stage is to everybody who does not run it: a name, a version, and where its work is done.
 * The work itself is in stages/, a file each.
 */
import type { BlobRef, Digest, Json } from '../store/types.ts'
import { stageKey } from './keys.ts'

/**
 * Raise a version when the same question would now give other bytes (or other statistics); nothing else
 * invalidates a cache. The golden tests in test/golden fail when this was forgotten.
 */
export const stages = {
  /** a file of the hub → blob */
  download: { version: 1, lane: 'io' },
  /** source file → its partitions */
  scan: { version: 1, lane: 'cpu', opens: 'file' },
  /** tokenizer file → vocabulary in our own form */
  tokenizer: { version: 1, lane: 'cpu' },
  /** partition → conversations, and the rows set aside */
  format: { version: 1, lane: 'cpu', opens: 'file' },
  /** conversations → token block and its index */
  tokenize: { version: 1, lane: 'cpu' },
  /** shard of an output folder → token block and its index */
  import: { version: 1, lane: 'cpu' },
  /** all indices of a split → one segment a shard: which rows stand where */
  shuffle: { version: 1, lane: 'cpu' },
  /** segment → token shard and mask shard */
  shard: { version: 1, lane: 'cpu' },
  /** a shard pair, re-read and held against its segment */
  verify: { version: 1, lane: 'cpu' },
  /** fingerprints of two splits → conversations that stand in both */
  overlap: { version: 1, lane: 'cpu' },
  /** conversations of multiple-choice problems → prompts, their letters and the right one */
  problems: { version: 1, lane: 'cpu' },
  /** all prompts of a task → its file, in order */
  task: { version: 1, lane: 'cpu' },
  /** a task's file, read again */
  verifyTask: { version: 1, lane: 'cpu', opens: 'file' },
  /** a chunk of problems → what an endpoint's model holds of each letter */
  score: { version: 1, lane: 'io' },
} as const satisfies Record<string, StageFacts>

export interface StageFacts {
  readonly version: number
  readonly lane: Lane
  /** An input that is read here and there, by its path: whoever runs the stage has it hashed whole beforehand. */
  readonly opens?: string
}

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
  /** Numbered outputs (`segment.00000000`, …) that are too many to be passed around, by their common name. */
  readonly lists?: Readonly<Record<string, StoredList>>
}

/** A list stored as a blob of canonical JSON. */
export interface StoredList {
  readonly list: Digest
  readonly count: number
}

/** A list that may be too long for a message: its items, or where they are stored. In process always the items. */
export type Long<T> = readonly T[] | StoredList

export function isStored<T>(list: Long<T>): list is StoredList {
  return 'list' in list
}

export function lengthOf<T>(list: Long<T>): number {
  return isStored(list) ? list.count : list.length
}

/** The items of a list that was never put away; everything in process is such a one. */
export function itemsOf<T>(list: Long<T>): readonly T[] {
  if (isStored(list)) throw new TypeError(`list ${list.list} is stored, its items are not here`)
  return list
}

/** What determines a call's result, and nothing else. */
export function keyOf({ stage, params, inputs }: StageCall): Digest {
  return stageKey({ stage, version: stages[stage].version, params, inputs })
}

/** Numbered outputs of a stage, in order. */
export function numberedOutputs(
  { outputs, lists }: Pick<StageResult, 'outputs' | 'lists'>,
  name: string,
): Long<BlobRef> {
  const stored = lists?.[name]
  if (stored !== undefined) return stored
  return Object.keys(outputs)
    .filter((output) => output.startsWith(`${name}.`))
    .sort()
    .map((output) => outputs[output]!)
}

/** A piece of the orchestration that could be run elsewhere: plain JSON in, plain JSON out. */
export interface Part<A, R> {
  /** Its name on Temporal, where it may be a child workflow. */
  readonly name: string
  readonly run: (args: A, run: Runner) => Promise<R>
}

/** How a part is known among its siblings. */
export interface PartPlace {
  /** Readable, and the same in every run: child workflows are named after it. */
  readonly id: string
  /** How people name it. */
  readonly title: string
  /** True for a part that is large enough to have a history of its own. */
  readonly large: boolean
  /** True for a whole split: its id is the split's name. */
  readonly isSplit?: boolean
}

/** Runs stages: in process, as Temporal activities, or not at all (plan). The orchestration knows only this. */
export interface Runner {
  stage(call: StageCall): Promise<StageResult>
  /** Runs a part of the orchestration: here, or (large ones, on Temporal) as a workflow of its own. */
  part<A, R>(part: Part<A, R>, args: A, place: PartPlace): Promise<R>
  /** Runs `work` over `items`, at most `limit` at a time, results in order. */
  each<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]>
  /** Lists put one after the other; stored when they are long and the runner passes messages. */
  pack<T>(lists: readonly Long<T>[]): Promise<Long<T>>
  /** Items `from` to `to` (exclusive) of a list. */
  slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]>
  /** Stores the lists' items, one after the other, as one JSON blob that stages can take as an input. */
  list(lists: readonly Long<Json>[]): Promise<Digest>
  /**
   * Work that will be asked for, and hangs on nothing that is under way: whoever has room may begin it now, as far as
   * nothing has to be fetched for it. What fails in it fails again where it is asked for. On Temporal nothing happens,
   * and no history changes.
   */
  ahead(work: (run: Runner) => Promise<unknown>): void
  /** Tells an observer where the build is; must not influence it. */
  note(event: BuildEvent): void
}

/** What runners in one process have in common: parts are calls, lists are arrays. */
export abstract class LocalRunner implements Runner {
  abstract stage(call: StageCall): Promise<StageResult>
  abstract list(lists: readonly Long<Json>[]): Promise<Digest>
  abstract note(event: BuildEvent): void

  ahead(_work: (run: Runner) => Promise<unknown>): void {}

  part<A, R>(part: Part<A, R>, args: A, _place: PartPlace): Promise<R> {
    return part.run(args, this)
  }

  each<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
    return mapBounded(items, limit, work)
  }

  async pack<T>(lists: readonly Long<T>[]): Promise<Long<T>> {
    return lists.flatMap((list) => itemsOf(list))
  }

  async slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]> {
    return itemsOf(list).slice(from, to)
  }
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
