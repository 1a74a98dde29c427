/** Packing against nanochat's own data loader: recorded batches, over epochs and ranks. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readManifest } from '../../output/manifest.ts'
import { packRows, rowsOf } from '../../stages/outputs/pack-rows.ts'
import { Bench } from './support.ts'

interface PackingCase {
  readonly conversation_lengths: readonly number[]
  readonly max_seq_len: number
  readonly device_batch_size: number
  readonly buffer_size: number
  readonly world_size: number
  readonly rank: number
  readonly batches: readonly { readonly inputs: number[][]; readonly targets: number[][] }[]
}

const { cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/vectors/nanochat-packing.json'), 'utf8'),
) as { cases: readonly PackingCase[] }
const bos = 9999

/** The rule that the vectors state. */
function conversation(k: number, length: number): { id: number; mask: number }[] {
  return Array.from({ length }, (_, t) =>
    t === 0 ? { id: bos, mask: 0 } : { id: (k * 100 + t) % 9000, mask: t % 3 === 0 ? 0 : 1 },
  )
}

describe.each(cases.map((of, i) => [i, of] as const))('case %i', (_, of) => {
  const rowTokens = of.max_seq_len + 1
  /** The dataset as a rank sees it, epoch after epoch. */
  const endless = () => {
    let at = of.rank
    return () => {
      const k = at
      at = (at + of.world_size) % of.conversation_lengths.length
      return { k, tokens: of.conversation_lengths[k]! }
    }
  }

  if (of.conversation_lengths.some((length) => length > rowTokens)) {
    test('a conversation longer than a row is an error, where nanochat would wait for ever', () => {
      const rows = packRows(endless(), { rowTokens, buffer: of.buffer_size })
      expect(() => rows.next()).toThrow(/12 tokens fits no row of 11/)
    })
    return
  }

  test('the same inputs and targets', () => {
    expect(of.batches.length).toBeGreaterThan(0)
    const rows = packRows(endless(), { rowTokens, buffer: of.buffer_size })
    for (const { inputs, targets } of of.batches) {
      for (let b = 0; b < of.device_batch_size; b++) {
        const packed = rows.next().value as { k: number; tokens: number }[]
        const row = packed.flatMap(({ k, tokens }) => conversation(k, tokens))
        while (row.length < rowTokens) row.push({ id: bos, mask: 0 })
        expect(row.slice(0, -1).map(({ id }) => id)).toEqual(inputs[b])
        expect(row.slice(1).map(({ id, mask }) => (mask === 0 ? -1 : id))).toEqual(targets[b])
      }
    }
  })
})

test('rows can be told from the order of conversations alone', () => {
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 48271) % 2147483647
    return seed % below
  }
  for (let round = 0; round < 200; round++) {
    const rowTokens = 1 + random(60)
    const lengths = Array.from({ length: random(300) }, () => 1 + random(rowTokens))
    let at = 0
    const next = () => (at < lengths.length ? { at, tokens: lengths[at++]! } : undefined)
    const rows = [...packRows(next, { rowTokens, buffer: 1 + random(20) })]
    const packed = rows.flat().map(({ tokens }) => tokens)
    expect(rows.flat().map((item) => item.at)).toHaveLength(lengths.length)
    expect(new Set(rows.flat().map((item) => item.at)).size).toBe(lengths.length)
    const ends = [...rowsOf(packed, rowTokens)].map(({ first, end }) => packed.slice(first, end))
    expect(ends).toEqual(rows.map((row) => row.map(({ tokens }) => tokens)))
  }
})

const bench = new Bench()
afterAll(() => bench.close())

test('rows shorter than maxSeqLen are refused before any work', async () => {
  await expect(bench.build('short', 'output: { format: packed, rowTokens: 63 }')).rejects.toMatchObject({
    code: 'RECIPE',
    why: expect.stringContaining('output.rowTokens is 63, less than maxSeqLen (64)'),
  })
})

test('rowTokens and buffer change what follows from them, and nothing before', async () => {
  const one = await bench.build('one', 'output: { format: packed }')
  const two = await bench.build('two', 'output: { format: packed, rowTokens: 128, buffer: 2 }')
  expect(one.lock.output).toEqual({
    format: 'packed',
    version: 1,
    options: { rowTokens: 65, buffer: 100 },
    cut: { rowTokens: 65, buffer: 100 },
  })
  const keys = async (out: string) =>
    (await readManifest(out))!.stages.map(({ stage, key }) => `${stage} ${key}`)
  const before = new Set(await keys(one.out))
  const fresh = (await keys(two.out)).filter((key) => !before.has(key))
  expect(new Set(fresh.map((key) => key.split(' ')[0]))).toEqual(new Set(['shuffle', 'shard', 'verify']))
})
