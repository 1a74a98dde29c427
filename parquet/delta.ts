import { Damage } from './damage.ts'

const two53 = 2 ** 53
const two52 = 2n ** 52n

/**
 * DELTA_BINARY_PACKED: integers as differences, in blocks of bit-packed miniblocks. Gives whole doubles; for a
 * 64-bit column a value beyond 2^53 comes out as NaN.
 */
export class DeltaStream {
  /** Values not handed out yet, as the header counts them. */
  left: number
  readonly #bytes: Uint8Array
  readonly #end: number
  readonly #bits: 32 | 64
  readonly #unsigned: boolean
  readonly #miniblocks: number
  readonly #perMiniblock: number
  readonly #scratch: Float64Array
  #position: number
  #value: bigint | number
  #minDelta: bigint | number = 0
  #widths: Uint8Array | undefined
  #miniblock = 0
  #ready = 0
  #next = 0
  #first = true

  constructor(bytes: Uint8Array, start: number, end: number, bits: 32 | 64, unsigned = false) {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#bits = bits
    this.#unsigned = unsigned
    const blockSize = Number(this.#varint())
    const miniblocks = Number(this.#varint())
    this.left = Number(this.#varint())
    this.#value = this.#zigzag()
    const per = blockSize / miniblocks
    if (
      !(blockSize > 0 && blockSize <= 1 << 20 && miniblocks > 0 && Number.isInteger(per) && per % 8 === 0)
    ) {
      throw new Damage(`delta blocks of ${blockSize} values in ${miniblocks} miniblocks`)
    }
    this.#miniblocks = miniblocks
    this.#perMiniblock = per
    this.#scratch = new Float64Array(per)
  }

  /** Writes up to `count` values at the start of `out`; fewer only where the stream ends. */
  read(out: Float64Array, count: number): number {
    count = Math.min(count, this.left)
    let done = 0
    if (this.#first && count > 0) {
      this.#first = false
      this.#value = this.#wrap(this.#value)
      out[done++] = this.#asDouble(this.#value)
    }
    while (done < count) {
      if (this.#next === this.#ready) this.#nextMiniblock()
      const take = Math.min(this.#ready - this.#next, count - done)
      for (let i = 0; i < take; i++) out[done + i] = this.#scratch[this.#next + i]!
      this.#next += take
      done += take
    }
    this.left -= done
    return done
  }

  /** Where the stream's bytes end, found from the block headers alone. Only before the first `read`. */
  findEnd(): number {
    const position = this.#position
    let rest = this.left - 1
    while (rest > 0) {
      this.#zigzag()
      const widths = this.#position
      this.#position += this.#miniblocks
      for (let i = 0; i < this.#miniblocks && rest > 0; i++) {
        if (widths + i >= this.#end) throw cutOff()
        this.#position += (this.#bytes[widths + i]! * this.#perMiniblock) / 8
        rest -= this.#perMiniblock
      }
      if (this.#position > this.#end) throw cutOff()
    }
    const end = this.#position
    this.#position = position
    return end
  }

  #nextMiniblock(): void {
    if (this.#widths === undefined || this.#miniblock === this.#miniblocks) {
      this.#minDelta = this.#zigzag()
      if (this.#position + this.#miniblocks > this.#end) throw cutOff()
      this.#widths = this.#bytes.subarray(this.#position, this.#position + this.#miniblocks)
      this.#position += this.#miniblocks
      this.#miniblock = 0
    }
    const width = this.#widths[this.#miniblock++]!
    if (width > 64) throw new Damage(`a bit width of ${width}`)
    const size = (width * this.#perMiniblock) / 8
    if (this.#position + size > this.#end) throw cutOff()
    if (!this.#decodeNarrow(width)) this.#decodeWide(width)
    this.#position += size
    this.#ready = this.#perMiniblock
    this.#next = 0
  }

  /** In doubles, where they are exact; false (and nothing changed) where they would not be. */
  #decodeNarrow(width: number): boolean {
    if (width > 32 || typeof this.#value === 'bigint' || typeof this.#minDelta === 'bigint') return false
    const bytes = this.#bytes
    const out = this.#scratch
    const minDelta = this.#minDelta
    const narrow = this.#bits === 32
    const unsigned = this.#unsigned
    const mask = width === 32 ? -1 : (1 << width) - 1
    let value = this.#value
    let position = this.#position
    let bit = 0
    for (let i = 0; i < this.#perMiniblock; i++) {
      let delta = 0
      if (width > 0) {
        const low =
          bytes[position]! |
          (bytes[position + 1]! << 8) |
          (bytes[position + 2]! << 16) |
          (bytes[position + 3]! << 24)
        const high = bit === 0 ? 0 : bytes[position + 4]! << (32 - bit)
        delta = (((low >>> bit) | high) & mask) >>> 0
        bit += width
        position += bit >> 3
        bit &= 7
      }
      value += minDelta + delta
      if (narrow) value |= 0
      else if (!(value < two53 && value > -two53)) return false
      out[i] = unsigned && value < 0 ? (narrow ? value >>> 0 : Number.NaN) : value
    }
    this.#value = value
    return true
  }

  #decodeWide(width: number): void {
    const minDelta = BigInt(this.#minDelta)
    let value = BigInt(this.#value)
    let bit = 0
    for (let i = 0; i < this.#perMiniblock; i++) {
      let delta = 0n
      for (let got = 0; got < width; ) {
        const byte = this.#bytes[this.#position + ((bit + got) >> 3)]!
        const offset = (bit + got) & 7
        delta |= BigInt(byte >> offset) << BigInt(got)
        got += 8 - offset
      }
      bit += width
      value = BigInt.asIntN(this.#bits, value + minDelta + BigInt.asUintN(width, delta))
      this.#scratch[i] = this.#asDouble(value)
    }
    this.#value = small(value)
  }

  #wrap(value: bigint | number): bigint | number {
    return this.#bits === 32 ? Number(BigInt.asIntN(32, BigInt(value))) : value
  }

  #asDouble(value: bigint | number): number {
    let number = Number(value)
    if (this.#unsigned && number < 0) {
      if (this.#bits === 64) return Number.NaN
      number += 2 ** 32
    }
    return Math.abs(number) > two53 ? Number.NaN : number
  }

  #varint(): bigint | number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 7; i++) {
      if (this.#position >= this.#end) throw cutOff()
      const byte = this.#bytes[this.#position++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    let wide = BigInt(value)
    for (let i = 7; i < 10; i++) {
      if (this.#position >= this.#end) throw cutOff()
      const byte = this.#bytes[this.#position++]!
      wide |= BigInt(byte & 127) << BigInt(7 * i)
      if (byte < 128) return wide
    }
    throw new Damage('a number of more than 64 bits')
  }

  #zigzag(): bigint | number {
    const value = this.#varint()
    if (typeof value === 'number') return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    return small(value & 1n ? -((value + 1n) >> 1n) : value >> 1n)
  }
}

/** As a double, where it is small enough for a sum of it and a difference to be exact or seen to be too large. */
function small(value: bigint): bigint | number {
  return value < two52 && value > -two52 ? Number(value) : value
}

function cutOff(): Damage {
  return new Damage('delta-encoded values are cut off')
}
