import { ShardmillError } from '../errors/index.ts'
import { CORE_BYTES } from './core-bytes.ts'
import type { FastTables } from './tables.ts'
import type { Vocabulary } from './vocabulary.ts'

interface Exports {
  readonly memory: WebAssembly.Memory
  readonly __heap_base: { readonly value: number }
  encode(state: number, length: number, stop: number): number
}

/** core/memory.h */
const SHORT_MEMORY = 4 * 8 * (1 << 17)
const LONG_MEMORY = 4 * 32 * (1 << 12)
/** Room after the text for reads of whole words, and after the ids for writes of them. */
const PADDING = 64
const PAGE = 1 << 16
/** The fields of core/state.h before and after the pointers to the tables. */
const NUMBERS = 11
const AREAS = 5

let compiled: WebAssembly.Module | undefined
let latest: Core | undefined

/** This thread's core for the tables: the one it had last, if it is for the same. */
export function coreFor(tables: FastTables, vocabulary: Vocabulary): Core {
  if (latest?.key !== tables.key) latest = new Core(tables, vocabulary)
  return latest
}

/**
 * One thread's encoder: the WebAssembly module (core/) with the tables copied into its memory, the text at hand, its
 * ids, and what pieces met lately encoded to.
 */
export class Core {
  readonly key: string
  /** Of the memory: the text, and the ids. */
  bytes = new Uint8Array(0)
  #ids = new Int32Array(0)
  readonly #exports: Exports
  readonly #state: number
  /** Where the text begins; its ids and what merging needs follow. */
  readonly #base: number
  /** Of the state's last three fields. */
  readonly #areas: number

  constructor(tables: FastTables, vocabulary: Vocabulary) {
    this.key = tables.key
    compiled ??= new WebAssembly.Module(Buffer.from(CORE_BYTES, 'hex'))
    this.#exports = new WebAssembly.Instance(compiled).exports as Exports
    const { split, pieces, merge } = tables
    const { pair } = merge
    const arrays = [
      ...[pieces.words, pieces.long, tables.byteClass, tables.pointClass, vocabulary.ids, vocabulary.bytes],
      ...[pair.byteRank, pair.bytePair, pair.splits, pair.slots, pair.filter],
      ...[merge.length, merge.prefix, merge.trie, merge.nodeToken],
    ]
    this.#state = aligned(this.#exports.__heap_base.value)
    let at = aligned(this.#state + 4 * (NUMBERS + arrays.length + AREAS))
    const place = (length: number): number => {
      const start = at
      at = aligned(at + length)
      return start
    }
    const places = [
      ...arrays.map((array) => place(array.byteLength)),
      place(SHORT_MEMORY),
      place(LONG_MEMORY),
    ]
    this.#base = at
    this.#grow(at)
    const { buffer } = this.#exports.memory
    for (const [index, array] of arrays.entries()) {
      new Uint8Array(buffer, places[index]).set(
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      )
    }
    const fields = [
      ...[['gpt2', 'cl100k', 'o200k'].indexOf(split.family), split.digits, split.tailWhole ? 1 : 0],
      ...[pieces.tinyAt, pieces.tinyShift, pieces.shortAt, pieces.shortShift, pieces.long.length - 1],
      ...[pair.filterShift, pair.slots.length - 1, (merge.trie.length >>> 1) - 1],
      ...places,
    ]
    new Int32Array(buffer, this.#state).set(fields)
    this.#areas = this.#state + 4 * fields.length
    this.reserve(PAGE)
  }

  /** Makes room for a text of that many bytes; what was there is lost. */
  reserve(length: number): void {
    if (this.bytes.length >= length + PADDING) return
    const room = aligned(Math.ceil(1.5 * length) + PADDING)
    const ids = this.#base + room
    const dead = aligned(ids + 4 * room)
    this.#grow(dead + room)
    const { buffer } = this.#exports.memory
    new Int32Array(buffer, this.#areas).set([this.#base, ids, dead])
    this.bytes = new Uint8Array(buffer, this.#base, room)
    this.#ids = new Int32Array(buffer, ids, room)
  }

  /** Takes over bytes [start, end). */
  load(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.reserve(length)
    const { bytes } = this
    // for a few bytes a loop is faster than a view and a call
    if (length > 48) bytes.set(source.subarray(start, end))
    else for (let index = 0; index < length; index++) bytes[index] = source[start + index]!
  }

  /**
   * Encodes the first `length` bytes of the text; stops soon after `most` ids.
   * @returns how many ids there are; `copyIds` gives them
   */
  encode(length: number, most: number): number {
    const { bytes } = this
    // The mark of the end; four times, as damaged UTF-8 may let the scanner skip three bytes.
    for (let index = length; index < length + 4; index++) bytes[index] = 0xff
    return this.#exports.encode(this.#state, length, most)
  }

  /** Copies the first `count` ids to `out` from `at`. */
  copyIds(count: number, out: Int32Array, at: number): void {
    const ids = this.#ids
    if (count > 24) out.set(ids.subarray(0, count), at)
    else for (let index = 0; index < count; index++) out[at + index] = ids[index]!
  }

  #grow(length: number): void {
    const { memory } = this.#exports
    const missing = Math.ceil((length - memory.buffer.byteLength) / PAGE)
    if (missing <= 0) return
    try {
      memory.grow(missing)
    } catch (cause) {
      throw new ShardmillError('BAD_ROW', `no memory for a text or tables of ${length} bytes`, {
        hint: 'An encoder takes texts of up to 400 MB; split the text.',
        cause,
      })
    }
  }
}

function aligned(at: number): number {
  return Math.ceil(at / 64) * 64
}
