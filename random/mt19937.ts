/**
 * The Mersenne Twister MT19937 (Matsumoto & Nishimura, 1998, with the 2002 seeding): the word generator below
 * CPython's `random` and NumPy's legacy `RandomState`.
 *
 * Words are twisted one at a time as they are drawn. Word k needs only the words k, k+1 and k+397 (mod 624) as they
 * stand when the usual block-wise twist reaches it, so the output is the same, and a generator that is seeded for
 * a dozen draws (one per generated row) does not pay for 624.
 */

const N = 624
const M = 397
const MATRIX_A = 0x9908b0df

/** The state after `init_genrand(19650218)`, from which every `init_by_array` starts. */
const ARRAY_SEED_STATE = initGenrand(new Int32Array(N), 19650218)

export class Mt19937 {
  // Signed words: V8 keeps them as machine integers where unsigned ones may become heap numbers.
  readonly #mt = new Int32Array(N)
  #index = 0

  /** `init_genrand`: seeds from one word (NumPy's legacy integer seeding). */
  initGenrand(seed: number): void {
    initGenrand(this.#mt, seed)
    this.#index = 0
  }

  /** `init_by_array` with a key of one word, the common case, with no allocation. */
  initByWord(key: number): void {
    const mt = this.#mt
    const base = ARRAY_SEED_STATE
    key |= 0
    let previous = base[0]!
    for (let a = 1; a < N; a++) {
      previous = ((base[a]! ^ Math.imul(previous ^ (previous >>> 30), 1664525)) + key) | 0
      mt[a] = previous
    }
    // Step 624 wraps: word 0 takes word 623, and word 1 is mixed once more.
    previous = ((mt[1]! ^ Math.imul(previous ^ (previous >>> 30), 1664525)) + key) | 0
    mt[1] = previous
    this.#finishArray(previous, 2)
  }

  /** `init_by_array`: seeds from one or more 32-bit words. */
  initByArray(key: ArrayLike<number>): void {
    if (key.length === 0) throw new RangeError('init_by_array needs at least one word')
    const mt = this.#mt
    mt.set(ARRAY_SEED_STATE)
    let a = 1
    let b = 0
    let previous = mt[0]!
    for (let step = Math.max(N, key.length); step > 0; step--) {
      previous = ((mt[a]! ^ Math.imul(previous ^ (previous >>> 30), 1664525)) + key[b]! + b) | 0
      mt[a] = previous
      if (++a >= N) a = 1
      if (++b >= key.length) b = 0
    }
    this.#finishArray(previous, a)
  }

  /** The second pass of `init_by_array`: 623 steps from word `a`, `previous` being the word before it. */
  #finishArray(previous: number, a: number): void {
    const mt = this.#mt
    const start = a
    for (; a < N; a++) {
      previous = ((mt[a]! ^ Math.imul(previous ^ (previous >>> 30), 1566083941)) - a) | 0
      mt[a] = previous
    }
    for (a = 1; a < start; a++) {
      previous = ((mt[a]! ^ Math.imul(previous ^ (previous >>> 30), 1566083941)) - a) | 0
      mt[a] = previous
    }
    mt[0] = 0x80000000 | 0
    this.#index = 0
  }

  /** The next word as a signed 32-bit integer: for callers that shift it right anyway. */
  next(): number {
    const mt = this.#mt
    const k = this.#index
    const after = k + 1 === N ? 0 : k + 1
    const far = k + M < N ? k + M : k + M - N
    const mixed = (mt[k]! & 0x80000000) | (mt[after]! & 0x7fffffff)
    let y = mt[far]! ^ (mixed >>> 1) ^ (-(mixed & 1) & MATRIX_A)
    mt[k] = y
    this.#index = after
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return y ^ (y >>> 18)
  }

  /** The next word, 0 to 2^32 - 1. */
  u32(): number {
    return this.next() >>> 0
  }

  /** A double in [0, 1) with 53 random bits, from two words (`genrand_res53`). */
  real53(): number {
    const high = this.next() >>> 5
    const low = this.next() >>> 6
    return (high * 67108864 + low) / 9007199254740992
  }

  /** A copy of the 624 state words. Only right after seeding is it the state that a block-wise twister would show. */
  words(): Uint32Array {
    return Uint32Array.from(this.#mt, (word) => word >>> 0)
  }
}

function initGenrand(mt: Int32Array, seed: number): Int32Array {
  let previous = seed | 0
  mt[0] = previous
  for (let k = 1; k < N; k++) {
    previous = (Math.imul(1812433253, previous ^ (previous >>> 30)) + k) | 0
    mt[k] = previous
  }
  return mt
}
