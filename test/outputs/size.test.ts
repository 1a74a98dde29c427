/**
 * The formats where their parts have boundaries: ids of four bytes, conversations that cross the shard stage's windows and
 * parquet's row groups, lengths of one, two and four bytes, a conversation longer than a shard, an empty split, and the
 * sizes that a format cannot say.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { asSft, formatOf, mainFiles, namesOfShard } from '../../output/find-shard.ts'
import { readManifest } from '../../output/manifest.ts'
import { DiskFile } from '../../stages/outputs/byte-files.ts'
import { type ShardContent, valuesArray } from '../../stages/outputs/define-output.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import { mds } from '../../stages/outputs/mds.ts'
import { parquet } from '../../stages/outputs/parquet.ts'
import { pt } from '../../stages/outputs/pt.ts'
import type { BlobWriter } from '../../store/types.ts'

const dir = mkdtempSync(join(tmpdir(), 'shardmill-size-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Words of one token each, so that a message has a known length. */
const words = [' the', ' of', ' word', ' time', ' water', ' 12']
const message = (tokens: number, from: number) =>
  Array.from({ length: tokens }, (_, i) => words[(from + i * i) % words.length]).join('')
/** Of the answers. Beside them a conversation has nanochat's tokens: about ten. */
const lengths = [1, 235, 240, 245, 250, 255, 65_520, 65_530, 65_540, 1_300_000, 3, 900_000, 2_400_000, 700]

async function built(format: string, shardTokens = 4_500_000): Promise<string> {
  const out = join(dir, `${format}-${shardTokens}`)
  const text = `
kind: sft
name: size
tokenizer: { kind: tiktoken, encoding: cl100k_base }
template: nanochat
maxSeqLen: 2000000
shardTokens: ${shardTokens}
shuffle: { kind: none }
output: { format: ${format} }
splits:
  val: []
  train:
    - { task: custom_json, path: long.jsonl }
`
  await build({
    recipe: { text, file: join(dir, 'recipe.yaml'), settings: [] },
    out,
    store: join(dir, 'store'),
    threads: 2,
    env: {},
    signal: new AbortController().signal,
    observer: silentObserver,
  })
  return out
}

/** Digests of all ids and masks in order, and of each conversation where the format keeps them apart. */
async function digestsOf(out: string) {
  const manifest = asSft((await readManifest(out))!, out)
  const { format, facts } = formatOf(manifest)
  expect(facts.dtype).toBe('uint32')
  expect(mainFiles(manifest, 'val')).toEqual([])
  const all = createHash('sha256')
  const rows: string[] = []
  let tokens = 0
  for (const { path } of mainFiles(manifest, 'train')) {
    const files: Record<string, DiskFile> = {}
    for (const [role, name] of Object.entries(namesOfShard(out, path, manifest)))
      files[role] = await DiskFile.open(join(out, name), name)
    for await (const { ids, mask, lengths: own } of (await format.open(files, facts)).pieces()) {
      const pairs = new Uint32Array(2 * ids.length)
      for (let i = 0; i < ids.length; i++) {
        pairs[2 * i] = ids[i]!
        pairs[2 * i + 1] = mask[i]!
      }
      all.update(pairs)
      tokens += ids.length
      let at = 0
      for (const length of own ?? []) {
        const row = pairs.subarray(2 * at, 2 * (at + length))
        rows.push(`${length} ${createHash('sha256').update(row).digest('hex')}`)
        at += length
      }
    }
    for (const file of Object.values(files)) await file.close()
  }
  const shards = mainFiles(manifest, 'train').length
  return { tokens, shards, digest: all.digest('hex'), rows }
}

describe('conversations of every length', { timeout: 120_000 }, () => {
  let wanted: Awaited<ReturnType<typeof digestsOf>>
  let rows: readonly string[]
  beforeAll(async () => {
    const lines = lengths.map((length, i) =>
      JSON.stringify([
        { role: 'user', content: 'go' },
        { role: 'assistant', content: message(length, i) },
      ]),
    )
    writeFileSync(join(dir, 'long.jsonl'), `${lines.join('\n')}\n`)
    wanted = await digestsOf(await built('llmc-bin'))
    rows = (await digestsOf(await built('megatron'))).rows
  }, 120_000)

  test('are what this is about', () => {
    const found = rows.map((row) => Number(row.split(' ')[0]))
    expect(found).toHaveLength(lengths.length)
    for (const [below, from] of [
      [256, 0],
      [65_536, 256],
      [1 << 20, 65_536],
      [Number.POSITIVE_INFINITY, 1 << 20],
    ] as const)
      expect(found.filter((length) => length >= from && length < below).length).toBeGreaterThan(1)
    expect(wanted.tokens).toBeGreaterThan(4 << 20)
    expect(wanted.shards).toBe(2)
  })

  for (const { name } of outputFormats.filter((format) => !['text', 'llmc-bin'].includes(format.name)))
    test(name, async () => {
      const found = await digestsOf(await built(name))
      expect(found.tokens).toBe(wanted.tokens)
      if (name !== 'packed') expect(found.digest).toBe(wanted.digest)
      if (name === 'packed') expect([...found.rows].sort()).toEqual([...rows].sort())
      else if (name !== 'npy') expect(found.rows).toEqual(rows)
    })

  test('each longer than a shard: a shard of its own', async () => {
    const found = await digestsOf(await built('mds', 200))
    expect(found).toMatchObject({ digest: wanted.digest, rows, shards: lengths.length })
  })
})

describe('what cannot be written', () => {
  const none: BlobWriter = {
    bytes: 0,
    write: async () => {
      throw new Error('nothing is written')
    },
    commit: async () => {
      throw new Error('nothing is written')
    },
    abort: async () => {},
  }
  const contentOf = (lengths: Uint32Array): ShardContent => ({
    dtype: 'uint32',
    bosId: 0,
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    lengths,
    windows: () => {
      throw new Error('nothing is read')
    },
  })

  test.each([
    [mds, 'samples'],
    [pt, 'tensors'],
  ] as const)('4 GiB, before anything is written (%#)', async (format, role) => {
    const content = contentOf(new Uint32Array(9).fill(100_000_000))
    await expect(format.write(content, { [role]: none }, {})).rejects.toMatchObject({
      code: 'OUTPUT',
      why: expect.stringContaining('larger than 4 GiB'),
    })
  })

  test('rows too long to be put together in memory', () => {
    for (const maxSeqLen of [1 << 24, 2 ** 31 - 1])
      expect(() =>
        outputFormats.find(({ name }) => name === 'packed')!.settle!({ buffer: 1 }, { maxSeqLen }),
      ).toThrow(/too long to be packed: at most 16777216/)
  })
})

test('a row without tokens, and one longer than a group, in parquet', async () => {
  const lengths = Uint32Array.from([0, 3, 0, 1_200_000, 0, 2])
  const total = lengths.reduce((sum, length) => sum + length, 0)
  const tokens = valuesArray('uint32', total).map((_, i) => (i * 7919) % 200_000)
  const mask = valuesArray('uint32', total).map((_, i) => (i % 3) & 1)
  const content: ShardContent = {
    dtype: 'uint32',
    bosId: 0,
    tokens: total,
    lengths,
    windows: () => [{ tokens, mask }],
  }
  const chunks: Buffer[] = []
  const file: BlobWriter = {
    bytes: 0,
    write: async (bytes) => {
      chunks.push(Buffer.from(bytes))
    },
    commit: async () => {
      throw new Error('not here')
    },
    abort: async () => {},
  }
  await parquet.write(content, { rows: file }, {})
  const path = join(dir, 'gaps.parquet')
  writeFileSync(path, Buffer.concat(chunks))
  const rows = await DiskFile.open(path, path)
  const found: number[] = []
  let at = 0
  for await (const piece of (
    await parquet.open({ rows }, { dtype: 'uint32', bosId: 0, options: {} })
  ).pieces()) {
    found.push(...piece.lengths!)
    expect(piece.ids.every((id, i) => id === tokens[at + i])).toBe(true)
    expect(piece.mask.every((value, i) => value === mask[at + i])).toBe(true)
    at += piece.ids.length
  }
  await rows.close()
  expect(found).toEqual([...lengths])
})
