import type { Split } from './patterns.ts'
import { aloneTable } from './single.ts'
import { powerOfTwo, shared, type Vocabulary } from './vocabulary.ts'

/**
 * Tables from whole pieces to ids, by open addressing. Tokens of 1 to 12 bytes are their own key: little-endian
 * words of four bytes, filled up with zeros. So a token that ends in a zero byte cannot be told from a shorter one,
 * and is left out: whoever looks up a piece must not ask for one that does. A slot is the key and the id, or zeros
 * and EMPTY: two words for tokens of up to 4 bytes (most of what text is made of, in a table that stays in the
 * processor's cache), four for those of up to 12. Tokens of 13 to 48 bytes: four words a slot, hash, place in the
 * vocabulary's bytes, length (0 when empty), id.
 */
export interface PieceTables {
  /**
   * One array, so that the inner loop has one base address to keep: kinds of bytes, ids of bytes, pairs of kinds
   * (single.ts), then the table of tiny tokens and that of short ones. Slots do not wrap round: spare ones follow.
   */
  readonly words: Int32Array
  readonly tinyAt: number
  readonly shortAt: number
  /** How far to shift a hash to the right for a slot number. */
  readonly tinyShift: number
  readonly shortShift: number
  readonly long: Int32Array
}

const KINDS = 0
const BYTE_IDS = 256
const ALONE = 512
const TABLES = 768

const TINY = 4
const SHORT = 12
const LONG = 48
const EMPTY = -1

function tinyHash(k0: number): number {
  return Math.imul(k0 ^ (k0 >>> 15), 0x9e3779b1)
}

function shortHash(k0: number, k1: number, k2: number): number {
  const mixed = Math.imul(k0, 0x9e3779b1) + Math.imul(k1, 0x85ebca6b) + Math.imul(k2, 0xc2b2ae35)
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
}

/** Hash of at least four bytes. */
function longHash(view: DataView, at: number, length: number): number {
  let hash = length
  const last = at + length - 4
  for (let from = at; from < last; from += 4) {
    hash = Math.imul(hash ^ view.getInt32(from, true), 0x9e3779b1)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash ^ view.getInt32(last, true), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

/**
 * The tables of a vocabulary, in SharedArrayBuffers; tokens go in in id order. Undefined when so many hashes fall
 * together that the spare slots do not suffice: only a vocabulary made for it does that.
 */
export function buildPieceTables(
  { bytes, offsets, ids }: Vocabulary,
  split: Split,
  kinds: Uint8Array,
): PieceTables | undefined {
  const counts = [0, 0, 0]
  const sizeClass = (length: number) => (length <= TINY ? 0 : length <= SHORT ? 1 : 2)
  for (let rank = 0; rank < ids.length; rank++) counts[sizeClass(offsets[rank + 1]! - offsets[rank]!)]!++
  const slots = counts.map((count) => powerOfTwo(1.6 * count + 4))
  const tinyShift = 32 - Math.log2(slots[0]!)
  const shortShift = 32 - Math.log2(slots[1]!)
  const spare = 1024
  const tinyAt = TABLES
  const shortAt = tinyAt + 2 * (slots[0]! + spare)
  const words = shared(Int32Array, shortAt + 4 * (slots[1]! + spare))
  const long = shared(Int32Array, 4 * slots[2]!)
  words.set(kinds, KINDS)
  words.set(aloneTable(split), ALONE)
  for (let slot = tinyAt + 1; slot < shortAt; slot += 2) words[slot] = EMPTY
  for (let slot = shortAt + 3; slot < words.length; slot += 4) words[slot] = EMPTY

  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let rank = 0; rank < ids.length; rank++) {
    const at = offsets[rank]!
    const length = offsets[rank + 1]! - at
    const id = ids[rank]!
    if (length === 1) words[BYTE_IDS + bytes[at]!] = id
    if (length > LONG) continue
    if (length > SHORT) {
      const hash = longHash(view, at, length)
      let slot = (hash << 2) & (long.length - 1)
      while (long[slot + 2] !== 0) slot = (slot + 4) & (long.length - 1)
      long.set([hash, at, length, id], slot)
      continue
    }
    if (bytes[at + length - 1] === 0) continue
    const k0 = word(bytes, at, Math.min(length, 4))
    if (length <= TINY) {
      let slot = tinyAt + ((tinyHash(k0) >>> tinyShift) << 1)
      while (words[slot + 1] !== EMPTY) slot += 2
      if (slot + 2 >= shortAt) return undefined
      words[slot] = k0
      words[slot + 1] = id
    } else {
      const k1 = word(bytes, at + 4, Math.min(length - 4, 4))
      const k2 = word(bytes, at + 8, length - 8)
      let slot = shortAt + ((shortHash(k0, k1, k2) >>> shortShift) << 2)
      while (slot < words.length && words[slot + 3] !== EMPTY) slot += 4
      if (slot + 4 >= words.length) return undefined
      words[slot] = k0
      words[slot + 1] = k1
      words[slot + 2] = k2
      words[slot + 3] = id
    }
  }
  return { words, tinyAt, shortAt, tinyShift, shortShift, long }
}

/** Up to four bytes as a little-endian word. */
function word(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = 0; index < length; index++) value |= bytes[at + index]! << (8 * index)
  return value
}
