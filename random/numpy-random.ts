/**
 * NumPy's `default_rng(seed)`: SeedSequence and PCG64 (XSL-RR 128/64), bit for bit (NumPy 1.17 to 2.x).
 * 128-bit arithmetic is done on four 32-bit words, since BigInt would be some fifty times slower per draw.
 */

const SHIFT32 = 4294967296

/** The multiplier 0x2360ed051fc65da44385df649fccf645 as 16-bit digits of its 32-bit words, least significant first. */
const M0L = 0xf645
const M0H = 0x9fcc
const M1L = 0xdf64
const M1H = 0x4385
const M2L = 0x5da4
const M2H = 0x1fc6
const M0 = 0x9fccf645 | 0
const M1 = 0x4385df64 | 0
const M2 = 0x1fc65da4 | 0
const M3 = 0x2360ed05 | 0

/** `numpy.random.SeedSequence(entropy)` for a non-negative integer, without spawning. */
export class SeedSequence {
  /** The pool of four 32-bit words after mixing. */
  readonly pool: Uint32Array

  constructor(entropy: number | bigint) {
    this.pool = mixEntropy(entropyWords(entropy))
  }

  /** `generate_state(count, numpy.uint32)`. */
  generateState(count: number): Uint32Array {
    const state = new Uint32Array(count)
    let hash = 0x8b51f9dd
    for (let k = 0; k < count; k++) {
      let value = this.pool[k & 3]! ^ hash
      hash = Math.imul(hash, 0x58f38ded)
      value = Math.imul(value, hash)
      state[k] = value ^ (value >>> 16)
    }
    return state
  }
}

/** `numpy.random.default_rng(seed)`, as far as shuffling datasets needs it. */
export class NumpyGenerator {
  /** State and increment, each as four words, least significant first. */
  readonly #state = new Int32Array(4)
  readonly #inc = new Int32Array(4)
  /** The last 64-bit output, as two words. */
  #low = 0
  #high = 0
  /** Whether the high half of the last output is still to be handed out as 32 bits. */
  #halfLeft = false
  #half = 0

  constructor(seed: number | bigint | SeedSequence) {
    const sequence = seed instanceof SeedSequence ? seed : new SeedSequence(seed)
    // Eight words: initstate high (low word first), initstate low, initseq high, initseq low.
    const w = sequence.generateState(8)
    this.#inc.set([(w[6]! << 1) | 1, (w[7]! << 1) | (w[6]! >>> 31), (w[4]! << 1) | (w[7]! >>> 31)])
    this.#inc[3] = (w[5]! << 1) | (w[4]! >>> 31)
    this.#step()
    this.#addToState(w[2]!, w[3]!, w[0]!, w[1]!)
    this.#step()
  }

  /** The next 64-bit output. For the hot paths use `nextU32`. */
  nextU64(): bigint {
    this.#draw()
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0)
  }

  /** The next 32 bits, 0 to 2^32 - 1: the low half of a 64-bit output first, its high half at the next call. */
  nextU32(): number {
    return this.#next32() >>> 0
  }

  /** `random()`: a double in [0, 1). */
  random(): number {
    this.#draw()
    return ((this.#high >>> 0) * 2097152 + (this.#low >>> 11)) / 9007199254740992
  }

  /** `permutation(n)` of [0, …, n-1], 0 <= n <= 2^32 - 1: new place i holds the old place `result[i]`. */
  permutation(n: number): Uint32Array {
    if (!Number.isInteger(n) || n < 0 || n > 0xffffffff) throw new RangeError(`a length cannot be ${n}`)
    const order = new Uint32Array(n)
    for (let i = 0; i < n; i++) order[i] = i
    for (let i = n - 1; i > 0; i--) {
      // Masked rejection, not Lemire's method: what NumPy's shuffle uses.
      const mask = 0xffffffff >>> Math.clz32(i)
      let j = (this.#next32() & mask) >>> 0
      while (j > i) j = (this.#next32() & mask) >>> 0
      const kept = order[i]!
      order[i] = order[j]!
      order[j] = kept
    }
    return order
  }

  /**
   * `integers(low, high)` (int64, high not included) for ranges up to 2^32, by Lemire's method.
   * RangeError when the range is empty or larger.
   */
  integers(low: number, high: number): number {
    const range = high - low - 1
    if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || range < 0 || range > 0xffffffff) {
      throw new RangeError(`integers() takes a range of 1 to 2^32 values, not [${low}, ${high})`)
    }
    if (range === 0) return low
    if (range === 0xffffffff) return low + this.nextU32()
    const count = range + 1
    let word = this.nextU32()
    let rest = Math.imul(word, count) >>> 0
    if (rest < count) {
      const threshold = (0xffffffff - range) % count
      while (rest < threshold) {
        word = this.nextU32()
        rest = Math.imul(word, count) >>> 0
      }
    }
    return low + mulHigh(word, count)
  }

  /** State and increment as 128-bit integers, and the buffered half if there is one: `bit_generator.state`. */
  state(): { state: bigint; inc: bigint; buffered: number | undefined } {
    return {
      state: join(this.#state),
      inc: join(this.#inc),
      buffered: this.#halfLeft ? this.#half >>> 0 : undefined,
    }
  }

  /** `nextU32` as a signed word: unsigned ones above 2^31 would live on the heap. */
  #next32(): number {
    if (this.#halfLeft) {
      this.#halfLeft = false
      return this.#half
    }
    this.#draw()
    this.#halfLeft = true
    this.#half = this.#high
    return this.#low
  }

  /** Steps, then permutes the new state into a 64-bit output: xor of its halves, rotated right by its top six bits. */
  #draw(): void {
    this.#step()
    const state = this.#state
    const top = state[3]!
    let low = state[0]! ^ state[2]!
    let high = state[1]! ^ top
    const turn = top >>> 26
    if (turn >= 32) {
      const kept = low
      low = high
      high = kept
    }
    const by = turn & 31
    if (by === 0) {
      this.#low = low
      this.#high = high
    } else {
      this.#low = (low >>> by) | (high << (32 - by))
      this.#high = (high >>> by) | (low << (32 - by))
    }
  }

  /** state = state * multiplier + inc (mod 2^128). */
  #step(): void {
    const state = this.#state
    const inc = this.#inc
    const a0 = state[0]!
    const a1 = state[1]!
    const a2 = state[2]!
    const a3 = state[3]!
    const h00 = mulHighBy(a0, M0L, M0H)
    // Column sums stay below 2^36, where doubles are exact.
    const c0 = (Math.imul(a0, M0) >>> 0) + (inc[0]! >>> 0)
    const c1 =
      (c0 >= SHIFT32 ? 1 : 0) + h00 + (Math.imul(a0, M1) >>> 0) + (Math.imul(a1, M0) >>> 0) + (inc[1]! >>> 0)
    const c2 =
      Math.floor(c1 / SHIFT32) +
      mulHighBy(a0, M1L, M1H) +
      mulHighBy(a1, M0L, M0H) +
      (Math.imul(a0, M2) >>> 0) +
      (Math.imul(a1, M1) >>> 0) +
      (Math.imul(a2, M0) >>> 0) +
      (inc[2]! >>> 0)
    const c3 =
      (Math.floor(c2 / SHIFT32) | 0) +
      (mulHighBy(a0, M2L, M2H) | 0) +
      (mulHighBy(a1, M1L, M1H) | 0) +
      (mulHighBy(a2, M0L, M0H) | 0) +
      Math.imul(a0, M3) +
      Math.imul(a1, M2) +
      Math.imul(a2, M1) +
      Math.imul(a3, M0) +
      inc[3]!
    state[0] = c0
    state[1] = c1
    state[2] = c2
    state[3] = c3
  }

  #addToState(b0: number, b1: number, b2: number, b3: number): void {
    const state = this.#state
    const c0 = (state[0]! >>> 0) + b0
    const c1 = (state[1]! >>> 0) + b1 + (c0 >= SHIFT32 ? 1 : 0)
    const c2 = (state[2]! >>> 0) + b2 + (c1 >= SHIFT32 ? 1 : 0)
    state[0] = c0
    state[1] = c1
    state[2] = c2
    state[3] = state[3]! + b3 + (c2 >= SHIFT32 ? 1 : 0)
  }
}

/** `numpy.random.default_rng(seed).permutation(n)`: the order that `datasets.Dataset.shuffle(seed)` gives n rows. */
export function numpyPermutation(n: number, seed: number | bigint): Uint32Array {
  return new NumpyGenerator(seed).permutation(n)
}

/** The upper 32 bits of the unsigned product of two 32-bit words, the second given as its two 16-bit halves. */
function mulHighBy(a: number, bLow: number, bHigh: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const middle = Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)
  const rest = Math.imul(aLow, bHigh) + (middle & 0xffff)
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (rest >>> 16)) >>> 0
}

function mulHigh(a: number, b: number): number {
  return mulHighBy(a, b & 0xffff, b >>> 16)
}

function entropyWords(entropy: number | bigint): number[] {
  if (typeof entropy === 'number' && !Number.isSafeInteger(entropy)) {
    throw new RangeError(`a seed must be a safe integer or a bigint, not ${entropy}`)
  }
  if (entropy < 0) throw new RangeError(`a NumPy seed cannot be negative, and ${entropy} is`)
  let value = BigInt(entropy)
  const words: number[] = []
  do {
    words.push(Number(value & 0xffffffffn))
    value >>= 32n
  } while (value > 0n)
  return words
}

function mixEntropy(words: readonly number[]): Uint32Array {
  const pool = new Uint32Array(4)
  let hash = 0x43b0d7e5
  function hashMix(value: number): number {
    value ^= hash
    hash = Math.imul(hash, 0x931e8875)
    value = Math.imul(value, hash)
    return value ^ (value >>> 16)
  }
  function mixInto(target: number, value: number): void {
    const mixed = Math.imul(0xca01f9dd, pool[target]!) - Math.imul(0x4973f715, value)
    pool[target] = mixed ^ (mixed >>> 16)
  }
  for (let k = 0; k < 4; k++) pool[k] = hashMix(words[k] ?? 0)
  for (let source = 0; source < 4; source++) {
    for (let target = 0; target < 4; target++) {
      if (source !== target) mixInto(target, hashMix(pool[source]!))
    }
  }
  for (const word of words.slice(4)) {
    for (let target = 0; target < 4; target++) mixInto(target, hashMix(word))
  }
  return pool
}

function join(words: Int32Array): bigint {
  let value = 0n
  for (let k = 3; k >= 0; k--) value = (value << 32n) | BigInt(words[k]! >>> 0)
  return value
}
