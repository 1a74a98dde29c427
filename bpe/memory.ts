import { LONG, sameBytes } from './piece-table.ts'

/**
 * Pieces that are no token, with the ids they encode to: what one thread has met lately. Of fixed size; a new piece
 * takes the place of an old one. What it holds changes the speed only, never the ids.
 */

const SHORT_SLOTS = 1 << 15
const SHORT_WORDS = 16
const LONG_SLOTS = 1 << 12
const LONG_WORDS = 64

/**
 * Pieces of up to 12 bytes, none that ends in a zero byte. 16 words a slot: the three words of the key, number of ids,
 * up to twelve ids. A piece may be in either slot of a pair.
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
    }
    const count = slots[slot | 3]!
    // at least two ids, else the piece were a token
    out[to] = slots[slot | 4]!
    out[to + 1] = slots[slot | 5]!
    for (let index = 2; index < count; index++) out[to + index] = slots[slot + 4 + index]!
    return to + count
  }

  /** Keeps `ids[from..to)` for a piece that is not known. */
  store(hash: number, k0: number, k1: number, k2: number, ids: Int32Array, from: number, to: number): void {
    const slots = this.#slots
    const slot = shortPlace(hash)
    for (let index = slot; index < slot + SHORT_WORDS; index++) slots[index + SHORT_WORDS] = slots[index]!
    slots[slot] = k0
    slots[slot | 1] = k1
    slots[slot | 2] = k2
    slots[slot | 3] = to - from
    for (let index = from; index < to; index++) slots[slot + 4 + index - from] = ids[index]!
  }
}

function shortPlace(hash: number): number {
  return (hash & (SHORT_SLOTS - 2)) * SHORT_WORDS
}

/** Pieces of 13 to 48 bytes. 64 words a slot: hash, length | number of ids << 8, the bytes, the ids. */
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
