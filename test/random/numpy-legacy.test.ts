import { describe, expect, test } from 'vitest'
import { NumpyRandomState, pandasSample } from '../../random/numpy-legacy.ts'
import { expectList, fromHexFloat, type ListVector, sha256, vectors } from './support.ts'

interface SeedVectors {
  seed: number
  state_first8: number[]
  state_sha256_u32le: string
  u32_x10: number[]
  random_sample_x3_hex: string[]
  permutation: Record<string, ListVector & { next_u32: number }>
  df_sample: (ListVector & { len: number; n: number })[]
}

const { seeds } = vectors<{ seeds: SeedVectors[] }>('numpy-legacy-randomstate')

test('the vectors cover the seeds they should', () => {
  expect(seeds).toHaveLength(12)
})

describe.each(seeds)('RandomState($seed)', (v) => {
  test('state, words and doubles', () => {
    const words = new NumpyRandomState(v.seed).stateWords()
    expect(Array.from(words.subarray(0, 8))).toEqual(v.state_first8)
    expect(sha256(new Uint8Array(words.buffer))).toBe(v.state_sha256_u32le)
    let rng = new NumpyRandomState(v.seed)
    expect(v.u32_x10.map(() => rng.u32())).toEqual(v.u32_x10)
    rng = new NumpyRandomState(v.seed)
    expect(v.random_sample_x3_hex.map(() => rng.random())).toEqual(v.random_sample_x3_hex.map(fromHexFloat))
  })

  test('permutation, and the stream after it', () => {
    for (const [n, expected] of Object.entries(v.permutation)) {
      const rng = new NumpyRandomState(v.seed)
      expectList(rng.permutation(Number(n)), expected)
      expect(rng.u32()).toBe(expected.next_u32)
    }
  })

  test('DataFrame.sample', () => {
    expect(v.df_sample.length).toBeGreaterThan(10)
    for (const expected of v.df_sample) {
      expectList(pandasSample(expected.len, expected.n, v.seed), expected)
    }
  })
})

test('what NumPy and pandas refuse is refused', () => {
  expect(() => new NumpyRandomState(-1)).toThrow(RangeError)
  expect(() => new NumpyRandomState(2 ** 32)).toThrow(RangeError)
  expect(() => new NumpyRandomState(0.5)).toThrow(RangeError)
  expect(() => pandasSample(3, 4, 0)).toThrow(RangeError)
  expect(() => new NumpyRandomState(0).permutation(2 ** 33)).toThrow(RangeError)
})
