import type { ByteSource } from './byte-source.ts'

const LF = 10
const CR = 13

const firstWindow = 1024 * 1024
/** A line longer than this is not kept; far more than any row, far less than a string may have. */
export const maxLineBytes = 256 * 1024 * 1024

/**
 * The lines of a byte range, one at a time, as Python's text mode sees them: `\n`, `\r\n` and a lone `\r` end a
 * line, and nothing else does. Holds a window of the file, as large as the longest line met.
 */
export class LineReader {
  /** The current line without its end; a view into the window, gone with the next `next`. */
  line = new Uint8Array(0)
  /** The current line was longer than `longest`, and `line` is only its beginning. */
  tooLong = false
  /** Where the next line starts, as an offset in the file. */
  position: number
  readonly #source: ByteSource
  readonly #end: number
  readonly #step: number
  readonly #longest: number
  #window = Buffer.alloc(0)
  #windowStart: number

  constructor(
    source: ByteSource,
    start: number,
    end: number,
    { window = firstWindow, longest = maxLineBytes } = {},
  ) {
    this.#step = window
    this.#longest = longest
    this.#source = source
    this.#end = end
    this.position = start
    this.#windowStart = start
  }

  /** Goes to the next line; false when there is none. A last line without an end is a line. */
  next(): boolean {
    if (this.position >= this.#end) return false
    const start = this.position
    let from = start
    for (;;) {
      const at = this.#findEnd(from)
      if (at !== undefined) {
        this.tooLong = at - start > this.#longest
        this.line = this.#view(start, this.tooLong ? start + this.#longest : at)
        this.position = at + this.#endLength(at)
        return true
      }
      const windowEnd = this.#windowStart + this.#window.length
      if (windowEnd >= this.#end) {
        this.tooLong = this.#end - start > this.#longest
        this.line = this.#view(start, this.tooLong ? start + this.#longest : this.#end)
        this.position = this.#end
        return true
      }
      // A `\r` that ends the window may be half of a line end: look at it again.
      from = this.#window[this.#window.length - 1] === CR ? windowEnd - 1 : windowEnd
      if (windowEnd - start > this.#longest + 2) return this.#skipLine(start, from)
      this.#extend(start)
    }
  }

  /** The first line end at or after `from` that the window shows in full. */
  #findEnd(from: number): number | undefined {
    const window = this.#window
    const offset = from - this.#windowStart
    if (offset >= window.length) return undefined
    let at = window.indexOf(LF, offset)
    const cr = at === -1 ? window.indexOf(CR, offset) : window.subarray(0, at).indexOf(CR, offset)
    if (cr !== -1) at = cr
    if (at === -1) return undefined
    const undecided =
      window[at] === CR && at + 1 === window.length && this.#windowStart + window.length < this.#end
    return undecided ? undefined : this.#windowStart + at
  }

  #endLength(at: number): number {
    const offset = at - this.#windowStart
    return this.#window[offset] === CR && this.#window[offset + 1] === LF ? 2 : 1
  }

  #view(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#window.subarray(start - this.#windowStart, end - this.#windowStart)
  }

  /** More of the file behind what there is of the line; what lies before the line is dropped. */
  #extend(start: number): void {
    const kept = this.#window.subarray(start - this.#windowStart)
    const from = start + kept.length
    const more = Math.min(Math.max(this.#step, kept.length), this.#end - from)
    const bytes = this.#source.read(from, more)
    const window = kept.length === 0 ? asBuffer(bytes) : Buffer.concat([kept, bytes])
    this.#window = window as Buffer<ArrayBuffer>
    this.#windowStart = start
  }

  /** To the end of a line that is too long, forgetting it on the way. */
  #skipLine(start: number, from: number): boolean {
    const head = this.#view(start, start + this.#longest)
    for (;;) {
      const windowEnd = this.#windowStart + this.#window.length
      const at = this.#findEnd(from)
      if (at !== undefined) this.position = at + this.#endLength(at)
      else if (windowEnd >= this.#end) this.position = this.#end
      else {
        from = this.#window[this.#window.length - 1] === CR ? windowEnd - 1 : windowEnd
        const bytes = this.#source.read(from, Math.min(this.#step, this.#end - from))
        this.#window = asBuffer(bytes) as Buffer<ArrayBuffer>
        this.#windowStart = from
        continue
      }
      this.line = head
      this.tooLong = true
      return true
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
