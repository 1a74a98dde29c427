/** Splits of any names: built in the recipe's order with train last, each verified before the next begins. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import {
  type Bench,
  bench,
  type Fields,
  goldenHub,
  goldenRecipe,
  json,
  manifestOf,
  ok,
  recordsOf,
  serve,
  temporaryFolder,
} from './cli.ts'

interface Report {
  readonly splits: Readonly<Record<string, { readonly conversations: number; readonly shards: number }>>
  readonly overlap: number
  readonly overlaps?: Readonly<Record<string, number>>
}

const lists: Record<string, Fields[]> = {
  train: [{ task: 'gsm8k', split: 'train' }],
  validation: [{ task: 'gsm8k', split: 'test', stop: 2 }],
  test: [
    { task: 'gsm8k', split: 'test', start: 2 },
    { task: 'gsm8k', split: 'train', stop: 1 },
  ],
}
const withSplits = (...names: string[]) =>
  ({
    ...goldenRecipe({ name: 'splits', shuffle: { kind: 'none' }, shardTokens: 100_000 }),
    splits: Object.fromEntries(names.map((name) => [name, lists[name]])),
  }) as unknown as Parameters<typeof bench>[0]

let hub: Parameters<typeof bench>[1]
beforeAll(async () => {
  hub = await serve(goldenHub)
})
const built = (at: Bench, ...more: string[]) => json<Report>([...at.args, ...more], { env: at.env })

test('three splits: numbering, config.json, overlaps, and train after the others', async () => {
  const at = bench(withSplits('train', 'validation', 'test'), hub)
  const report = await built(at, '--write-lock')
  expect(Object.keys(report.splits)).toEqual(['validation', 'test', 'train'])
  expect(report).toMatchObject({ overlap: 1, overlaps: { validation: 0, test: 1 } })

  const manifest = manifestOf(at.out)
  expect(manifest.files.filter(({ role }) => role === 'tokens').map(({ path }) => path)).toEqual([
    'sft_validation_000000.bin',
    'sft_test_000001.bin',
    'sft_train_000002.bin',
  ])
  expect(manifest).toMatchObject({ overlaps: { validation: 0, test: 1 } })
  const config = JSON.parse(readFileSync(join(at.out, 'config.json'), 'utf8')) as Record<string, unknown>
  expect(Object.keys(config).filter((name) => /_(?:shards|source_counts)$/.test(name))).toEqual([
    'validation_shards',
    'test_shards',
    'train_shards',
    'train_source_counts',
    'test_source_counts',
    'validation_source_counts',
  ])
  expect(config['test_conversations']).toBe(report.splits['test']!.conversations)
  await ok(['verify', at.out])

  const records = [...recordsOf(at.store).values()]
  const verified = records.filter(({ stage }) => stage === 'verify')
  const order = verified
    .sort((a, b) => (a.circumstances.finishedAt < b.circumstances.finishedAt ? -1 : 1))
    .map(({ key }) => manifest.stages.findIndex((stage) => stage.key === key))
  expect(order).toHaveLength(3)
  const shards = manifest.files.filter(({ role }) => role === 'tokens').map(({ stage }) => stage)
  const startOf = (key: string | undefined) => records.find((record) => record.key === key)!.circumstances
  for (const [i, key] of shards.slice(1).entries())
    expect(startOf(key).startedAt >= startOf(shards[i]).finishedAt).toBe(true)

  expect(await built(at, '--locked')).toMatchObject({ published: 'unchanged', stages: { run: 0 } })
})

test('another order is another lock, with the same tokens under other numbers; no train is no overlap', async () => {
  const folder = temporaryFolder()
  const tokens = async (...names: string[]) => {
    const at = bench(withSplits(...names), hub, folder)
    const report = await built(at)
    const manifest = manifestOf(at.out) as ReturnType<typeof manifestOf> & { lockDigest: string }
    const files = manifest.files.filter(({ role }) => role === 'tokens' || role === 'mask')
    return { report, manifest, names: files.map(({ path }) => path), digests: files.map((f) => f.sha256) }
  }
  const first = await tokens('validation', 'test', 'train')
  const second = await tokens('test', 'train', 'validation')
  expect(second.manifest.lockDigest).not.toBe(first.manifest.lockDigest)
  expect(second.names).toContain('sft_test_000000.bin')
  expect([...second.digests].sort()).toEqual([...first.digests].sort())

  const none = await tokens('test')
  expect(none.names).toEqual(['sft_test_000000.bin', 'sft_test_000000_mask.bin'])
  expect(none.report).toMatchObject({ overlap: 0, overlaps: {} })
})
