import { crc32 } from 'node:zlib'
import { giveBack, takeScratch } from '../memory/buffers.ts'
import type { ByteSource } from './byte-source.ts'
import type { Decompress } from './codecs.ts'
import { Damage, EndOfBytes } from './damage.ts'
import type { Chunk } from './footer.ts'
import { BitPackedStream, type IntStream, RleStream } from './rle.ts'
import type { LeafShape } from './schema.ts'
import { ThriftReader, type ThriftStruct } from './thrift.ts'

export interface DictionaryPage {
  readonly kind: 'dictionary'
  readonly values: number
  readonly encoding: number
  readonly data: Uint8Array
}

export interface DataPage {
  readonly kind: 'data'
  /** Entries: values, nulls and empty lists. */
  readonly entries: number
  readonly encoding: number
  /** Absent where the column can have no such levels. */
  readonly repetition: IntStream | undefined
  readonly definition: IntStream | undefined
  /** The encoded values, decompressed. */
  readonly data: Uint8Array
}

const readAhead = 1024 * 1024
const maxHeader = 64 * 1024 * 1024

/** The pages of one column chunk, one at a time: holds a read-ahead window and hands out one page's bytes. */
export class PageStream {
  readonly #source: ByteSource
  readonly #chunk: Chunk
  readonly #leaf: LeafShape
  readonly #decompress: Decompress
  #window = new Uint8Array(0)
  /** Whether the dictionary lies in the window, which must then stay as it is. */
  #holdsDictionary = false
  /** Where else it may lie, and where the page that was decompressed last does. */
  #dictionaryMemory: ArrayBuffer | undefined
  #page: ArrayBuffer | undefined
  #windowStart = 0
  #position: number

  constructor(source: ByteSource, chunk: Chunk, leaf: LeafShape, decompress: Decompress) {
    this.#source = source
    this.#chunk = chunk
    this.#leaf = leaf
    this.#decompress = decompress
    this.#position = chunk.start
  }

  /** The next dictionary or data page; the caller knows how many entries there must be. */
  next(): DictionaryPage | DataPage {
    for (;;) {
      const header = this.#header()
      const type = header.number(1)
      const size = header.size(2)
      const stored = header.size(3)
      const at = this.#position
      if (stored > this.#chunk.end - at) {
        throw new Damage(
          `the page at byte ${at} is said to be ${stored} bytes long, past the end of the column`,
        )
      }
      const bytes = this.#bytes(at, stored)
      this.#position += stored
      const crc = header.number(4)
      if (crc !== undefined && crc32(bytes) !== crc >>> 0) {
        throw new Damage(`the page at byte ${at} does not match its checksum`)
      }
      if (type === 0) return this.#dataPage(required(header, 5), bytes, size)
      if (type === 2) return this.#dictionaryPage(required(header, 7), bytes, size)
      if (type === 3) return this.#dataPageV2(required(header, 8), bytes, size)
      // Index pages and those of later versions hold nothing that a reader must know.
    }
  }

  /** Lets go of its memory, and so of what its pages handed out. */
  close(): void {
    this.#leaveWindow()
    if (this.#page !== undefined) giveBack(this.#page)
    this.#page = undefined
    this.#keepDictionary(undefined)
  }

  /** The pages in the window are read, except perhaps for the dictionary: who asks for a page is done with the last. */
  #leaveWindow(): void {
    const { buffer } = this.#window
    this.#window = new Uint8Array(0)
    if (this.#holdsDictionary) this.#keepDictionary(buffer)
    else giveBack(buffer)
    this.#holdsDictionary = false
  }

  /** A column has one dictionary: with the next one, nobody looks at the last. */
  #keepDictionary(memory: ArrayBuffer | undefined): void {
    if (this.#dictionaryMemory !== undefined) giveBack(this.#dictionaryMemory)
    this.#dictionaryMemory = memory
  }

  #dictionaryPage(header: ThriftStruct, bytes: Uint8Array, size: number): DictionaryPage {
    const data = this.#inflate(bytes, size)
    this.#holdsDictionary = data.buffer === bytes.buffer
    if (data.buffer === this.#page) {
      this.#keepDictionary(this.#page)
      this.#page = undefined
    }
    return { kind: 'dictionary', values: header.size(1), encoding: header.size(2), data }
  }

  /** Version 1: levels and values compressed together; each run of levels after its length. */
  #dataPage(header: ThriftStruct, bytes: Uint8Array, size: number): DataPage {
    const entries = header.size(1)
    const data = this.#inflate(bytes, size)
    let position = 0
    const levels = (encoding: number, width: number): IntStream | undefined => {
      if (width === 0) return undefined
      if (encoding === bitPacked) {
        const end = position + Math.ceil((entries * width) / 8)
        if (end > data.length) throw new Damage('its levels are cut off')
        const stream = new BitPackedStream(data, position, end, width)
        position = end
        return stream
      }
      if (encoding !== rle) throw new Damage(`its levels have encoding ${encoding}`)
      if (position + 4 > data.length) throw new Damage('its levels are cut off')
      const length =
        data[position]! |
        (data[position + 1]! << 8) |
        (data[position + 2]! << 16) |
        (data[position + 3]! << 24)
      const start = position + 4
      if (length < 0 || start + length > data.length) throw new Damage('its levels are cut off')
      position = start + length
      return new RleStream(data, start, position, width)
    }
    const repetition = levels(header.size(4), levelWidth(this.#maxRepetition()))
    const definition = levels(header.size(3), levelWidth(this.#leaf.present))
    return {
      kind: 'data',
      entries,
      encoding: header.size(2),
      repetition,
      definition,
      data: data.subarray(position),
    }
  }

  /** Version 2: levels uncompressed in front, their lengths in the header. */
  #dataPageV2(header: ThriftStruct, bytes: Uint8Array, size: number): DataPage {
    const definitionBytes = header.size(5)
    const repetitionBytes = header.size(6)
    const levelBytes = definitionBytes + repetitionBytes
    if (levelBytes > bytes.length || levelBytes > size) throw new Damage('its levels are cut off')
    const body = bytes.subarray(levelBytes)
    const width = levelWidth(this.#maxRepetition())
    const definitionWidth = levelWidth(this.#leaf.present)
    return {
      kind: 'data',
      entries: header.size(1),
      encoding: header.size(4),
      repetition: width === 0 ? undefined : new RleStream(bytes, 0, repetitionBytes, width),
      definition:
        definitionWidth === 0
          ? undefined
          : new RleStream(bytes, repetitionBytes, levelBytes, definitionWidth),
      data: header.flag(7) === false ? body : this.#inflate(body, size - levelBytes),
    }
  }

  #maxRepetition(): number {
    return this.#leaf.depth
  }

  #inflate(bytes: Uint8Array, size: number): Uint8Array {
    // Some writers leave out the compressed form of nothing.
    if (size === 0) return bytes.subarray(0, 0)
    return this.#decompress(bytes, size, this.#take)
  }

  /** Memory for one page: who asks for the next one is done with the last. */
  readonly #take = (size: number): Uint8Array => {
    if (this.#page === undefined || this.#page.byteLength < size) {
      if (this.#page !== undefined) giveBack(this.#page)
      this.#page = takeScratch(size)
    }
    return new Uint8Array(this.#page, 0, size)
  }

  /** A header does not say how long it is: parse what is at hand, and fetch more while it does not suffice. */
  #header(): ThriftStruct {
    const rest = this.#chunk.end - this.#position
    if (rest <= 0) throw new Damage('the column has fewer values than it says')
    for (let length = Math.min(rest, 512); ; length = Math.min(rest, length * 8)) {
      const reader = new ThriftReader(this.#bytes(this.#position, length))
      try {
        const header = reader.readStruct()
        this.#position += reader.position
        return header
      } catch (error) {
        if (!(error instanceof EndOfBytes) || length === rest || length > maxHeader) throw error
      }
    }
  }

  #bytes(start: number, length: number): Uint8Array {
    let offset = start - this.#windowStart
    if (offset < 0 || offset + length > this.#window.length) {
      const size = Math.min(Math.max(length, readAhead), this.#chunk.end - start)
      this.#leaveWindow()
      const window = new Uint8Array(takeScratch(size), 0, size)
      if (this.#source.readInto !== undefined) this.#source.readInto(window, start)
      else window.set(this.#source.read(start, size))
      this.#window = window
      this.#windowStart = start
      offset = 0
    }
    return this.#window.subarray(offset, offset + length)
  }
}

const rle = 3
const bitPacked = 4

function levelWidth(max: number): number {
  return 32 - Math.clz32(max)
}

function required(header: ThriftStruct, field: number): ThriftStruct {
  const struct = header.struct(field)
  if (struct === undefined) throw new Damage('a page header lacks its own kind’s part')
  return struct
}
