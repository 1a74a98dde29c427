import seedrandom from 'seedrandom'

/**
 * A shuffle of [0, …, n-1] with the npm package `seedrandom` (its default generator, ARC4):
 * for i = n-1 down to 1, j = floor(rng() * (i + 1)), swap places i and j.
 *
 * The seed goes to the package as it is; note that it tells the number 42 from the string '42'.
 * n is 0 to 2^32 - 1; result[i] is the old place of new place i.
 */
export function seedrandomPermutation(n: number, seed: string | number): Uint32Array {
  if (!Number.isInteger(n) || n < 0 || n > 0xffffffff) throw new RangeError(`a length cannot be ${n}`)
  // The types say that a seed is a string; the package flattens any value, and people do pass numbers.
  const rng = seedrandom(seed as string)
  const order = new Uint32Array(n)
  for (let i = 0; i < n; i++) order[i] = i
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(rng() * (i + 1))
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}
