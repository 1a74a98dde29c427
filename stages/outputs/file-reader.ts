/** A file read once from front to back, synchronously: for formats that are taken apart byte by byte. */
import { closeSync, openSync, readSync } from 'node:fs'
import { ShardmillError } from '../../errors/index.ts'

const chunkBytes = 1 << 20

export class FileReader {
  /** For formats that are read here and there. */
  readonly path: string
  /** For errors. */
  readonly name: string
  private readonly file: number
  private readonly onRead: (bytes: Uint8Array) => void
  private buffer = Buffer.alloc(chunkBytes)
  private at = 0
  private end = 0
  private before = 0

  /** `onRead` sees every byte once, in order, as it is read (to hash it, say). */
  constructor(path: string, name: string, onRead: (bytes: Uint8Array) => void = () => {}) {
    this.path = path
    this.name = name
    this.file = openSync(path, 'r')
    this.onRead = onRead
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.before + this.at
  }

  byte(): number {
    if (this.at === this.end) this.fill(1)
    return this.buffer[this.at++]!
  }

  /** The next byte, which stays; undefined at the end. */
  peek(): number | undefined {
    if (this.at === this.end && !this.more(1)) return undefined
    return this.buffer[this.at]
  }

  /** The next `length` bytes; good until the next call. @throws VERIFY when the file ends before */
  take(length: number): Buffer {
    if (this.end - this.at < length) this.fill(length)
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  /** The next line without its newline; undefined at the end. @throws VERIFY when the last one has none */
  line(): string | undefined {
    if (this.peek() === undefined) return undefined
    for (let from = this.at; ; ) {
      const found = this.buffer.subarray(0, this.end).indexOf(10, from)
      if (found >= 0) {
        const text = this.buffer.toString('utf8', this.at, found)
        this.at = found + 1
        return text
      }
      from = this.end - this.at
      if (!this.more(from + 1)) return this.fail('ends within a line')
      // What was kept now stands at the buffer's beginning.
      from += this.at
    }
  }

  /** Reads what is left, so that `onRead` has seen all. */
  rest(): void {
    do {
      this.at = this.end
    } while (this.more(1))
  }

  fail(why: string): never {
    throw new ShardmillError('VERIFY', why, { at: { file: this.name } })
  }

  close(): void {
    closeSync(this.file)
  }

  private fill(length: number): void {
    if (!this.more(length)) this.fail(`ends early, at byte ${this.before + this.end}`)
  }

  /** Makes at least `length` bytes available. */
  private more(length: number): boolean {
    this.buffer.copyWithin(0, this.at, this.end)
    this.before += this.at
    this.end -= this.at
    this.at = 0
    if (this.buffer.length < length) {
      const next = Buffer.alloc(2 * length)
      next.set(this.buffer.subarray(0, this.end))
      this.buffer = next
    }
    while (this.end < length) {
      const read = readSync(this.file, this.buffer, this.end, this.buffer.length - this.end, null)
      if (read === 0) return false
      this.onRead(this.buffer.subarray(this.end, this.end + read))
      this.end += read
    }
    return true
  }
}
