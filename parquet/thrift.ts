import { Damage, EndOfBytes } from './damage.ts'

/**
 * Thrift's compact protocol, as far as parquet's footer and page headers use it
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
 *
 * Ours rather than hyparquet's because a footer comes from strangers: varints are at most ten bytes long, nesting
 * is limited, no list is allocated that the bytes at hand could not hold, and statistics are never converted.
 */
export type ThriftValue = boolean | number | Uint8Array | ThriftValue[] | ThriftStruct

/** Fields by their number; a field that is not there is undefined. */
export class ThriftStruct {
  readonly fields: (ThriftValue | undefined)[] = []

  number(field: number): number | undefined {
    const value = this.fields[field]
    if (value !== undefined && typeof value !== 'number') throw wrong(field, 'a number')
    return value
  }

  /** A count, size or offset: present, whole, not negative and below 2^53. */
  size(field: number): number {
    const value = this.number(field)
    if (value === undefined || value < 0 || !Number.isSafeInteger(value)) throw wrong(field, 'a size')
    return value
  }

  flag(field: number): boolean | undefined {
    const value = this.fields[field]
    if (value !== undefined && typeof value !== 'boolean') throw wrong(field, 'a boolean')
    return value
  }

  text(field: number): string | undefined {
    const value = this.fields[field]
    if (value === undefined) return undefined
    if (!(value instanceof Uint8Array)) throw wrong(field, 'a string')
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
  }

  struct(field: number): ThriftStruct | undefined {
    const value = this.fields[field]
    if (value !== undefined && !(value instanceof ThriftStruct)) throw wrong(field, 'a struct')
    return value
  }

  structs(field: number): ThriftStruct[] {
    const value = this.fields[field]
    if (!Array.isArray(value)) throw wrong(field, 'a list')
    return value.map((item) => {
      if (!(item instanceof ThriftStruct)) throw wrong(field, 'a list of structs')
      return item
    })
  }
}

function wrong(field: number, expected: string): Damage {
  return new Damage(`field ${field} of its metadata is not ${expected}`)
}

const maxDepth = 32

/** Reads one struct after the other; `position` is where the next one starts. */
export class ThriftReader {
  position: number
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes
    this.position = position
  }

  /** Throws `EndOfBytes` when the struct goes on past the bytes at hand. */
  readStruct(depth = 0): ThriftStruct {
    if (depth > maxDepth) throw new Damage('its metadata is nested too deeply')
    const struct = new ThriftStruct()
    let field = 0
    for (;;) {
      const head = this.#byte()
      const type = head & 15
      if (type === 0) return struct
      field = head >> 4 === 0 ? this.#zigzag() : field + (head >> 4)
      if (!(field >= 0 && field < 32768)) throw new Damage(`its metadata has a field number ${field}`)
      const value = this.#value(type, depth)
      // Parquet's structs have few fields; one that a later version adds is read over.
      if (field < 64) struct.fields[field] = value
    }
  }

  #value(type: number, depth: number): ThriftValue {
    switch (type) {
      case 1:
        return true
      case 2:
        return false
      case 3:
        return (this.#byte() << 24) >> 24
      case 4:
      case 5:
      case 6:
        return this.#zigzag()
      case 7:
        return this.#take(8)
      case 8:
        return this.#take(this.#varint())
      case 9:
      case 10:
        return this.#list(depth)
      case 11:
        return this.#map(depth)
      case 12:
        return this.readStruct(depth + 1)
      case 13:
        return this.#take(16)
      default:
        throw new Damage(`its metadata has a value of unknown type ${type}`)
    }
  }

  #list(depth: number): ThriftValue[] {
    if (depth > maxDepth) throw new Damage('its metadata is nested too deeply')
    const head = this.#byte()
    const type = head & 15
    const size = head >> 4 === 15 ? this.#varint() : head >> 4
    // Every item takes at least a byte.
    if (size > this.#bytes.length - this.position) throw new EndOfBytes('its metadata ends within a list')
    const items: ThriftValue[] = []
    for (let i = 0; i < size; i++) {
      items.push(type === 1 || type === 2 ? this.#byte() === 1 : this.#value(type, depth + 1))
    }
    return items
  }

  /** Parquet has no maps: read over. */
  #map(depth: number): ThriftValue[] {
    if (depth > maxDepth) throw new Damage('its metadata is nested too deeply')
    const size = this.#varint()
    if (size === 0) return []
    if (size > this.#bytes.length - this.position) throw new EndOfBytes('its metadata ends within a map')
    const types = this.#byte()
    for (let i = 0; i < size; i++) {
      this.#value(types >> 4, depth + 1)
      this.#value(types & 15, depth + 1)
    }
    return []
  }

  #byte(): number {
    if (this.position >= this.#bytes.length) throw new EndOfBytes('its metadata ends early')
    return this.#bytes[this.position++]!
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.position) throw new EndOfBytes('its metadata ends within a value')
    const value = this.#bytes.subarray(this.position, this.position + length)
    this.position += length
    return value
  }

  /** As a double: exact up to 2^53, which is checked where it matters (`ThriftStruct.size`). */
  #varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    throw new Damage('its metadata has a number of more than 64 bits')
  }

  #zigzag(): number {
    const value = this.#varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
