import { Damage } from './damage.ts'

/** Gives out small unsigned integers in order: levels or dictionary indices. */
export interface IntStream {
  /** Writes up to `count` values at the start of `out`; fewer only where the data end. */
  read(out: Int32Array, count: number): number
}

/**
 * Parquet's hybrid of run-length and bit-packed runs, values of `width` bits (0 to 32), in `bytes[start .. end)`.
 * Reads on demand: a run of a billion values costs nothing until it is asked for.
 */
export class RleStream implements IntStream {
  readonly #bytes: Uint8Array
  readonly #end: number
  readonly #width: number
  #position: number
  #left = 0
  #packed = false
  #value = 0
  #bit = 0

  constructor(bytes: Uint8Array, start: number, end: number, width: number) {
    if (width > 32) throw new Damage(`a bit width of ${width}`)
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#width = width
  }

  read(out: Int32Array, count: number): number {
    // Values of no bits need no data: some writers leave them out.
    if (this.#width === 0) {
      out.fill(0, 0, count)
      return count
    }
    let done = 0
    while (done < count) {
      if (this.#left === 0 && !this.#nextRun()) break
      const take = Math.min(this.#left, count - done)
      if (this.#packed) this.#unpack(out, done, take)
      else out.fill(this.#value, done, done + take)
      done += take
      this.#left -= take
    }
    return done
  }

  /** False at the end, be it a clean one or not: who needs more values than there are will say so. */
  #nextRun(): boolean {
    const bytes = this.#bytes
    const width = this.#width
    for (;;) {
      // A packed run ends on a byte border; its last values may not all have been asked for.
      if (this.#bit > 0) {
        this.#position++
        this.#bit = 0
      }
      if (this.#position >= this.#end) return false
      let head = 0
      for (let shift = 0; ; shift += 7) {
        if (this.#position >= this.#end || shift > 28) return false
        const byte = bytes[this.#position++]!
        head = (head | ((byte & 127) << shift)) >>> 0
        if (byte < 128) break
      }
      if (head & 1) {
        this.#packed = true
        // Writers may leave out the padding of the last group of eight.
        this.#left = Math.min((head >>> 1) * 8, Math.floor(((this.#end - this.#position) * 8) / width))
      } else {
        const size = (width + 7) >> 3
        if (this.#position + size > this.#end) return false
        this.#packed = false
        this.#left = head >>> 1
        this.#value = 0
        for (let i = 0; i < size; i++) this.#value |= bytes[this.#position++]! << (8 * i)
      }
      if (this.#left > 0) return true
    }
  }

  #unpack(out: Int32Array, from: number, count: number): void {
    const bytes = this.#bytes
    const width = this.#width
    let position = this.#position
    let bit = this.#bit
    const to = from + count
    // Loads past the end of the bytes give undefined, which counts as 0; `#left` keeps those bits from being used.
    if (width === 1) {
      for (let i = from; i < to; i++) {
        out[i] = (bytes[position]! >> bit) & 1
        if (++bit === 8) {
          bit = 0
          position++
        }
      }
    } else if (width <= 8) {
      const mask = (1 << width) - 1
      for (let i = from; i < to; i++) {
        out[i] = ((bytes[position]! | (bytes[position + 1]! << 8)) >> bit) & mask
        bit += width
        position += bit >> 3
        bit &= 7
      }
    } else {
      const mask = width === 32 ? -1 : (1 << width) - 1
      for (let i = from; i < to; i++) {
        const low =
          bytes[position]! |
          (bytes[position + 1]! << 8) |
          (bytes[position + 2]! << 16) |
          (bytes[position + 3]! << 24)
        const high = bit === 0 ? 0 : bytes[position + 4]! << (32 - bit)
        out[i] = ((low >>> bit) | high) & mask
        bit += width
        position += bit >> 3
        bit &= 7
      }
    }
    this.#position = position
    this.#bit = bit
  }
}

/** The long deprecated BIT_PACKED level encoding: no runs, most significant bit first. */
export class BitPackedStream implements IntStream {
  readonly #bytes: Uint8Array
  readonly #width: number
  #bit: number
  readonly #endBit: number

  constructor(bytes: Uint8Array, start: number, end: number, width: number) {
    this.#bytes = bytes
    this.#width = width
    this.#bit = start * 8
    this.#endBit = end * 8
  }

  read(out: Int32Array, count: number): number {
    const possible = Math.min(count, Math.floor((this.#endBit - this.#bit) / this.#width))
    for (let i = 0; i < possible; i++) {
      let value = 0
      for (let k = 0; k < this.#width; k++) {
        const byte = this.#bytes[Math.floor(this.#bit / 8)]!
        value = (value << 1) | ((byte >> (7 - (this.#bit % 8))) & 1)
        this.#bit++
      }
      out[i] = value
    }
    return possible
  }
}
