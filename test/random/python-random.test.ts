import { describe, expect, test } from 'vitest'
import { PythonRandom } from '../../random/python-random.ts'
import { expectList, fromHexFloat, type ListVector, sha256, sha256Int64, vectors } from './support.ts'

interface SeedVectors {
  seed: string
  state_first8: number[]
  state_sha256_u32le: string
  getrandbits32_x10: number[]
  random_x5: string[]
  random_x5_hex: string[]
  getrandbits_k: Record<string, string>
  randbelow: [string, string][]
  'randint_0_2^32-1_x5': number[]
  'randint_-5_5_x10': number[]
  choice_26_x10: string[]
  shuffle: Record<string, number[] | (ListVector & { next_random: string })>
  sample: (ListVector & { n: number; k: number; next_random: string })[]
  two_shuffles_10: [number[], number[]]
}

const { seeds } = vectors<{ seeds: SeedVectors[] }>('python-random')
const alphabet = [...'abcdefghijklmnopqrstuvwxyz']

test('the vectors cover the seeds they should', () => {
  expect(seeds).toHaveLength(26)
})

describe.each(seeds)('random.Random($seed)', (v) => {
  const fresh = () => new PythonRandom(BigInt(v.seed))

  test('state after seeding', () => {
    const words = fresh().stateWords()
    expect(Array.from(words.subarray(0, 8))).toEqual(v.state_first8)
    expect(sha256(new Uint8Array(words.buffer))).toBe(v.state_sha256_u32le)
  })

  test('a number seeds like the same bigint', () => {
    const seed = Number(v.seed)
    if (!Number.isSafeInteger(seed)) {
      expect(() => new PythonRandom(seed)).toThrow(RangeError)
    } else {
      expect(new PythonRandom(seed).stateWords()).toEqual(fresh().stateWords())
    }
  })

  test('getrandbits and random', () => {
    let rng = fresh()
    expect(v.getrandbits32_x10.map(() => rng.getrandbits(32))).toEqual(v.getrandbits32_x10)
    rng = fresh()
    expect(v.random_x5.map(() => rng.random())).toEqual(v.random_x5.map(Number))
    rng = fresh()
    expect(v.random_x5_hex.map(() => rng.random())).toEqual(v.random_x5_hex.map(fromHexFloat))
    rng = fresh()
    const mixed = fresh()
    for (const [k, value] of Object.entries(v.getrandbits_k)) {
      expect(rng.getrandbitsBig(Number(k))).toBe(BigInt(value))
      if (Number(k) <= 53) expect(mixed.getrandbits(Number(k))).toBe(Number(value))
      else mixed.getrandbitsBig(Number(k))
    }
  })

  test('randbelow and randint', () => {
    let rng = fresh()
    const big = fresh()
    for (const [n, value] of v.randbelow) {
      expect(big.randbelowBig(BigInt(n))).toBe(BigInt(value))
      if (Number.isSafeInteger(Number(n))) expect(rng.randbelow(Number(n))).toBe(Number(value))
      else expect(rng.randbelowBig(BigInt(n))).toBe(BigInt(value))
    }
    rng = fresh()
    const wide = v['randint_0_2^32-1_x5']
    expect(wide.map(() => rng.randint(0, 2 ** 32 - 1))).toEqual(wide)
    rng = fresh()
    const signed = v['randint_-5_5_x10']
    expect(signed.map(() => rng.randint(-5, 5))).toEqual(signed)
  })

  test('choice', () => {
    const rng = fresh()
    expect(v.choice_26_x10.map(() => rng.choice(alphabet))).toEqual(v.choice_26_x10)
  })

  test('shuffle and permutation', () => {
    for (const [n, expected] of Object.entries(v.shuffle)) {
      const rng = fresh()
      const order = rng.permutation(Number(n))
      if (Array.isArray(expected)) {
        expect(Array.from(order)).toEqual(expected)
      } else {
        expectList(order, expected)
        expect(rng.random()).toBe(Number(expected.next_random))
      }
      const list = Array.from({ length: Number(n) }, (_, i) => i)
      fresh().shuffle(list)
      expect(sha256Int64(list)).toBe(sha256Int64(order))
    }
    const rng = fresh()
    expect([0, 1].map(() => Array.from(rng.permutation(10)))).toEqual(v.two_shuffles_10)
  })

  test('sample, in both branches, and the stream after it', () => {
    expect(v.sample.length).toBeGreaterThan(20)
    for (const expected of v.sample) {
      const rng = fresh()
      expectList(rng.sample(expected.n, expected.k), expected)
      expect(rng.random()).toBe(Number(expected.next_random))
    }
  })
})

test('seeding again in the middle of the stream starts it anew', () => {
  const rng = new PythonRandom(1n << 80n)
  for (let i = 0; i < 700; i++) rng.random()
  rng.seed(42)
  expect(rng.random()).toBe(0.6394267984578837)
  rng.seed(0)
  expect(rng.random()).toBe(0.8444218515250481)
})

test('words past the first block equal CPython', () => {
  // Random(42): getrandbits(32) number 623, 624, 1247, 1248 and 4999, from CPython 3.11.
  const rng = new PythonRandom(42)
  const draws = Array.from({ length: 5000 }, () => rng.getrandbits(32))
  expect([623, 624, 1247, 1248, 4999].map((i) => draws[i])).toEqual([
    2929454134, 1071722055, 3190649866, 2301518177, 1063239503,
  ])
})

test('shuffle moves typed arrays like lists', () => {
  const signed = Int32Array.from({ length: 10 }, (_, i) => -i)
  new PythonRandom(42).shuffle(signed)
  expect(Array.from(signed, (x) => (x === 0 ? 0 : -x))).toEqual([7, 3, 2, 8, 5, 6, 9, 4, 0, 1])
})

test('what Python refuses is refused', () => {
  const rng = new PythonRandom(0)
  expect(() => rng.choice([])).toThrow(RangeError)
  expect(() => rng.sample(3, 4)).toThrow(RangeError)
  expect(() => rng.sample(3, -1)).toThrow(RangeError)
  expect(() => rng.randbelow(0)).toThrow(RangeError)
  expect(() => rng.randbelow(Number.NaN)).toThrow(RangeError)
  expect(() => rng.randbelow(2 ** 53)).toThrow(RangeError)
  expect(() => rng.randint(1, 0)).toThrow(RangeError)
  expect(() => rng.seed(0.5)).toThrow(RangeError)
  expect(() => rng.getrandbits(54)).toThrow(RangeError)
  expect(() => rng.permutation(-1)).toThrow(RangeError)
  expect(rng.getrandbits(0)).toBe(0)
  expect(rng.getrandbitsBig(0)).toBe(0n)
  expect(rng.random()).toBe(0.8444218515250481)
})

interface MixtureMap {
  n: number
  first10: [number, number][]
  sha256_i64le_pairs: string
}

describe('mixture maps of the reference', () => {
  const { mixture_maps: maps, mixture_index_map_4_4_2: small } = vectors<{
    mixture_maps: Record<string, MixtureMap>
    mixture_index_map_4_4_2: [number, number][]
  }>('nanochat')

  /** (task, row) pairs in task order, shuffled with Random(42), flattened. */
  function mixtureMap(lengths: readonly number[]): Uint32Array {
    const pairs = lengths.flatMap((length, task) => Array.from({ length }, (_, row) => [task, row] as const))
    const order = new PythonRandom(42).permutation(pairs.length)
    const flat = new Uint32Array(2 * pairs.length)
    order.forEach((place, i) => {
      flat.set(pairs[place]!, 2 * i)
    })
    return flat
  }

  test('lengths 4, 4, 2', () => {
    expect(Array.from(mixtureMap([4, 4, 2]))).toEqual(small.flat())
  })

  test.each(Object.entries(maps))('lengths %s', (lengths, expected) => {
    const map = mixtureMap(lengths.split(',').map(Number))
    expect(map.length).toBe(2 * expected.n)
    expect(Array.from(map.subarray(0, 20))).toEqual(expected.first10.flat())
    expect(sha256Int64(map)).toBe(expected.sha256_i64le_pairs)
  })
})
