/** One physical column: pages to rows of levels and values. assemble.ts makes lists and structs of several. */
import { giveBack, takeScratch } from '../memory/buffers.ts'
import type { ByteSource } from './byte-source.ts'
import type { Decompress } from './codecs.ts'
import { Damage } from './damage.ts'
import type { RowGroup } from './footer.ts'
import { type DataPage, PageStream } from './pages.ts'
import type { IntStream } from './rle.ts'
import type { LeafShape } from './schema.ts'
import {
  blockSize,
  type IntValues,
  intDictionary,
  intValues,
  type StringDictionary,
  type StringValues,
  stringDictionary,
  stringValues,
} from './values.ts'

/**
 * Some rows of one physical column: its levels, entry by entry, and its values, slot by slot (a slot is an entry
 * at which there is a value or a null; an empty list has an entry but no slot).
 */
export interface LeafRows {
  readonly entries: number
  readonly slots: number
  /** Absent where every level is 0 (repetition) or the highest (definition). */
  readonly repetition: Uint8Array | undefined
  readonly definition: Uint8Array | undefined
  /** Strings: slot i is `bytes[offsets[i] .. offsets[i + 1])`. */
  readonly offsets: Int32Array
  readonly bytes: Uint8Array
  /** Integers. */
  readonly values: Float64Array
  readonly valid: Uint8Array | undefined
}

export interface Limits {
  /** Stop before a row once so many rows, bytes or slots have been read. At least one row is read. */
  readonly rows: number
  readonly bytes: number
  readonly slots: number
}

const maxRowBytes = 2 ** 31 - 1

/**
 * Reads one physical column of one row group, row by row: `fill` decodes rows into growing arrays, `take` hands the
 * first of them out. Nothing in it is as large as the row group: a page, its dictionary, and the rows at hand.
 */
export class LeafReader {
  /** Whole rows decoded and not taken yet. */
  rows = 0
  readonly leaf: LeafShape
  readonly #pages: PageStream
  /** Entries of the column chunk that no page has brought yet, and those of the page that are not decoded yet. */
  #chunkLeft: number
  #pageLeft = 0

  #repetitions: IntStream | undefined
  #definitions: IntStream | undefined
  #strings: StringValues | undefined
  #ints: IntValues | undefined
  #value = 0
  #stringDictionary: StringDictionary | undefined
  #intDictionary: Float64Array | undefined

  // The levels of some entries ahead.
  readonly #repetitionBlock = new Int32Array(blockSize)
  readonly #definitionBlock = new Int32Array(blockSize)
  #block = 0
  #blockEnd = 0

  // What has been decoded and not taken.
  #entries = 0
  #slots = 0
  #size = 0
  #repetition: Uint8Array | undefined
  #definition: Uint8Array | undefined
  #offsets = new Int32Array(0)
  #bytes = new Uint8Array(0)
  #values = new Float64Array(0)
  #valid: Uint8Array | undefined
  #expectedBytes = 64 * 1024
  readonly #reuse: boolean
  /** Memory of the batch that was handed out last. */
  #lent: ArrayBuffer | undefined

  constructor(source: ByteSource, group: RowGroup, leaf: LeafShape, decompress: Decompress, reuse: boolean) {
    this.#reuse = reuse
    const chunk = group.chunks[leaf.index]!
    this.leaf = leaf
    this.#pages = new PageStream(source, chunk, leaf, decompress)
    this.#chunkLeft = chunk.values
    if (leaf.depth > 0) this.#repetition = new Uint8Array(0)
    if (leaf.present > 0) this.#definition = new Uint8Array(0)
    this.#definitionBlock.fill(leaf.present)
    this.#restart()
  }

  /** Decodes until there are `limits.rows` rows, or fewer by the other limits or the end of the column. */
  fill(limits: Limits): void {
    while (this.#block < this.#blockEnd || this.#nextBlock()) {
      const entries = this.#blockEnd - this.#block
      this.#reserve(entries)
      const from = this.#block
      const full = this.leaf.type === 'int' ? this.#appendInts(limits) : this.#appendStrings(limits)
      this.#keepLevels(from, this.#block)
      if (full) return
    }
  }

  /** What was handed out is looked at no more. */
  takeBack(): void {
    if (this.#lent !== undefined) giveBack(this.#lent)
    this.#lent = undefined
  }

  /** Lets go of its memory, with that of the last batch. */
  close(): void {
    this.takeBack()
    if (this.#reuse && this.#bytes.length > 0) giveBack(this.#bytes.buffer)
    this.#bytes = new Uint8Array(0)
    this.#pages.close()
  }

  /** True once every entry of the column has been decoded. */
  get ended(): boolean {
    return this.#chunkLeft === 0 && this.#pageLeft === 0 && this.#block === this.#blockEnd
  }

  /** Hands out the first `rows` rows (at most `this.rows`); what is left stays for the next call. */
  take(rows: number): LeafRows {
    const { leaf } = this
    const entries = rows === this.rows ? this.#entries : this.#entriesOf(rows)
    const slots = rows === this.rows ? this.#slots : this.#slotsOf(entries)
    const isInt = leaf.type === 'int'
    const size = isInt ? 0 : this.#offsets[slots]!
    const taken: LeafRows = {
      entries,
      slots,
      repetition: this.#repetition?.subarray(0, entries),
      definition: this.#definition?.subarray(0, entries),
      offsets: this.#offsets.subarray(0, isInt ? 0 : slots + 1),
      bytes: this.#bytes.subarray(0, size),
      values: this.#values.subarray(0, isInt ? slots : 0),
      valid: hasNull(this.#valid, slots) ? this.#valid!.subarray(0, slots) : undefined,
    }
    const rest = {
      rows: this.rows - rows,
      entries: this.#entries - entries,
      slots: this.#slots - slots,
      size: this.#size - size,
      repetition: this.#repetition?.slice(entries, this.#entries),
      definition: this.#definition?.slice(entries, this.#entries),
      offsets: this.#offsets.subarray(slots),
      bytes: this.#bytes.subarray(size, this.#size),
      values: this.#values.subarray(slots, this.#slots),
      valid: this.#valid?.subarray(slots, this.#slots),
    }
    this.#expectedBytes = Math.max(1024, Math.ceil(size * 1.25))
    if (this.#reuse && this.#bytes.length > 0) this.#lent = this.#bytes.buffer
    this.#restart()
    if (rest.entries === 0) return taken
    this.rows = rest.rows
    this.#entries = rest.entries
    this.#repetition = rest.repetition
    this.#definition = rest.definition
    this.#reserve(0, rest.slots, rest.size)
    if (isInt) this.#values.set(rest.values)
    else {
      for (let i = 0; i <= rest.slots; i++) this.#offsets[i] = rest.offsets[i]! - size
      this.#bytes.set(rest.bytes)
    }
    if (rest.valid !== undefined && hasNull(rest.valid, rest.slots)) this.#validity().set(rest.valid)
    this.#slots = rest.slots
    this.#size = rest.size
    return taken
  }

  #restart(): void {
    this.rows = 0
    this.#entries = 0
    this.#slots = 0
    this.#size = 0
    // The arrays handed out belong to the batch.
    this.#repetition &&= new Uint8Array(0)
    this.#definition &&= new Uint8Array(0)
    this.#offsets = new Int32Array(this.leaf.type === 'int' ? 0 : 1)
    this.#bytes = new Uint8Array(0)
    this.#values = new Float64Array(0)
    this.#valid = undefined
  }

  /** Decodes the levels of the next entries, from the next page where this one is done. False at the end. */
  #nextBlock(): boolean {
    while (this.#pageLeft === 0) {
      if (this.#chunkLeft === 0) return false
      this.#nextPage()
    }
    const count = Math.min(this.#pageLeft, blockSize)
    const { depth, present } = this.leaf
    if (this.#repetitions !== undefined) {
      checkLevels(this.#repetitionBlock, this.#repetitions.read(this.#repetitionBlock, count), count, depth)
      // What continues a row needs a row before it.
      if (this.rows === 0 && this.#entries === 0 && this.#isFirst && this.#repetitionBlock[0] !== 0) {
        throw new Damage('its first row begins in the middle')
      }
    }
    if (this.#definitions !== undefined) {
      checkLevels(this.#definitionBlock, this.#definitions.read(this.#definitionBlock, count), count, present)
    }
    this.#isFirst = false
    this.#pageLeft -= count
    this.#block = 0
    this.#blockEnd = count
    return true
  }
  #isFirst = true

  #nextPage(): void {
    for (;;) {
      const page = this.#pages.next()
      if (page.kind === 'data') {
        this.#openPage(page)
        return
      }
      if (this.leaf.type === 'int') this.#intDictionary = intDictionary(page, this.leaf)
      else if (this.leaf.type === 'string') this.#stringDictionary = stringDictionary(page)
    }
  }

  #openPage(page: DataPage): void {
    if (page.entries > this.#chunkLeft) {
      throw new Damage(
        `a page of ${page.entries} values, where only ${this.#chunkLeft} are left of the column`,
      )
    }
    this.#chunkLeft -= page.entries
    this.#pageLeft = page.entries
    this.#repetitions = page.repetition
    this.#definitions = page.definition
    this.#value = 0
    const { type } = this.leaf
    this.#ints = undefined
    this.#strings = undefined
    // A page without values need not have an encoding that fits them.
    if (page.data.length === 0) this.#strings = noStrings
    if (page.data.length === 0) this.#ints = noInts
    else if (type === 'int') this.#ints = intValues(page, this.leaf, this.#intDictionary)
    else if (type === 'string') this.#strings = stringValues(page, this.#stringDictionary)
    this.#strings ??= noStrings
  }

  /** Walks the levels and the values' lengths; the values themselves follow in runs (`#copyValues`). */
  #appendStrings(limits: Limits): boolean {
    const { present, slot } = this.leaf
    const repetitions = this.#repetitionBlock
    const definitions = this.#definitionBlock
    const end = this.#blockEnd
    const strings = this.#strings!
    const { lengths } = strings
    const offsets = this.#offsets
    let { count } = strings
    let value = this.#value
    let copied = value
    let rows = this.rows
    let slots = this.#slots
    let size = this.#size
    let i = this.#block
    let full = false
    for (; i < end; i++) {
      if (repetitions[i] === 0) {
        if (rows >= limits.rows || (rows > 0 && (size >= limits.bytes || slots >= limits.slots))) {
          full = true
          break
        }
        rows++
      }
      const level = definitions[i]!
      if (level === present) {
        if (value === count) {
          this.#copyValues(strings, copied, value, size)
          strings.refill()
          count = strings.count
          if (count === 0) throw new Damage('a page has fewer values than its levels say')
          value = 0
          copied = 0
        }
        size += lengths[value++]!
        if (size > maxRowBytes) throw tooLarge()
        offsets[++slots] = size
      } else if (level >= slot) {
        this.#validity()[slots] = 0
        offsets[++slots] = size
      }
    }
    this.#copyValues(strings, copied, value, size)
    this.#value = value
    this.rows = rows
    this.#slots = slots
    this.#block = i
    return full
  }

  /** Appends the values `from` to `to` of the strings’ block to the bytes, which then are `end` long. */
  #copyValues(strings: StringValues, from: number, to: number, end: number): void {
    if (from === to) return
    const { src, starts, lengths, gap } = strings
    const last = to - 1
    let size = this.#size
    if (gap !== undefined) {
      // In one piece with the length prefixes between them, then closed up: a call per value less.
      const region = starts[last]! + lengths[last]! - starts[from]!
      if (size + region > this.#bytes.length) this.#growBytes(size + region)
      const bytes = this.#bytes
      bytes.set(src.subarray(starts[from], starts[from]! + region), size)
      const shift = size - starts[from]!
      size += lengths[from]!
      for (let i = from + 1; i < to && gap > 0; i++) {
        const start = starts[i]! + shift
        const length = lengths[i]!
        if (length > 20) bytes.copyWithin(size, start, start + length)
        else for (let k = 0; k < length; k++) bytes[size + k] = bytes[start + k]!
        size += length
      }
    } else {
      if (end > this.#bytes.length) this.#growBytes(end)
      const bytes = this.#bytes
      for (let i = from; i < to; i++) {
        const start = starts[i]!
        const length = lengths[i]!
        if (length > 40) bytes.set(src.subarray(start, start + length), size)
        else for (let k = 0; k < length; k++) bytes[size + k] = src[start + k]!
        size += length
      }
    }
    this.#size = end
  }

  #appendInts(limits: Limits): boolean {
    const { present, slot } = this.leaf
    const repetitions = this.#repetitionBlock
    const definitions = this.#definitionBlock
    const end = this.#blockEnd
    const ints = this.#ints!
    const out = this.#values
    const most = Math.min(limits.slots, Math.ceil(limits.bytes / 8))
    let value = this.#value
    let rows = this.rows
    let slots = this.#slots
    let i = this.#block
    let full = false
    for (; i < end; i++) {
      if (repetitions[i] === 0) {
        if (rows >= limits.rows || (rows > 0 && slots >= most)) {
          full = true
          break
        }
        rows++
      }
      const level = definitions[i]!
      if (level === present) {
        if (value === ints.count) {
          ints.refill()
          value = 0
          if (ints.count === 0) throw new Damage('a page has fewer values than its levels say')
        }
        const number = ints.values[value++]!
        if (Number.isNaN(number)) throw new Damage('it has an integer beyond 2^53, which is not supported')
        out[slots++] = number
      } else if (level >= slot) {
        this.#validity()[slots] = 0
        out[slots++] = 0
      }
    }
    this.#value = value
    this.rows = rows
    this.#slots = slots
    this.#block = i
    return full
  }

  #keepLevels(from: number, to: number): void {
    const count = to - from
    if (this.#repetition !== undefined) {
      this.#repetition.set(this.#repetitionBlock.subarray(from, to), this.#entries)
    }
    if (this.#definition !== undefined) {
      this.#definition.set(this.#definitionBlock.subarray(from, to), this.#entries)
    }
    this.#entries += count
  }

  /** Room for so many more entries, and at least for so many slots and bytes. */
  #reserve(entries: number, slots = this.#slots, size = this.#size): void {
    const slotsNeeded = slots + entries
    const entriesNeeded = this.#entries + entries
    if (this.#repetition !== undefined) this.#repetition = grown(this.#repetition, entriesNeeded)
    if (this.#definition !== undefined) this.#definition = grown(this.#definition, entriesNeeded)
    if (this.leaf.type === 'int') {
      if (slotsNeeded > this.#values.length) {
        const values = new Float64Array(Math.max(slotsNeeded, 2 * this.#values.length))
        values.set(this.#values)
        this.#values = values
      }
    } else {
      if (slotsNeeded + 1 > this.#offsets.length) {
        const offsets = new Int32Array(Math.max(slotsNeeded + 1, 2 * this.#offsets.length))
        offsets.set(this.#offsets)
        this.#offsets = offsets
      }
      if (size > this.#bytes.length) this.#growBytes(size)
    }
    if (this.#valid !== undefined && this.#valid.length < slotsNeeded) {
      const valid = new Uint8Array(Math.max(slotsNeeded, 2 * this.#valid.length)).fill(1, this.#slots)
      valid.set(this.#valid.subarray(0, this.#slots))
      this.#valid = valid
    }
  }

  #growBytes(needed: number): void {
    if (needed > maxRowBytes) throw tooLarge()
    const size = Math.min(maxRowBytes, Math.max(needed, this.#bytes.length * 2, this.#expectedBytes))
    const bytes = new Uint8Array(this.#reuse ? takeScratch(size) : Buffer.allocUnsafeSlow(size).buffer)
    bytes.set(this.#bytes.subarray(0, this.#size))
    if (this.#reuse && this.#bytes.length > 0) giveBack(this.#bytes.buffer)
    this.#bytes = bytes
  }

  /** The validity array, made when the first null turns up: all before it were values. */
  #validity(): Uint8Array {
    this.#valid ??= new Uint8Array(
      Math.max(this.leaf.type === 'int' ? this.#values.length : this.#offsets.length, 1),
    ).fill(1)
    return this.#valid
  }

  #entriesOf(rows: number): number {
    if (this.#repetition === undefined) return rows
    let seen = 0
    for (let i = 0; i < this.#entries; i++) {
      if (this.#repetition[i] === 0 && seen++ === rows) return i
    }
    return this.#entries
  }

  #slotsOf(entries: number): number {
    const { slot } = this.leaf
    if (this.#definition === undefined || slot === 0) return entries
    let slots = 0
    for (let i = 0; i < entries; i++) if (this.#definition[i]! >= slot) slots++
    return slots
  }
}

function grown(array: Uint8Array, needed: number): Uint8Array {
  if (needed <= array.length) return array
  const larger = new Uint8Array(Math.max(needed, 2 * array.length))
  larger.set(array)
  return larger
}

function checkLevels(block: Int32Array, got: number, count: number, max: number): void {
  if (got < count) throw new Damage('a page has fewer levels than values')
  let worst = 0
  for (let i = 0; i < count; i++) if (block[i]! > worst) worst = block[i]!
  if (worst > max) throw new Damage(`a level of ${worst}, where ${max} is the highest`)
}

function tooLarge(): Damage {
  return new Damage('it has a row of more than 2 GiB, which is not supported')
}

function hasNull(valid: Uint8Array | undefined, slots: number): boolean {
  if (valid === undefined) return false
  for (let i = 0; i < slots; i++) if (valid[i] === 0) return true
  return false
}

const noStrings: StringValues = {
  src: new Uint8Array(0),
  starts: new Int32Array(0),
  lengths: new Int32Array(0),
  gap: undefined,
  count: 0,
  refill() {},
}
const noInts: IntValues = { values: new Float64Array(0), count: 0, refill() {} }
