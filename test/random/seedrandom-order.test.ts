import seedrandom from 'seedrandom'
import { expect, test } from 'vitest'
import { seedrandomPermutation } from '../../random/seedrandom-order.ts'
import { sha256Int64 } from './support.ts'

test('swaps downwards with floor(rng() * (i + 1))', () => {
  const rng = seedrandom('hello.')
  // The package's README gives these as the first outputs for this seed.
  expect([rng(), rng()]).toEqual([0.9282578795792454, 0.3752569768646784])
  // n = 3: j = floor(0.928 * 3) = 2 (stays), then j = floor(0.375 * 2) = 0.
  expect(Array.from(seedrandomPermutation(3, 'hello.'))).toEqual([1, 0, 2])
})

test('a fixed seed gives a fixed order', () => {
  expect(Array.from(seedrandomPermutation(10, '42'))).toEqual([6, 9, 8, 4, 3, 5, 2, 7, 1, 0])
  expect(Array.from(seedrandomPermutation(10, 42))).toEqual([6, 2, 9, 7, 3, 4, 1, 5, 8, 0])
  expect(sha256Int64(seedrandomPermutation(100_000, 'shardmill'))).toBe(
    '15a131ad2e0fe9cbb7aea40e87951d14dc9bfa505420f80e0c3c952c915c1be2',
  )
})

test('it is a permutation', () => {
  const order = seedrandomPermutation(1000, 7)
  expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  expect(seedrandomPermutation(0, 7)).toHaveLength(0)
  expect(() => seedrandomPermutation(-1, 7)).toThrow(RangeError)
})
