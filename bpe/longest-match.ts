import { NONE } from './merge-tables.ts'
import { powerOfTwo, shared, type Vocabulary } from './vocabulary.ts'

/**
 * Finds the longest token that a text goes on with. A hash runs along the bytes and asks, of each prefix, a small
 * table of two bits an entry whether some token begins with it and whether one is it; no look-up waits for the one
 * before. What the bits take for a token is then looked up and compared. All in SharedArrayBuffers.
 */
export interface MatchTables {
  readonly byteRank: Int32Array
  /** Two bits for each hash >>> bitsShift: some token begins so, some token is so. */
  readonly bits: Int32Array
  readonly bitsShift: number
  /** Open addressing: hash, then rank, NONE where there is none. A hash >>> slotShift is its place. */
  readonly slots: Int32Array
  readonly slotShift: number
  /** The tokens' bytes, by rank, and where each begins. */
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
  /** Of the longest token. */
  readonly longest: number
}

const BEGINS = 1
const WHOLE = 2

/** The hash of a run of bytes from that of all but the last; of none it is zero. */
function roll(hash: number, byte: number): number {
  return (Math.imul(hash, 0x9e3779b1) + Math.imul(byte + 1, 0x85ebca6b)) | 0
}

/** Spreads a rolling hash over its high bits. */
function spread(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35)
}

export function buildMatchTables(
  { bytes, offsets, ids }: Vocabulary,
  byteRank: Int32Array,
  longest: number,
): MatchTables {
  const count = ids.length
  const entries = powerOfTwo(Math.max(16, 8 * count))
  const slotCount = powerOfTwo(1.25 * count)
  const tables = {
    byteRank,
    bits: shared(Int32Array, entries / 16),
    bitsShift: 32 - Math.log2(entries),
    slots: shared(Int32Array, 2 * slotCount).fill(NONE),
    slotShift: 32 - Math.log2(slotCount),
    bytes,
    offsets,
    longest,
  }
  const { bits, bitsShift, slots, slotShift } = tables
  for (let rank = 0; rank < count; rank++) {
    let hash = 0
    const end = offsets[rank + 1]!
    for (let at = offsets[rank]!; at < end; at++) {
      hash = roll(hash, bytes[at]!)
      const entry = spread(hash) >>> bitsShift
      bits[entry >>> 4]! |= (at === end - 1 ? BEGINS | WHOLE : BEGINS) << (entry << 1)
    }
    let slot = spread(hash) >>> slotShift
    while (slots[2 * slot + 1] !== NONE) slot = (slot + 1) & (slotCount - 1)
    slots[2 * slot] = hash
    slots[2 * slot + 1] = rank
  }
  return tables
}

/** Hashes of the prefixes that may be tokens, and their lengths; one thread's. */
export class Matcher {
  readonly #tables: MatchTables
  readonly #hashes: Int32Array
  readonly #lengths: Int32Array

  constructor(tables: MatchTables) {
    this.#tables = tables
    this.#hashes = new Int32Array(tables.longest)
    this.#lengths = new Int32Array(tables.longest)
  }

  /** The rank of the longest token that `text[at..end)` begins with; there is one of a single byte at least. */
  longest(text: Uint8Array, at: number, end: number): number {
    const { byteRank, bits, bitsShift, longest } = this.#tables
    const hashes = this.#hashes
    const lengths = this.#lengths
    const most = Math.min(longest, end - at)
    let found = 0
    let hash = roll(0, text[at]!)
    for (let length = 2; length <= most; length++) {
      hash = roll(hash, text[at + length - 1]!)
      const entry = spread(hash) >>> bitsShift
      const both = bits[entry >>> 4]! >>> (entry << 1)
      if ((both & BEGINS) === 0) break
      hashes[found] = hash
      lengths[found] = length
      found += (both >>> 1) & 1
    }
    while (found > 0) {
      found--
      const rank = this.#find(hashes[found]!, text, at, lengths[found]!)
      if (rank !== NONE) return rank
    }
    return byteRank[text[at]!]!
  }

  #find(hash: number, text: Uint8Array, at: number, length: number): number {
    const { slots, slotShift, bytes, offsets } = this.#tables
    const mask = (slots.length >>> 1) - 1
    let slot = spread(hash) >>> slotShift
    for (;;) {
      const rank = slots[2 * slot + 1]!
      if (rank === NONE) return NONE
      if (slots[2 * slot] === hash) {
        const from = offsets[rank]!
        if (offsets[rank + 1]! - from === length) {
          let same = 0
          while (same < length && bytes[from + same] === text[at + same]) same++
          if (same === length) return rank
        }
      }
      slot = (slot + 1) & mask
    }
  }
}
