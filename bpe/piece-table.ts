import type { Vocabulary } from './vocabulary.ts'

/**
 * Tables from whole pieces to ids. Tokens of 1 to 12 bytes are their own key: four words a slot, the bytes as three
 * little-endian words filled up with zeros, then the id, or EMPTY. So a token that ends in a zero byte
 * cannot be told from a shorter one, and is left out: whoever looks up a piece must not ask for one that does.
 */
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

/** Puts the tokens of the vocabulary into zeroed tables, in id order. */
export function fillTables({ bytes, offsets, ids }: Vocabulary, short: Int32Array, long: Int32Array): void {
  const shift = slotShift(short)
  const shortMask = short.length - 1
  const longMask = long.length - 1
  for (let slot = 3; slot < short.length; slot += 4) short[slot] = EMPTY
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let rank = 0; rank < ids.length; rank++) {
    const at = offsets[rank]!
    const length = offsets[rank + 1]! - at
    if (length <= SHORT && bytes[at + length - 1] !== 0) {
      const k0 = word(bytes, at, Math.min(length, 4))
      const k1 = word(bytes, at + 4, Math.min(length - 4, 4))
      const k2 = word(bytes, at + 8, length - 8)
      let slot = (shortHash(k0, k1, k2) >>> shift) << 2
      while (short[slot + 3] !== EMPTY) slot = (slot + 4) & shortMask
      short[slot] = k0
      short[slot + 1] = k1
      short[slot + 2] = k2
      short[slot + 3] = ids[rank]!
    } else if (length > SHORT && length <= LONG) {
      const hash = longHash(view, at, length)
      let slot = (hash << 2) & longMask
      while (long[slot + 2] !== 0) slot = (slot + 4) & longMask
      long[slot] = hash
      long[slot + 1] = at
      long[slot + 2] = length
      long[slot + 3] = ids[rank]!
    }
  }
}

/** How far to shift a 32-bit hash to the right for a slot number of a table of four words a slot. */
export function slotShift(table: Int32Array): number {
  return 32 - Math.log2(table.length / 4)
}

/** Up to four bytes as a little-endian word. */
function word(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = 0; index < length; index++) value |= bytes[at + index]! << (8 * index)
  return value
}
