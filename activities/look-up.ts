/**
 * lookUp: walks a part of the orchestration over the store, running nothing. What it finds is handed to the
 * workflow in one message, so that cached stages cost no history: the same function, with a runner that only looks.
 */
import { datasetPart } from '../pipeline/build.ts'
import { evaluatePart } from '../pipeline/evaluate.ts'
import { importsPart } from '../pipeline/imports.ts'
import { taskPart } from '../pipeline/kinds/chat-eval.ts'
import { inlineList } from '../pipeline/passing.ts'
import { shardsPart } from '../pipeline/shards.ts'
import { filesPart, partitionsPart, sourcePart } from '../pipeline/sources.ts'
import { splitPart } from '../pipeline/split.ts'
import {
  isStored,
  keyOf,
  type Long,
  mapBounded,
  type Part,
  type PartPlace,
  type Runner,
  type StageCall,
  type StageResult,
} from '../pipeline/stage.ts'
import type { Digest, Json, Store } from '../store/types.ts'
import type { Dependencies } from './dependencies.ts'
import { readList, storeList } from './lists.ts'
import { small } from './stage-activity.ts'
import { translate } from './translate.ts'
import type { IoActivities, LookUpAnswer } from './types.ts'

// biome-ignore lint/suspicious/noExplicitAny: parts with different arguments stand in one list
const parts: readonly Part<any, any>[] = [
  datasetPart,
  splitPart,
  sourcePart,
  filesPart,
  partitionsPart,
  importsPart,
  shardsPart,
  taskPart,
  evaluatePart,
]

/** An answer stays well under Temporal's 2 MB; what does not fit is found stage by stage. */
const mostBytes = 1_000_000

/** Something is not in the store: the walk cannot go on from here. */
export class Miss extends Error {
  override readonly name = 'Miss'
}

export function createLookUp(deps: Dependencies): IoActivities['lookUp'] {
  return ({ part: name, args }) =>
    translate(deps, async ({ signal }) => {
      const part = parts.find((candidate) => candidate.name === name)
      if (part === undefined) throw new TypeError(`there is no part ${name}`)
      const runner = new LookUpRunner(deps.store, signal, '')
      try {
        await part.run(args, runner)
      } catch (error) {
        if (!(error instanceof Miss)) throw error
      }
      return runner.answer()
    })
}

class LookUpRunner implements Runner {
  private readonly stages = new Map<Digest, StageResult>()
  private readonly parts = new Map<string, { result: unknown; cached: Record<string, number> }>()
  /** Stages found, by name. */
  private readonly cached: Record<string, number> = {}
  private readonly store: Store
  private readonly signal: AbortSignal
  private readonly path: string

  constructor(store: Store, signal: AbortSignal, path: string) {
    this.store = store
    this.signal = signal
    this.path = path
  }

  /** What was found, in the order of the walk, as far as it fits into one message. */
  answer(): LookUpAnswer {
    let bytes = 0
    const fits = ([name, value]: readonly [string, unknown]) => {
      bytes += Buffer.byteLength(name) + Buffer.byteLength(JSON.stringify(value)) + 10
      return bytes <= mostBytes
    }
    return {
      parts: Object.fromEntries([...this.parts].filter(fits)),
      stages: Object.fromEntries([...this.stages].filter(fits)),
    }
  }

  async stage(call: StageCall): Promise<StageResult> {
    this.signal.throwIfAborted()
    const key = keyOf(call)
    const record = await this.store.getRecord(key)
    if (record === undefined) throw new Miss(call.title)
    const result = await small(record, this.store)
    this.stages.set(key, result)
    this.cached[call.stage] = (this.cached[call.stage] ?? 0) + 1
    return result
  }

  /** A complete part counts as one thing; of one that is not, its workflow asks again, or (a small one) its pieces count. */
  async part<A, R>(part: Part<A, R>, args: A, { id, large }: PartPlace): Promise<R> {
    const path = `${this.path}/${id}`
    const inner = new LookUpRunner(this.store, this.signal, path)
    try {
      const result = await part.run(args, inner)
      this.parts.set(path, { result, cached: inner.cached })
      for (const [stage, count] of Object.entries(inner.cached))
        this.cached[stage] = (this.cached[stage] ?? 0) + count
      return result
    } catch (error) {
      if (!large) {
        for (const [key, result] of inner.stages) this.stages.set(key, result)
        for (const [name, value] of inner.parts) this.parts.set(name, value)
      }
      throw error
    }
  }

  /** Goes through everything, past what is missing: what is found behind it counts as well. */
  async each<T, R>(
    items: readonly T[],
    limit: number,
    work: (item: T, index: number) => Promise<R>,
  ): Promise<R[]> {
    let miss: Miss | undefined
    const results = await mapBounded(items, limit, async (item, i) => {
      try {
        return await work(item, i)
      } catch (error) {
        if (!(error instanceof Miss)) throw error
        miss ??= error
        return undefined
      }
    })
    if (miss !== undefined) throw miss
    return results as R[]
  }

  async pack<T>(lists: readonly Long<T>[]): Promise<Long<T>> {
    return inlineList(lists) ?? (await storeList(lists as readonly Long<Json>[], this.store))
  }

  async slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]> {
    if (!isStored(list)) return list.slice(from, to)
    return (await readList(list, from, to, this.store)) as unknown as readonly T[]
  }

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    return (await storeList(lists, this.store)).list
  }

  ahead(): void {}

  note(): void {}
}
