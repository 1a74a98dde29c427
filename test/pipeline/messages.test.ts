/** Lists that pass as messages stay short, however many partitions have bad rows. */
import { expect, test } from 'vitest'
import type { SftLock } from '../../pipeline/lock.ts'
import { inlineList, inMessages, mostBytes } from '../../pipeline/passing.ts'
import type { OutlineSource } from '../../pipeline/results.ts'
import { splitPart } from '../../pipeline/split.ts'
import {
  type BuildEvent,
  isStored,
  keyOf,
  LocalRunner,
  type Long,
  lengthOf,
  type StageCall,
  type StageName,
  type StageResult,
} from '../../pipeline/stage.ts'
import type { BlobRef, Digest, Json } from '../../store/types.ts'

const blob: BlobRef = { digest: 'a'.repeat(64) as Digest, bytes: 1 }
const outputs: Partial<Record<StageName, readonly string[]>> = {
  format: ['conversations', 'rejects'],
  tokenize: ['tokens', 'index'],
  shuffle: ['segment.00000000', 'fingerprints'],
  shard: ['tokens', 'mask'],
}
const figures = { conversations: 1, tokens: 1, trainedTokens: 1, truncated: 0 }

/** Stores long lists, as Temporal's runner does, and remembers how many items it was asked for at once. */
class MessageRunner extends LocalRunner {
  readonly lists: (readonly unknown[])[] = []
  longest = 0

  async stage(call: StageCall): Promise<StageResult> {
    const names = outputs[call.stage] ?? []
    const stats: Record<string, Json> = {
      ...figures,
      rejected: 1,
      firstReject: { why: 'bad' },
      sources: [{}],
    }
    return { key: keyOf(call), outputs: Object.fromEntries(names.map((name) => [name, blob])), stats }
  }

  override async pack<T>(lists: readonly Long<T>[]): Promise<Long<T>> {
    return inlineList(lists) ?? this.store(lists)
  }

  override async slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]> {
    const items = this.itemsIn(list).slice(from, to)
    if (isStored(list)) this.longest = Math.max(this.longest, items.length)
    return items
  }

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    return this.store(lists).list
  }

  note(_event: BuildEvent): void {}

  itemsIn<T>(list: Long<T>): readonly T[] {
    return isStored(list) ? (this.lists[Number(list.list)] as readonly T[]) : list
  }

  private store<T>(lists: readonly Long<T>[]) {
    const items = lists.flatMap((list) => this.itemsIn(list))
    this.lists.push(items)
    return { list: String(this.lists.length - 1) as Digest, count: items.length }
  }
}

test.each([1, 100, 101, 1_000, 1_001, 5_500])('of %i partitions with bad rows', async (partitions) => {
  const source: OutlineSource = {
    ...{ task: 'simple_spelling', label: 'SimpleSpelling', reader: 'none' as const, format: {}, seed: null },
    origin: { kind: 'generated', items: partitions * 20_000 },
    ...{ files: [], aux: {} },
    ...{ start: 0, stop: null, step: 1, repeat: 1 },
  }
  const settings = {
    ...{ schema: 1, kind: 'sft', name: 'x', maxSeqLen: 8, shardTokens: 8, dtype: 'uint16' },
    tokenizer: { kind: 'tiktoken', name: 'gpt2', file: { path: 'x', bytes: 1 } },
    template: { name: 'nanochat', version: 1, specials: [] },
    onBadRow: { policy: 'quarantine', limit: 1_000_000 },
    shuffle: { kind: 'none', seed: 0 },
  } as const satisfies Omit<SftLock, 'splits'>
  const context = { vocabulary: blob.digest, vocabularySize: 9, bosId: null, dtype: 'uint16' } as const
  const run = new MessageRunner()
  const built = await splitPart.run({ settings, context, split: 'train', sources: [source] }, run)
  expect(lengthOf(built.rejects)).toBe(partitions)
  expect(new Set(run.itemsIn(built.rejects).map(({ label }) => label))).toEqual(new Set([source.label]))
  expect(run.longest).toBeLessThanOrEqual(1_000)
})

test('lists are cut into messages: all items in order, none of them too long, and no more than are needed', () => {
  const items = (count: number, characters: number) =>
    Array.from({ length: count }, (_, i) => `${i}`.padEnd(characters, 'x'))
  const stored = { list: blob.digest, count: 7 }
  for (const lists of [
    [],
    [[]],
    [items(3, 10), stored, items(0, 1)],
    [items(50_000, 150), items(9, 9)],
    [...Array(500).fill(items(64, 400)), stored],
    [items(2, mostBytes + 1), items(1, 1)],
    [items(30_000, 50).map((item) => `字${item.replaceAll('x', '字')}`)],
    Array(10_000).fill(stored),
  ] as Long<string>[][]) {
    const messages = inMessages(lists)
    const flat = (some: readonly Long<string>[]) =>
      some.flatMap((list) => (isStored(list) ? ['stored'] : list))
    expect(flat(messages.flat())).toEqual(flat(lists))
    const sizes = messages.map((message) => Buffer.byteLength(JSON.stringify(message)))
    const longestItem = Math.max(0, ...flat(lists).map((item) => item.length))
    for (const size of sizes) expect(size).toBeLessThan(1.2 * mostBytes + longestItem)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    expect(messages.length).toBeLessThanOrEqual(Math.ceil((1.5 * total) / mostBytes) + 1)
  }
})
