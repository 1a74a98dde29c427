import { Mt19937 } from './mt19937.ts'

/**
 * NumPy's legacy `RandomState(seed)` for an integer seed, bit for bit, and what pandas builds on it.
 * Integer seeds go through `init_genrand`, not `init_by_array` as CPython's do.
 */
export class NumpyRandomState {
  readonly #mt = new Mt19937()

  /** @param seed an integer from 0 to 2^32 - 1; anything else is a RangeError (a ValueError in NumPy). */
  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
      throw new RangeError(`a RandomState seed must be an integer from 0 to 2^32 - 1, not ${seed}`)
    }
    this.#mt.initGenrand(seed)
  }

  /** The next 32-bit word. */
  u32(): number {
    return this.#mt.u32()
  }

  /** `random_sample()`: a double in [0, 1). Two words. */
  random(): number {
    return this.#mt.real53()
  }

  /** `permutation(n)` of [0, …, n-1], 0 <= n <= 2^32 - 1: new place i holds the old place `result[i]`. */
  permutation(n: number): Uint32Array {
    if (!Number.isInteger(n) || n < 0 || n > 0xffffffff) throw new RangeError(`a length cannot be ${n}`)
    const order = new Uint32Array(n)
    for (let i = 0; i < n; i++) order[i] = i
    for (let i = n - 1; i > 0; i--) {
      const mask = 0xffffffff >>> Math.clz32(i)
      let j = (this.#mt.next() & mask) >>> 0
      while (j > i) j = (this.#mt.next() & mask) >>> 0
      const kept = order[i]!
      order[i] = order[j]!
      order[j] = kept
    }
    return order
  }

  /** `choice(n, size=k, replace=False)`: the first k of a whole permutation. RangeError when k > n. */
  choice(n: number, k: number): Uint32Array {
    if (!Number.isInteger(k) || k < 0 || k > n) throw new RangeError(`cannot choose ${k} of ${n}`)
    return this.permutation(n).slice(0, k)
  }

  /** The 624 state words right after seeding: `get_state()[1]`. */
  stateWords(): Uint32Array {
    return this.#mt.words()
  }
}

/** The row numbers that `DataFrame.sample(n=k, random_state=seed)` takes of `n` rows, in its order. */
export function pandasSample(n: number, k: number, seed: number): Uint32Array {
  return new NumpyRandomState(seed).choice(n, k)
}
