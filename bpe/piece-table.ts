import { powerOfTwo, shared, type Vocabulary } from './vocabulary.ts'

/**
 * Tables from whole pieces to ids, by open addressing. Tokens of 1 to 12 bytes are their own key: little-endian
 * words of four bytes, filled up with zeros. So a token that ends in a zero byte cannot be told from a shorter one,
 * and is left out: whoever looks up a piece must not ask for one that does. A slot is the key and the id, or zeros
 * and EMPTY: two words for tokens of up to 4 bytes (most of what text is made of, in a table that stays in the
 * processor's cache), four for those of up to 12.
 */
export const TINY = 4
export const SHORT = 12
export const EMPTY = -1

/**
 * Tokens of 13 to 48 bytes: four words a slot, hash, place in the vocabulary's bytes, length (0 when empty), id.
 */
export const LONG = 48

export function shortHash(k0: number, k1: number, k2: number): number {
  const mixed = Math.imul(k0, 0x9e3779b1) + Math.imul(k1, 0x85ebca6b) + Math.imul(k2, 0xc2b2ae35)
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
}

export function tinyHash(k0: number): number {
  return Math.imul(k0 ^ (k0 >>> 15), 0x9e3779b1)
}

/** Hash of at least four bytes. */
export function longHash(view: DataView, at: number, length: number): number {
  let hash = length
  const last = at + length - 4
  for (let from = at; from < last; from += 4) {
    hash = Math.imul(hash ^ view.getInt32(from, true), 0x9e3779b1)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash ^ view.getInt32(last, true), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

/** True when the two runs of at least four bytes are equal. */
export function sameBytes(a: DataView, atA: number, b: DataView, atB: number, length: number): boolean {
  const last = length - 4
  for (let from = 0; from < last; from += 4) {
    if (a.getInt32(atA + from, true) !== b.getInt32(atB + from, true)) return false
  }
  return a.getInt32(atA + last, true) === b.getInt32(atB + last, true)
}

export interface PieceTables {
  readonly tiny: Int32Array
  readonly short: Int32Array
  readonly long: Int32Array
  /** How far to shift a hash to the right for a slot number. */
  readonly tinyShift: number
  readonly shortShift: number
}

/** The tables of a vocabulary, in SharedArrayBuffers, filled in id order. */
export function buildPieceTables({ bytes, offsets, ids }: Vocabulary): PieceTables {
  const counts = [0, 0, 0]
  const sizeClass = (length: number) => (length <= TINY ? 0 : length <= SHORT ? 1 : 2)
  for (let rank = 0; rank < ids.length; rank++) counts[sizeClass(offsets[rank + 1]! - offsets[rank]!)]!++
  const slots = counts.map((count) => powerOfTwo(1.6 * count + 4))
  const tiny = shared(Int32Array, 2 * slots[0]!)
  const short = shared(Int32Array, 4 * slots[1]!)
  const long = shared(Int32Array, 4 * slots[2]!)
  const tinyShift = 32 - Math.log2(slots[0]!)
  const shortShift = 32 - Math.log2(slots[1]!)
  for (let slot = 1; slot < tiny.length; slot += 2) tiny[slot] = EMPTY
  for (let slot = 3; slot < short.length; slot += 4) short[slot] = EMPTY

  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let rank = 0; rank < ids.length; rank++) {
    const at = offsets[rank]!
    const length = offsets[rank + 1]! - at
    if (length > LONG) continue
    if (length > SHORT) {
      const hash = longHash(view, at, length)
      let slot = (hash << 2) & (long.length - 1)
      while (long[slot + 2] !== 0) slot = (slot + 4) & (long.length - 1)
      long[slot] = hash
      long[slot + 1] = at
      long[slot + 2] = length
      long[slot + 3] = ids[rank]!
      continue
    }
    if (bytes[at + length - 1] === 0) continue
    const k0 = word(bytes, at, Math.min(length, 4))
    if (length <= TINY) {
      let slot = (tinyHash(k0) >>> tinyShift) << 1
      while (tiny[slot + 1] !== EMPTY) slot = (slot + 2) & (tiny.length - 1)
      tiny[slot] = k0
      tiny[slot + 1] = ids[rank]!
    } else {
      const k1 = word(bytes, at + 4, Math.min(length - 4, 4))
      const k2 = word(bytes, at + 8, length - 8)
      let slot = (shortHash(k0, k1, k2) >>> shortShift) << 2
      while (short[slot + 3] !== EMPTY) slot = (slot + 4) & (short.length - 1)
      short[slot] = k0
      short[slot + 1] = k1
      short[slot + 2] = k2
      short[slot + 3] = ids[rank]!
    }
  }
  return { tiny, short, long, tinyShift, shortShift }
}

/** Up to four bytes as a little-endian word. */
function word(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = 0; index < length; index++) value |= bytes[at + index]! << (8 * index)
  return value
}
