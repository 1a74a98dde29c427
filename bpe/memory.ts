import { LONG, sameBytes } from './piece-table.ts'

/**
 * Pieces that are no token, with the ids they encode to: what one thread has met lately. Of fixed size; a new piece
 * takes the place of an old one. What it holds changes the speed only, never the ids.
 */

const SHORT_SLOTS = 1 << 17
const SHORT_WORDS = 8
const SHORT_IDS = SHORT_WORDS - 4
const LONG_SLOTS = 1 << 12
const LONG_WORDS = 32
const LONG_IDS = LONG_WORDS - 2 - LONG / 4

/**
 * Pieces of up to 12 bytes, none that ends in a zero byte. Eight words a slot: the three words of the key, number of
 * ids, up to four ids. A piece may be in either slot of a pair: a new one gets the second, the first when met again.
 */
export class ShortMemory {
  readonly #slots = new Int32Array(SHORT_WORDS * SHORT_SLOTS)

  /** Writes the ids of a known piece and returns where they end, or `to` when it is not known. */
  recall(hash: number, k0: number, k1: number, k2: number, out: Int32Array, to: number): number {
    const slots = this.#slots
    let slot = shortPlace(hash)
    if (((slots[slot]! ^ k0) | (slots[slot | 1]! ^ k1) | (slots[slot | 2]! ^ k2)) !== 0) {
      slot += SHORT_WORDS
      if (((slots[slot]! ^ k0) | (slots[slot | 1]! ^ k1) | (slots[slot | 2]! ^ k2)) !== 0) return to
      slot = promote(slots, slot)
    }
    const count = slots[slot | 3]!
    // at least two ids, else the piece were a token
    out[to] = slots[slot | 4]!
    out[to + 1] = slots[slot | 5]!
    for (let index = 2; index < count; index++) out[to + index] = slots[slot + 4 + index]!
    return to + count
  }

  /** Keeps `ids[from..to)`, if they are few, for a piece that is not known. */
  store(hash: number, k0: number, k1: number, k2: number, ids: Int32Array, from: number, to: number): void {
    if (to - from > SHORT_IDS) return
    const slots = this.#slots
    let slot = shortPlace(hash)
    if (slots[slot | 3] !== 0) slot += SHORT_WORDS
    slots[slot] = k0
    slots[slot | 1] = k1
    slots[slot | 2] = k2
    slots[slot | 3] = to - from
    for (let index = from; index < to; index++) slots[slot + 4 + index - from] = ids[index]!
  }
}

/** Changes places with the first of the pair, which is left alone by pieces that come but once. */
function promote(slots: Int32Array, slot: number): number {
  for (let index = slot; index < slot + SHORT_WORDS; index++) {
    const old = slots[index - SHORT_WORDS]!
    slots[index - SHORT_WORDS] = slots[index]!
    slots[index] = old
  }
  return slot - SHORT_WORDS
}

function shortPlace(hash: number): number {
  return (hash & (SHORT_SLOTS - 2)) * SHORT_WORDS
}

/** Pieces of 13 to 48 bytes. 32 words a slot: hash, length | number of ids << 8, the bytes, up to 18 ids. */
export class LongMemory {
  readonly #slots = new Int32Array(LONG_WORDS * LONG_SLOTS)
  readonly #view = new DataView(this.#slots.buffer)

  recall(hash: number, view: DataView, at: number, size: number, out: Int32Array, to: number): number {
    const slots = this.#slots
    const slot = longPlace(hash)
    const head = slots[slot + 1]!
    if (slots[slot] !== hash || (head & 0xff) !== size) return to
    if (!sameBytes(this.#view, 4 * (slot + 2), view, at, size)) return to
    const count = head >>> 8
    const from = slot + 2 + LONG / 4
    for (let index = 0; index < count; index++) out[to + index] = slots[from + index]!
    return to + count
  }

  store(
    hash: number,
    view: DataView,
    at: number,
    size: number,
    ids: Int32Array,
    from: number,
    to: number,
  ): void {
    if (to - from > LONG_IDS) return
    const slots = this.#slots
    const slot = longPlace(hash)
    slots[slot] = hash
    slots[slot + 1] = size | ((to - from) << 8)
    for (let index = 0; index < size; index += 4)
      slots[slot + 2 + (index >> 2)] = view.getInt32(at + index, true)
    for (let index = from; index < to; index++) slots[slot + 2 + LONG / 4 + index - from] = ids[index]!
  }
}

function longPlace(hash: number): number {
  return (hash & (LONG_SLOTS - 1)) * LONG_WORDS
}
