/** A runner for a build whose every stage is done: it looks them up, and gathers what the output is made from. */
import { canonicalJson, digestOfText } from '../pipeline/keys.ts'
import {
  itemsOf,
  keyOf,
  LocalRunner,
  type Long,
  type StageCall,
  type StageResult,
} from '../pipeline/stage.ts'
import type { Digest, Json, StageRecord, Store } from '../store/types.ts'

export class CachedRunner extends LocalRunner {
  readonly records = new Map<Digest, StageRecord>()
  readonly lists = new Map<Digest, Json>()
  private readonly store: Store
  private readonly signal: AbortSignal
  private readonly onMiss: (call: StageCall, key: Digest) => Error

  /** `onMiss` makes the error for a stage that is not in the store after all. */
  constructor(store: Store, signal: AbortSignal, onMiss: (call: StageCall, key: Digest) => Error) {
    super()
    this.store = store
    this.signal = signal
    this.onMiss = onMiss
  }

  async stage(call: StageCall): Promise<StageResult> {
    this.signal.throwIfAborted()
    const key = keyOf(call)
    const record = this.records.get(key) ?? (await this.store.getRecord(key))
    if (record === undefined) throw this.onMiss(call, key)
    this.records.set(key, record)
    return record
  }

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    const value = lists.flatMap((list) => itemsOf(list))
    const text = canonicalJson(value)
    const digest = digestOfText(text)
    this.lists.set(digest, value)
    if ((await this.store.statBlob(digest)) === undefined) await this.store.putBlob(Buffer.from(text))
    return digest
  }

  note(): void {}
}
