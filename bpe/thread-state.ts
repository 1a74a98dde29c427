import { LongMemory, ShortMemory } from './memory.ts'
import { mergeLong } from './merge-long.ts'
import { mergeShort, QUADRATIC } from './merge-tables.ts'
import { LONG, longHash, SHORT, sameBytes, shortHash } from './piece-table.ts'
import type { Text } from './scan.ts'
import type { FastTables } from './tables.ts'
import type { Vocabulary } from './vocabulary.ts'

/** Room after the text for reads of whole words. */
const PADDING = 64

/** One thread's encoder: the text at hand, the shared tables, and the memory of pieces met before. */
export class ThreadState implements Text {
  bytes = new Uint8Array(0)
  view = new DataView(this.bytes.buffer)
  /** End of the last piece that encodePiece encoded. */
  end = 0
  readonly byteClass: Uint8Array
  readonly pointClass: Uint8Array
  readonly digits: number
  readonly tailWhole: boolean
  readonly tables: FastTables
  readonly #ids: Uint32Array
  readonly #tokenView: DataView
  readonly #shortMemory = new ShortMemory()
  readonly #longMemory = new LongMemory()
  #parts = new Int32Array(PADDING)
  readonly #keys = new Int32Array(QUADRATIC)

  constructor(tables: FastTables, { ids, bytes }: Vocabulary) {
    this.tables = tables
    this.byteClass = tables.byteClass
    this.pointClass = tables.pointClass
    this.digits = tables.split.digits
    this.tailWhole = tables.split.tailWhole
    this.#ids = ids
    this.#tokenView = new DataView(bytes.buffer, bytes.byteOffset)
    this.reserve(1 << 16)
  }

  /** Makes room for a text of that many bytes; what was there is lost. */
  reserve(length: number): void {
    if (this.bytes.length >= length + PADDING) return
    this.bytes = new Uint8Array(Math.ceil(1.5 * length) + PADDING)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Takes over bytes [start, end) and marks their end. */
  load(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.reserve(length)
    const { bytes } = this
    // for a few bytes a loop is faster than a view and a call
    if (length > 48) bytes.set(source.subarray(start, end))
    else for (let index = 0; index < length; index++) bytes[index] = source[start + index]!
    this.close(length)
  }

  /** Marks the end of the text; four times, as damaged UTF-8 may let the scanner skip three bytes. */
  close(length: number): void {
    const { bytes } = this
    bytes[length] = 0xff
    bytes[length + 1] = 0xff
    bytes[length + 2] = 0xff
    bytes[length + 3] = 0xff
  }

  /** Encodes a piece of at most 12 bytes that is no token; its key is k0, k1, k2. */
  encodeShort(
    at: number,
    end: number,
    k0: number,
    k1: number,
    k2: number,
    out: Int32Array,
    to: number,
  ): number {
    const hash = shortHash(k0, k1, k2)
    let after = this.#shortMemory.recall(hash, k0, k1, k2, out, to)
    if (after !== to) return after
    after = this.#merge(at, end, out, to, to + SHORT)
    this.#shortMemory.store(hash, k0, k1, k2, out, to, after)
    return after
  }

  /** Encodes a piece that the table of short tokens cannot hold; writes no ids at or after `stop` if it is huge. */
  encodeLong(at: number, end: number, out: Int32Array, to: number, stop: number): number {
    const size = end - at
    if (size > LONG) return this.#merge(at, end, out, to, stop)
    if (size <= SHORT) return this.#merge(at, end, out, to, to + size)
    const { long } = this.tables.pieces
    const mask = long.length - 1
    const hash = longHash(this.view, at, size)
    let slot = (hash << 2) & mask
    for (; long[slot + 2] !== 0; slot = (slot + 4) & mask) {
      if (long[slot] !== hash || long[slot + 2] !== size) continue
      if (!sameBytes(this.#tokenView, long[slot + 1]!, this.view, at, size)) continue
      out[to] = long[slot + 3]!
      return to + 1
    }
    let after = this.#longMemory.recall(hash, this.view, at, size, out, to)
    if (after !== to) return after
    after = this.#merge(at, end, out, to, to + size)
    this.#longMemory.store(hash, this.view, at, size, out, to, after)
    return after
  }

  #merge(at: number, end: number, out: Int32Array, to: number, stop: number): number {
    const ids = this.#ids
    const { merge } = this.tables
    const length = end - at
    if (this.#parts.length < length + 1) this.#parts = new Int32Array(2 * length)
    const parts = this.#parts
    const count =
      length <= QUADRATIC
        ? mergeShort(merge.pair, this.bytes, at, length, parts, this.#keys)
        : mergeLong(merge, this.bytes, at, end, parts)
    const wanted = Math.min(count, stop - to)
    for (let index = 0; index < wanted; index++) out[to + index] = ids[parts[index]!]!
    return to + wanted
  }
}
