import { describe, expect, test } from 'vitest'
import { NumpyGenerator, numpyPermutation, SeedSequence } from '../../random/numpy-random.ts'
import { expectList, fromHexFloat, type ListVector, vectors } from './support.ts'

interface SeedVectors {
  seed: string
  pool: number[]
  generate_state_u32_8: number[]
  generate_state_u64_4: string[]
  pcg64_state: string
  pcg64_inc: string
  raw_u64_x8: string[]
  random_x3_hex: string[]
  permutation: Record<string, ListVector & { after_has_uint32: number; after_next_raw: string }>
}

const { seeds, hf_seed42: datasets } = vectors<{
  seeds: SeedVectors[]
  hf_seed42: Record<string, ListVector & { n: number }>
}>('numpy-default-rng')

test('the vectors cover the seeds they should', () => {
  expect(seeds).toHaveLength(19)
})

describe.each(seeds)('default_rng($seed)', (v) => {
  const seed = BigInt(v.seed)

  test('SeedSequence', () => {
    const sequence = new SeedSequence(seed)
    expect(Array.from(sequence.pool)).toEqual(v.pool)
    const state = sequence.generateState(8)
    expect(Array.from(state)).toEqual(v.generate_state_u32_8)
    const wide = [0, 2, 4, 6].map((k) => ((BigInt(state[k + 1]!) << 32n) | BigInt(state[k]!)).toString())
    expect(wide).toEqual(v.generate_state_u64_4)
  })

  test('PCG64 state and raw output', () => {
    const rng = new NumpyGenerator(seed)
    expect(rng.state()).toEqual({
      state: BigInt(v.pcg64_state),
      inc: BigInt(v.pcg64_inc),
      buffered: undefined,
    })
    expect(v.raw_u64_x8.map(() => rng.nextU64().toString())).toEqual(v.raw_u64_x8)
  })

  test('random', () => {
    const rng = new NumpyGenerator(seed)
    expect(v.random_x3_hex.map(() => rng.random())).toEqual(v.random_x3_hex.map(fromHexFloat))
  })

  test('permutation, and the stream after it', () => {
    for (const [n, expected] of Object.entries(v.permutation)) {
      const rng = new NumpyGenerator(seed)
      expectList(rng.permutation(Number(n)), expected)
      expect(rng.state().buffered !== undefined).toBe(expected.after_has_uint32 === 1)
      expect(rng.nextU64().toString()).toBe(expected.after_next_raw)
    }
  })
})

test.each(Object.entries(datasets))('the order of %s under seed 42', (_name, expected) => {
  expectList(numpyPermutation(expected.n, 42), expected)
})

test('the 128-bit step equals BigInt arithmetic over a long run', () => {
  const rng = new NumpyGenerator(123456789)
  let { state } = rng.state()
  const { inc } = rng.state()
  const mask = (1n << 128n) - 1n
  for (let i = 0; i < 20_000; i++) {
    state = (state * 0x2360ed051fc65da44385df649fccf645n + inc) & mask
    const x = ((state >> 64n) ^ state) & 0xffffffffffffffffn
    const turn = state >> 122n
    const expected = ((x >> turn) | (x << (64n - turn))) & 0xffffffffffffffffn
    if (rng.nextU64() !== expected) throw new Error(`draw ${i} differs`)
  }
  expect(rng.state().state).toBe(state)
})

test('integers', () => {
  // default_rng(7).integers(low, high), one after another on one generator, from NumPy 2.4.
  const ranges: [number, number][] = [
    [0, 10],
    [5, 6],
    [-5, 5],
    [0, 4294967296],
    [0, 2147483649],
    [0, 2147483649],
    [0, 2147483649],
    [0, 3221225472],
    [0, 3221225472],
    [0, 1000000],
    [100, 4294967296],
    [0, 7],
    [0, 4294967295],
    [0, 2],
  ]
  const draws = [
    9, 5, 1, 2938530453, 1926751966, 1241873585, 1790251937, 725443136, 178879731, 300166, 1224353659, 6,
    3919686767, 0,
  ]
  const rng = new NumpyGenerator(7)
  expect(ranges.map(([low, high]) => rng.integers(low, high))).toEqual(draws)
})

test('what NumPy refuses is refused', () => {
  expect(() => new NumpyGenerator(-1)).toThrow(RangeError)
  expect(() => new NumpyGenerator(1.5)).toThrow(RangeError)
  const rng = new NumpyGenerator(1)
  expect(() => rng.permutation(-1)).toThrow(RangeError)
  expect(() => rng.permutation(2 ** 32)).toThrow(RangeError)
  expect(() => rng.integers(5, 5)).toThrow(RangeError)
  expect(() => rng.integers(0, 2 ** 33)).toThrow(RangeError)
})
