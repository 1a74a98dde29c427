/**
 * lookUp: walks a part of the orchestration over the store, running nothing. What it finds is handed to the
 * workflow in one message, so that cached stages cost no history: the same function, with a runner that only looks.
 */
import { datasetPart, filesPart, partitionsPart, shardsPart, sourcePart, splitPart } from '../pipeline/build.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import { inlineList } from '../pipeline/passing.ts'
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
const parts: readonly Part<any, any>[] = [datasetPart, splitPart, sourcePart, filesPart, partitionsPart, shardsPart]

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
      const found = new Found()
      const runner = new LookUpRunner(deps.store, signal, found, '', false)
      try {
        await part.run(args, runner)
      } catch (error) {
        if (!(error instanceof Miss)) throw error
      }
      return found.answer()
    })
}

/** What was found, in the order of the walk, as far as it fits into one message. */
class Found {
  private readonly stages: Record<string, StageResult> = {}
  private readonly parts: Record<string, { result: unknown; cached: Record<string, number> }> = {}
  private bytes = 0

  stage(result: StageResult): void {
    if (this.fits(result)) this.stages[result.key] = result
  }

  part(path: string, result: unknown, cached: Record<string, number>): void {
    if (this.fits(result)) this.parts[path] = { result, cached }
  }

  answer(): LookUpAnswer {
    return { stages: this.stages, parts: this.parts }
  }

  private fits(value: unknown): boolean {
    const bytes = JSON.stringify(value).length + 100
    if (this.bytes + bytes > mostBytes) return false
    this.bytes += bytes
    return true
  }
}

class LookUpRunner implements Runner {
  /** Stages found, by name. */
  readonly cached: Record<string, number> = {}
  private readonly store: Store
  private readonly signal: AbortSignal
  private readonly found: Found
  private readonly path: string
  /** Inside a part that has a workflow of its own: its stages are that workflow's. */
  private readonly inner: boolean

  constructor(store: Store, signal: AbortSignal, found: Found, path: string, inner: boolean) {
    this.store = store
    this.signal = signal
    this.found = found
    this.path = path
    this.inner = inner
  }

  async stage(call: StageCall): Promise<StageResult> {
    this.signal.throwIfAborted()
    const record = await this.store.getRecord(keyOf(call))
    if (record === undefined) throw new Miss(call.title)
    const result = await small(record, this.store)
    this.cached[call.stage] = (this.cached[call.stage] ?? 0) + 1
    if (!this.inner) this.found.stage(result)
    return result
  }

  async part<A, R>(part: Part<A, R>, args: A, { id, large }: PartPlace): Promise<R> {
    const path = `${this.path}/${id}`
    const runner = new LookUpRunner(this.store, this.signal, this.found, path, this.inner || large)
    const result = await part.run(args, runner).finally(() => {
      if (!large || this.inner) for (const [stage, count] of Object.entries(runner.cached)) this.cached[stage] = (this.cached[stage] ?? 0) + count
    })
    if (large && !this.inner) this.found.part(path, result, runner.cached)
    return result
  }

  /** Goes through everything, past what is missing: what is found behind it counts as well. */
  async each<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
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

  note(): void {}
}

/** Canonical bytes of a value that goes into the store by itself. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(canonicalJson(value as Json))
}
