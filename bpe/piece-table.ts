import type { Vocabulary } from './vocabulary.ts'

/**
 * Pieces of 1 to 12 bytes are their own key: four words a slot, the bytes as three little-endian words filled up
 * with zeros, then the value: id << 5 | length, or place in the arena << 5 | 16 | length for a piece of several
 * ids (the arena holds their number and then the ids). The length tells "a" from "a\0". An empty slot has value 0.
 */
export const SHORT = 12
export const MULTI = 16

/** Ids must fit the value beside length and mark. */
export const MAX_ID = 0x3ffffff

/** Longer pieces, up to this many bytes, have a second table: four words a slot, hash, place of the bytes in a
 * byte arena, length (0 when empty), value: id << 1, or place in the arena << 1 | 1. */
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

export function sameBytes(a: DataView, atA: number, b: DataView, atB: number, length: number): boolean {
  const last = length - 4
  for (let from = 0; from < last; from += 4) {
    if (a.getInt32(atA + from, true) !== b.getInt32(atB + from, true)) return false
  }
  return a.getInt32(atA + last, true) === b.getInt32(atB + last, true)
}

/** Puts all tokens of the vocabulary into empty tables. @returns how many went into each, and the bytes used */
export function fillTables(
  { bytes, offsets, ids }: Vocabulary,
  short: Int32Array,
  shortShift: number,
  long: Int32Array,
  longBytes: Uint8Array,
): { shorts: number; longs: number; used: number } {
  const shortMask = short.length - 1
  const longMask = long.length - 1
  const view = new DataView(longBytes.buffer, longBytes.byteOffset)
  const key = new DataView(new ArrayBuffer(SHORT))
  const keyBytes = new Uint8Array(key.buffer)
  let shorts = 0
  let longs = 0
  let used = 0
  for (let rank = 0; rank < ids.length; rank++) {
    const at = offsets[rank]!
    const length = offsets[rank + 1]! - at
    if (length <= SHORT) {
      keyBytes.fill(0)
      for (let index = 0; index < length; index++) keyBytes[index] = bytes[at + index]!
      const k0 = key.getInt32(0, true)
      const k1 = key.getInt32(4, true)
      const k2 = key.getInt32(8, true)
      let slot = (shortHash(k0, k1, k2) >>> shortShift) << 2
      while (short[slot + 3] !== 0) slot = (slot + 4) & shortMask
      short[slot] = k0
      short[slot + 1] = k1
      short[slot + 2] = k2
      short[slot + 3] = (ids[rank]! << 5) | length
      shorts++
    } else if (length <= LONG) {
      for (let index = 0; index < length; index++) longBytes[used + index] = bytes[at + index]!
      const hash = longHash(view, used, length)
      let slot = (hash << 2) & longMask
      while (long[slot + 2] !== 0) slot = (slot + 4) & longMask
      long[slot] = hash
      long[slot + 1] = used
      long[slot + 2] = length
      long[slot + 3] = ids[rank]! << 1
      longs++
      used += length
    }
  }
  return { shorts, longs, used }
}
