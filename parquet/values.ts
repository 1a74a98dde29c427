import { Damage } from './damage.ts'
import { DeltaStream } from './delta.ts'
import type { DataPage, DictionaryPage } from './pages.ts'
import { RleStream } from './rle.ts'
import { INT32, type LeafShape } from './schema.ts'

/** So many values are made ready at a time: small enough to stay in the processor's cache. */
export const blockSize = 4096

/**
 * The strings of one page, a block at a time: after `refill`, value i (0 to `count`) is
 * `src[starts[i] .. starts[i] + lengths[i])`.
 */
export interface StringValues {
  readonly src: Uint8Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
  /** Set where the values of a block lie one after the other, always so many bytes apart. */
  readonly gap: number | undefined
  /** 0 after a `refill` means that the page has no more. */
  readonly count: number
  refill(): void
}

/** The integers of one page, a block at a time. NaN stands for a value that a double cannot hold. */
export interface IntValues {
  readonly values: Float64Array
  readonly count: number
  refill(): void
}

export interface StringDictionary {
  readonly src: Uint8Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
}

const PLAIN = 0
const PLAIN_DICTIONARY = 2
const DELTA_BINARY_PACKED = 5
const DELTA_LENGTH_BYTE_ARRAY = 6
const DELTA_BYTE_ARRAY = 7
const RLE_DICTIONARY = 8
const BYTE_STREAM_SPLIT = 9

export function stringValues(page: DataPage, dictionary: StringDictionary | undefined): StringValues {
  const { data, encoding } = page
  switch (encoding) {
    case PLAIN:
      return new PlainStrings(data)
    case PLAIN_DICTIONARY:
    case RLE_DICTIONARY:
      if (dictionary === undefined) throw new Damage('a page refers to a dictionary that is not there')
      return new DictionaryStrings(indices(data), dictionary)
    case DELTA_LENGTH_BYTE_ARRAY:
      return new DeltaLengthStrings(data, 0)
    case DELTA_BYTE_ARRAY:
      return new DeltaStrings(data)
    default:
      throw new Damage(`a page of strings has encoding ${encoding}, which is not known for them`)
  }
}

export function intValues(page: DataPage, leaf: LeafShape, dictionary: Float64Array | undefined): IntValues {
  const { data, encoding } = page
  const width = leaf.physical === INT32 ? 4 : 8
  switch (encoding) {
    case PLAIN:
      return new PlainInts(data, width, leaf.unsigned, 1)
    case BYTE_STREAM_SPLIT:
      return new PlainInts(data, width, leaf.unsigned, Math.floor(data.length / width))
    case PLAIN_DICTIONARY:
    case RLE_DICTIONARY:
      if (dictionary === undefined) throw new Damage('a page refers to a dictionary that is not there')
      return new DictionaryInts(indices(data), dictionary)
    case DELTA_BINARY_PACKED:
      return new DeltaInts(new DeltaStream(data, 0, data.length, width === 4 ? 32 : 64, leaf.unsigned))
    default:
      throw new Damage(`a page of integers has encoding ${encoding}, which is not known for them`)
  }
}

export function stringDictionary(page: DictionaryPage): StringDictionary {
  checkDictionary(page, 4)
  const starts = new Int32Array(page.values)
  const lengths = new Int32Array(page.values)
  const found = walkPlain(page.data, 0, page.values, starts, lengths)
  if (found < page.values) throw new Damage('its dictionary is cut off')
  return { src: page.data, starts, lengths }
}

export function intDictionary(page: DictionaryPage, leaf: LeafShape): Float64Array {
  const width = leaf.physical === INT32 ? 4 : 8
  checkDictionary(page, width)
  const values = new Float64Array(page.values)
  new PlainInts(page.data, width, leaf.unsigned, 1).copy(values, page.values)
  return values
}

function checkDictionary(page: DictionaryPage, leastBytes: number): void {
  if (page.encoding !== PLAIN && page.encoding !== PLAIN_DICTIONARY) {
    throw new Damage(`its dictionary has encoding ${page.encoding}`)
  }
  if (page.values * leastBytes > page.data.length) throw new Damage('its dictionary is cut off')
}

function indices(data: Uint8Array): RleStream {
  if (data.length === 0) return new RleStream(data, 0, 0, 1)
  return new RleStream(data, 1, data.length, data[0]!)
}

/** Walks length-prefixed values from `position`; returns how many whole ones there were, up to `count`. */
function walkPlain(
  data: Uint8Array,
  position: number,
  count: number,
  starts: Int32Array,
  lengths: Int32Array,
): number {
  const end = data.length
  for (let i = 0; i < count; i++) {
    if (position + 4 > end) return i
    const length =
      data[position]! | (data[position + 1]! << 8) | (data[position + 2]! << 16) | (data[position + 3]! << 24)
    position += 4
    if (length < 0 || length > end - position) return i
    starts[i] = position
    lengths[i] = length
    position += length
  }
  return count
}

class PlainStrings implements StringValues {
  readonly src: Uint8Array
  readonly starts = new Int32Array(blockSize)
  readonly lengths = new Int32Array(blockSize)
  readonly gap = 4
  count = 0
  #position = 0

  constructor(src: Uint8Array) {
    this.src = src
  }

  refill(): void {
    this.count = walkPlain(this.src, this.#position, blockSize, this.starts, this.lengths)
    if (this.count > 0) this.#position = this.starts[this.count - 1]! + this.lengths[this.count - 1]!
  }
}

class DictionaryStrings implements StringValues {
  readonly src: Uint8Array
  readonly starts = new Int32Array(blockSize)
  readonly lengths = new Int32Array(blockSize)
  readonly gap = undefined
  count = 0
  readonly #dictionary: StringDictionary
  readonly #indices: IndexBlocks

  constructor(indices: RleStream, dictionary: StringDictionary) {
    this.src = dictionary.src
    this.#dictionary = dictionary
    this.#indices = new IndexBlocks(indices, dictionary.starts.length)
  }

  refill(): void {
    const { starts, lengths } = this
    const { starts: from, lengths: sizes } = this.#dictionary
    this.count = this.#indices.refill()
    const { block } = this.#indices
    for (let i = 0; i < this.count; i++) {
      const index = block[i]!
      starts[i] = from[index]!
      lengths[i] = sizes[index]!
    }
  }
}

/** Dictionary indices, checked. The padding of a page's last group may hold anything: only its use is an error. */
class IndexBlocks {
  readonly block = new Int32Array(blockSize)
  readonly #indices: RleStream
  readonly #entries: number
  #bad: number | undefined

  constructor(indices: RleStream, entries: number) {
    this.#indices = indices
    this.#entries = entries
  }

  refill(): number {
    if (this.#bad !== undefined) {
      throw new Damage(`a page refers to entry ${this.#bad >>> 0} of a dictionary of ${this.#entries}`)
    }
    const { block } = this
    const count = this.#indices.read(block, blockSize)
    for (let i = 0; i < count; i++) {
      const index = block[i]!
      if (index < 0 || index >= this.#entries) {
        this.#bad = index
        return i === 0 ? this.refill() : i
      }
    }
    return count
  }
}

/** All lengths first, as deltas, then all bytes. */
class DeltaLengthStrings implements StringValues {
  readonly src: Uint8Array
  readonly starts = new Int32Array(blockSize)
  readonly lengths = new Int32Array(blockSize)
  readonly gap = 0
  count = 0
  readonly #stream: DeltaStream
  readonly #block = new Float64Array(blockSize)
  #position: number

  constructor(src: Uint8Array, start: number) {
    this.src = src
    this.#stream = new DeltaStream(src, start, src.length, 32)
    this.#position = this.#stream.findEnd()
  }

  refill(): void {
    this.count = this.#stream.read(this.#block, blockSize)
    for (let i = 0; i < this.count; i++) {
      const length = this.#block[i]!
      if (length < 0 || length > this.src.length - this.#position) throw new Damage('its strings are cut off')
      this.starts[i] = this.#position
      this.lengths[i] = length
      this.#position += length
    }
  }
}

/** Each value as a prefix of the one before and a suffix. Assembled in a buffer of its own, block by block. */
class DeltaStrings implements StringValues {
  src = new Uint8Array(64 * 1024)
  readonly starts = new Int32Array(blockSize)
  readonly lengths = new Int32Array(blockSize)
  readonly gap = undefined
  count = 0
  readonly #prefixes: DeltaStream
  readonly #suffixes: DeltaLengthStrings
  readonly #prefix = new Float64Array(1)
  #suffix = 0

  constructor(data: Uint8Array) {
    this.#prefixes = new DeltaStream(data, 0, data.length, 32)
    this.#suffixes = new DeltaLengthStrings(data, this.#prefixes.findEnd())
  }

  refill(): void {
    // The last value of the block before is the first one's predecessor: it moves to the front.
    let lastStart = 0
    let lastLength = 0
    if (this.count > 0) {
      lastLength = this.lengths[this.count - 1]!
      this.src.copyWithin(0, this.starts[this.count - 1]!, this.starts[this.count - 1]! + lastLength)
    }
    let size = lastLength
    this.count = 0
    while (this.count < blockSize && (this.count === 0 || size < maxBlockBytes)) {
      if (this.#suffix === this.#suffixes.count) {
        this.#suffixes.refill()
        this.#suffix = 0
        if (this.#suffixes.count === 0) break
      }
      if (this.#prefixes.read(this.#prefix, 1) === 0) break
      const prefix = this.#prefix[0]!
      if (prefix < 0 || prefix > lastLength)
        throw new Damage('a string shares more with its neighbour than there is')
      const start = this.#suffixes.starts[this.#suffix]!
      const length = this.#suffixes.lengths[this.#suffix]!
      this.#suffix++
      if (size + prefix + length > this.src.length) {
        const grown = new Uint8Array(Math.max(this.src.length * 2, size + prefix + length))
        grown.set(this.src.subarray(0, size))
        this.src = grown
      }
      this.src.copyWithin(size, lastStart, lastStart + prefix)
      this.src.set(this.#suffixes.src.subarray(start, start + length), size + prefix)
      lastStart = size
      lastLength = prefix + length
      this.starts[this.count] = lastStart
      this.lengths[this.count] = lastLength
      this.count++
      size += lastLength
    }
  }
}

const maxBlockBytes = 1024 * 1024

/** Little-endian integers, one after the other (`stride` 1) or split into one stream per byte. */
class PlainInts implements IntValues {
  readonly values = new Float64Array(blockSize)
  count = 0
  #index = 0
  readonly #data: Uint8Array
  readonly #width: 4 | 8
  readonly #unsigned: boolean
  readonly #total: number
  readonly #step: number
  readonly #split: number

  constructor(data: Uint8Array, width: 4 | 8, unsigned: boolean, split: number) {
    this.#data = data
    this.#width = width
    this.#unsigned = unsigned
    this.#total = Math.floor(data.length / width)
    this.#split = split
    this.#step = split === 1 ? width : 1
  }

  refill(): void {
    this.count = Math.min(blockSize, this.#total - this.#index)
    this.copy(this.values, this.count)
  }

  copy(out: Float64Array, count: number): void {
    const data = this.#data
    const unsigned = this.#unsigned
    const by = this.#split
    for (let i = 0; i < count; i++) {
      const at = (this.#index + i) * this.#step
      const low = data[at]! | (data[at + by]! << 8) | (data[at + 2 * by]! << 16) | (data[at + 3 * by]! << 24)
      if (this.#width === 4) {
        out[i] = unsigned ? low >>> 0 : low
        continue
      }
      const high =
        data[at + 4 * by]! |
        (data[at + 5 * by]! << 8) |
        (data[at + 6 * by]! << 16) |
        (data[at + 7 * by]! << 24)
      const value = (unsigned ? high >>> 0 : high) * 2 ** 32 + (low >>> 0)
      out[i] = Math.abs(value) > Number.MAX_SAFE_INTEGER ? beyond(high, low, unsigned) : value
    }
    this.#index += count
  }
}

/** 2^53 itself is exact; anything past it is not. */
function beyond(high: number, low: number, unsigned: boolean): number {
  const wide = (BigInt(high) << 32n) | BigInt(low >>> 0)
  const value = unsigned ? BigInt.asUintN(64, wide) : BigInt.asIntN(64, wide)
  return value === 2n ** 53n || value === -(2n ** 53n) ? Number(value) : Number.NaN
}

class DictionaryInts implements IntValues {
  readonly values = new Float64Array(blockSize)
  count = 0
  readonly #dictionary: Float64Array
  readonly #indices: IndexBlocks

  constructor(indices: RleStream, dictionary: Float64Array) {
    this.#dictionary = dictionary
    this.#indices = new IndexBlocks(indices, dictionary.length)
  }

  refill(): void {
    this.count = this.#indices.refill()
    const { block } = this.#indices
    for (let i = 0; i < this.count; i++) this.values[i] = this.#dictionary[block[i]!]!
  }
}

class DeltaInts implements IntValues {
  readonly values = new Float64Array(blockSize)
  count = 0
  readonly #stream: DeltaStream

  constructor(stream: DeltaStream) {
    this.#stream = stream
  }

  refill(): void {
    this.count = this.#stream.read(this.values, blockSize)
  }
}
