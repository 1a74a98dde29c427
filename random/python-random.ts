import { Mt19937 } from './mt19937.ts'

/**
 * CPython's `random.Random(seed)` for integer seeds, bit for bit (checked against CPython 3.11; the algorithms have
 * been stable since 3.2). One object can be seeded again and again without allocation: `random.seed(i)` per row.
 *
 * Sizes and bounds are JavaScript numbers up to 2^53 - 1; the big variants take any size.
 */
export class PythonRandom {
  readonly #mt = new Mt19937()

  constructor(seed: number | bigint) {
    this.seed(seed)
  }

  /** `Random.seed(n)`: the sign is dropped, as CPython does, so -n and n give the same stream. */
  seed(seed: number | bigint): void {
    if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
      throw new RangeError(`a seed must be a safe integer or a bigint, not ${seed}`)
    }
    const magnitude = seed < 0 ? -seed : seed
    if (typeof magnitude === 'number' && magnitude <= 0xffffffff) this.#mt.initByWord(magnitude)
    else this.#mt.initByArray(words32(BigInt(magnitude)))
  }

  /** `random()`: a double in [0, 1). Two words. */
  random(): number {
    return this.#mt.real53()
  }

  /** `getrandbits(k)` for 0 <= k <= 53, as a number. */
  getrandbits(k: number): number {
    if (!Number.isInteger(k) || k < 0 || k > 53)
      throw new RangeError(`getrandbits takes 0 to 53 bits, not ${k}`)
    if (k === 0) return 0
    if (k <= 32) return this.#mt.next() >>> (32 - k)
    const low = this.#mt.u32()
    return (this.#mt.next() >>> (64 - k)) * 4294967296 + low
  }

  /** `getrandbits(k)` for any k >= 0: words from the least significant, the last one shifted right. */
  getrandbitsBig(k: number): bigint {
    if (!Number.isInteger(k) || k < 0) throw new RangeError(`the number of bits must be 0 or more, not ${k}`)
    let value = 0n
    for (let done = 0; done < k; done += 32) {
      const left = k - done
      const word = left >= 32 ? this.#mt.u32() : this.#mt.next() >>> (32 - left)
      value |= BigInt(word) << BigInt(done)
    }
    return value
  }

  /** `_randbelow(n)`: an integer in [0, n), 0 < n < 2^53, by drawing as many bits as n has until they are below n. */
  randbelow(n: number): number {
    if (!(n >= 1 && n <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`the bound must be 1 to 2^53 - 1, not ${n}`)
    }
    if (n <= 0xffffffff) {
      const shift = Math.clz32(n)
      let r = this.#mt.next() >>> shift
      while (r >= n) r = this.#mt.next() >>> shift
      return r
    }
    const bits = 64 - Math.clz32(n / 4294967296)
    let r = this.getrandbits(bits)
    while (r >= n) r = this.getrandbits(bits)
    return r
  }

  /** `_randbelow(n)` for any n > 0. */
  randbelowBig(n: bigint): bigint {
    if (n <= 0n) throw new RangeError(`the bound must be positive, not ${n}`)
    const bits = n.toString(2).length
    let r = this.getrandbitsBig(bits)
    while (r >= n) r = this.getrandbitsBig(bits)
    return r
  }

  /** `randint(a, b)`: an integer in [a, b]. */
  randint(a: number, b: number): number {
    return a + this.randbelow(b - a + 1)
  }

  /** `choice(items)`. On a Python `str` the items are code points: pass `[...text]`, or draw `randbelow(length)`. */
  choice<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('cannot choose from nothing')
    return items[this.randbelow(items.length)]!
  }

  /** `shuffle(items)`, in place: for i = n-1 down to 1, swap with `_randbelow(i + 1)`. */
  shuffle(items: Uint32Array | Int32Array): void
  shuffle<T>(items: T[]): void
  shuffle<T>(items: Uint32Array | Int32Array | T[]): void {
    if (Array.isArray(items)) this.#shuffleList(items)
    else this.#shuffleWords(items)
  }

  /** What `shuffle` makes of [0, 1, …, n-1]: new place i holds the old place `result[i]`. n <= 2^32 - 1. */
  permutation(n: number): Uint32Array {
    const order = countUp(n)
    this.#shuffleWords(order)
    return order
  }

  /** `sample(range(n), k)`: k distinct places in the order in which they were drawn. RangeError when k > n. */
  sample(n: number, k: number): Uint32Array {
    if (!Number.isInteger(k) || k < 0 || k > n) throw new RangeError(`cannot sample ${k} of ${n}`)
    const drawn = new Uint32Array(k)
    if (n <= poolLimit(k)) {
      const pool = countUp(n)
      for (let i = 0; i < k; i++) {
        const j = this.randbelow(n - i)
        drawn[i] = pool[j]!
        pool[j] = pool[n - i - 1]!
      }
    } else {
      const seen = new Set<number>()
      for (let i = 0; i < k; i++) {
        let j = this.randbelow(n)
        while (seen.has(j)) j = this.randbelow(n)
        seen.add(j)
        drawn[i] = j
      }
    }
    return drawn
  }

  /** The 624 state words right after seeding: `getstate()[1][:-1]`. */
  stateWords(): Uint32Array {
    return this.#mt.words()
  }

  #shuffleWords(items: Uint32Array | Int32Array): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.randbelow(i + 1)
      const kept = items[i]!
      items[i] = items[j]!
      items[j] = kept
    }
  }

  #shuffleList<T>(items: T[]): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.randbelow(i + 1)
      const kept = items[i]!
      items[i] = items[j]!
      items[j] = kept
    }
  }
}

/** The population size up to which `sample` copies the population: 21, or 21 + the least power of 4 >= 3k for k > 5. */
function poolLimit(k: number): number {
  if (k <= 5) return 21
  let power = 4
  while (power < 3 * k) power *= 4
  return 21 + power
}

/** Little-endian 32-bit words of a non-negative integer, at least one. */
function words32(value: bigint): number[] {
  const words: number[] = []
  do {
    words.push(Number(value & 0xffffffffn))
    value >>= 32n
  } while (value > 0n)
  return words
}

function countUp(n: number): Uint32Array {
  if (!Number.isInteger(n) || n < 0 || n > 0xffffffff) throw new RangeError(`a length cannot be ${n}`)
  const places = new Uint32Array(n)
  for (let i = 0; i < n; i++) places[i] = i
  return places
}
