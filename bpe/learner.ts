import { mergeLong } from './merge-long.ts'
import { mergeShort } from './merge-tables.ts'
import { LONG, longHash, MULTI, SHORT, sameBytes } from './piece-table.ts'
import type { Text } from './scan.ts'
import { type FastTables, shortShift } from './tables.ts'

/** Bytes after the text that the scanner may look at. */
export const PADDING = 64

/** Above this many bytes backtracking beats the quadratic merge. */
const QUADRATIC = 24

/** The ids of learned pieces: 2^20 numbers, 4 MB. The tables stop learning when they, or this, are full. */
const ARENA = 1 << 20
const LEARNED_BYTES = 1 << 20

/**
 * One thread's text, tables and memory: pieces met that are no token, with what they encoded to. What has been
 * learned changes the speed only.
 */
export class Learner implements Text {
  bytes = new Uint8Array(0)
  view = new DataView(this.bytes.buffer)
  readonly byteClass: Uint8Array
  readonly pointClass: Uint8Array
  readonly digits: number
  readonly tailWhole: boolean
  readonly tables: FastTables
  readonly ids: Uint32Array
  readonly short: Int32Array
  readonly shift: number
  readonly arena = new Int32Array(ARENA)
  readonly #long: Int32Array
  readonly #longBytes: Uint8Array
  readonly #longView: DataView
  readonly #room: { short: number; long: number }
  #arenaUsed = 0
  #bytesUsed: number
  #parts = new Int32Array(PADDING)
  readonly #ranks = new Int32Array(PADDING)

  constructor(tables: FastTables, ids: Uint32Array) {
    this.tables = tables
    this.ids = ids
    this.byteClass = tables.byteClass
    this.pointClass = tables.pointClass
    this.digits = tables.split.digits
    this.tailWhole = tables.split.tailWhole
    this.short = Int32Array.from(tables.short)
    this.shift = shortShift(tables.short)
    this.#long = Int32Array.from(tables.long)
    this.#longBytes = new Uint8Array(tables.used + LEARNED_BYTES)
    this.#longBytes.set(tables.longBytes.subarray(0, tables.used))
    this.#longView = new DataView(this.#longBytes.buffer)
    this.#bytesUsed = tables.used
    this.#room = {
      short: Math.floor(0.15 * this.short.length) - tables.shorts,
      long: Math.floor(0.15 * this.#long.length) - tables.longs,
    }
    this.reserve(1 << 16)
  }

  /** Makes room for a text of that many bytes. What was in it is lost. */
  reserve(length: number): void {
    if (this.bytes.length >= length + PADDING) return
    this.bytes = new Uint8Array(Math.ceil(1.5 * length) + PADDING)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Encodes a piece of at most 12 bytes that is not in the table; `slot` is the empty one its key led to. */
  learnShort(
    at: number,
    length: number,
    k0: number,
    k1: number,
    k2: number,
    slot: number,
    out: Int32Array,
    to: number,
  ): number {
    const { ids, arena, short } = this
    const { byteRank, bytePair, pairs } = this.tables.merge
    const parts = this.#parts
    const count = mergeShort(byteRank, bytePair, pairs, this.bytes, at, length, parts, this.#ranks)
    for (let index = 0; index < count; index++) out[to + index] = ids[parts[index]!]!
    if (this.#room.short > 0 && this.#arenaUsed + count < ARENA) {
      this.#room.short--
      short[slot] = k0
      short[slot + 1] = k1
      short[slot + 2] = k2
      short[slot + 3] = (this.#arenaUsed << 5) | MULTI | length
      arena[this.#arenaUsed++] = count
      for (let index = 0; index < count; index++) arena[this.#arenaUsed++] = out[to + index]!
    }
    return to + count
  }

  /** Encodes a piece of more than 12 bytes; of the ids at or after `stop` only some are written. */
  encodeLong(at: number, end: number, out: Int32Array, to: number, stop: number): number {
    const length = end - at
    if (length > LONG) return this.#merge(at, end, out, to, stop)
    const long = this.#long
    const mask = long.length - 1
    const hash = longHash(this.view, at, length)
    let slot = (hash << 2) & mask
    for (; long[slot + 2] !== 0; slot = (slot + 4) & mask) {
      if (long[slot] !== hash || long[slot + 2] !== length) continue
      if (!sameBytes(this.#longView, long[slot + 1]!, this.view, at, length)) continue
      const value = long[slot + 3]!
      if ((value & 1) === 0) {
        out[to] = value >>> 1
        return to + 1
      }
      const from = value >>> 1
      const count = this.arena[from]!
      for (let index = 1; index <= count; index++) out[to++] = this.arena[from + index]!
      return to
    }
    const before = to
    to = this.#merge(at, end, out, to, before + LONG)
    const count = to - before
    if (
      this.#room.long > 0 &&
      this.#arenaUsed + count < ARENA &&
      this.#bytesUsed + length <= this.#longBytes.length
    ) {
      this.#room.long--
      long[slot] = hash
      long[slot + 1] = this.#bytesUsed
      long[slot + 2] = length
      long[slot + 3] = (this.#arenaUsed << 1) | 1
      for (let index = 0; index < length; index++)
        this.#longBytes[this.#bytesUsed++] = this.bytes[at + index]!
      this.arena[this.#arenaUsed++] = count
      for (let index = before; index < to; index++) this.arena[this.#arenaUsed++] = out[index]!
    }
    return to
  }

  #merge(at: number, end: number, out: Int32Array, to: number, stop: number): number {
    const { ids, tables } = this
    const length = end - at
    if (this.#parts.length < length + 1) this.#parts = new Int32Array(2 * length)
    const parts = this.#parts
    let count: number
    if (length <= QUADRATIC) {
      const { byteRank, bytePair, pairs } = tables.merge
      count = mergeShort(byteRank, bytePair, pairs, this.bytes, at, length, parts, this.#ranks)
    } else {
      count = mergeLong(tables.merge, this.bytes, at, end, parts)
    }
    const wanted = Math.min(count, stop - to)
    for (let index = 0; index < wanted; index++) out[to++] = ids[parts[index]!]!
    return to
  }
}

export { SHORT }
