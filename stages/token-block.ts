/**
 * Token blocks: the tokens and masks of one partition, and their index.
 *
 *   block = "SMTOKB01", u32 LE width (2 or 4), u32 0, record*
 *   record of a row = tokens (width bytes each) padded to 4 bytes, mask runs u32*
 *     mask runs are lengths of alternating runs, untrained first (so the first may be 0), the last one never 0
 *   index = "SMTOKI01", u32 LE rows, u32 width, then columns u32[rows] each:
 *     sourceRow, tokens, runs, trained (tokens with mask 1), cut (1 when the row reached maxSeqLen),
 *     fingerprintLow, fingerprintHigh
 *
 * A row's offset is the sum of the records before it, plus the head's 16 bytes. The fingerprint is a 64-bit hash of
 * the record: gathering rows at random checks every one with it, and equal conversations have equal fingerprints.
 */
import { endianness } from 'node:os'
import type { Encoder } from '../bpe/index.ts'
import { ScratchBytes } from '../memory/buffers.ts'
import type { BlobRef, BlobWriter } from '../store/types.ts'
import type { TokenSink } from './templates/define-template.ts'

if (endianness() !== 'LE') throw new TypeError('shardmill needs a little-endian machine')

const blockMagic = 'SMTOKB01'
const indexMagic = 'SMTOKI01'
export const blockHeadBytes = 16
const indexColumns = 7

export interface TokenIndex {
  readonly rows: number
  readonly width: 2 | 4
  readonly sourceRow: Uint32Array
  readonly tokens: Uint32Array
  readonly runs: Uint32Array
  readonly trained: Uint32Array
  readonly cut: Uint32Array
  readonly fingerprintLow: Uint32Array
  readonly fingerprintHigh: Uint32Array
}

/** What a block begins with. */
export function blockHead(width: 2 | 4): Buffer {
  const head = Buffer.alloc(blockHeadBytes)
  head.write(blockMagic, 'latin1')
  head.writeUInt32LE(width, 8)
  return head
}

/** Bytes of a row's record. */
export function recordBytes(tokens: number, runs: number, width: number): number {
  return ((tokens * width + 3) & ~3) + 4 * runs
}

/** 64 bits over 32-bit words [from, to); every single changed word changes both halves. */
export function fingerprint(
  words: Uint32Array,
  from: number,
  to: number,
  out: { low: number; high: number },
): void {
  let a = 0x9e3779b9 ^ (to - from)
  let b = 0x7f4a7c15
  for (let i = from; i < to; i++) {
    const word = words[i]!
    a = Math.imul(a ^ word, 0x85ebca6b)
    a ^= a >>> 15
    b = Math.imul((b << 13) | (b >>> 19), 5) + word
    b = Math.imul(b ^ (b >>> 16), 0xc2b2ae35)
  }
  a = Math.imul(a ^ (a >>> 16), 0x7feb352d)
  b = Math.imul(b ^ (b >>> 15), 0x846ca68b)
  out.low = (a ^ (a >>> 15)) >>> 0
  out.high = (b ^ (b >>> 16)) >>> 0
}

/** Collects one conversation's ids and mask, cut at `max` tokens. */
export class TokenWriter implements TokenSink {
  ids = new Int32Array(1 << 14)
  length = 0
  /** Lengths of alternating mask runs, untrained first. */
  runs = new Uint32Array(64)
  runCount = 0
  private runTrained: 0 | 1 = 0
  private runLength = 0
  private scratch = new Uint8Array(1 << 12)
  /** Whether there was more than `max` tokens; known for certain only with `exact`. */
  over = false
  private readonly encoder: Pick<Encoder, 'encode'> & { readonly room?: number }
  private readonly max: number
  private readonly exact: boolean

  constructor(encoder: Pick<Encoder, 'encode'> & { readonly room?: number }, max: number, exact = false) {
    this.encoder = encoder
    this.max = max
    this.exact = exact
  }

  get full(): boolean {
    return this.exact ? this.over : this.length >= this.max
  }

  begin(): void {
    this.length = 0
    this.runCount = 0
    this.runTrained = 0
    this.runLength = 0
    this.over = false
  }

  special(id: number, trained: 0 | 1): void {
    if (this.length >= this.max) {
      this.over = true
      return
    }
    if (this.length === this.ids.length) this.reserve(1)
    this.ids[this.length++] = id
    this.mark(1, trained)
  }

  text(bytes: Uint8Array, start: number, end: number, trained: 0 | 1): void {
    if (start === end) return
    const room = this.max - this.length
    if (room <= 0) {
      this.over = true
      return
    }
    this.reserve((end - start) * (this.encoder.room ?? 1))
    const before = this.length
    const after = this.encoder.encode(bytes, start, end, this.ids, before, this.exact ? room + 1 : room)
    if (after > this.max) this.over = true
    this.length = Math.min(after, this.max)
    this.mark(this.length - before, trained)
  }

  tokens(ids: ArrayLike<number>, from: number, to: number, trained: 0 | 1): void {
    const room = Math.max(0, this.max - this.length)
    if (to - from > room) this.over = true
    const count = Math.min(to - from, room)
    this.reserve(count)
    for (let i = 0; i < count; i++) this.ids[this.length + i] = ids[from + i]!
    this.length += count
    this.mark(count, trained)
  }

  joined(
    bytes: Uint8Array,
    start1: number,
    end1: number,
    between: Uint8Array,
    start2: number,
    end2: number,
    trained: 0 | 1,
  ): void {
    const length = end1 - start1 + between.length + end2 - start2
    if (this.scratch.length < length) this.scratch = new Uint8Array(length * 2)
    this.scratch.set(bytes.subarray(start1, end1), 0)
    this.scratch.set(between, end1 - start1)
    this.scratch.set(bytes.subarray(start2, end2), end1 - start1 + between.length)
    this.text(this.scratch, 0, length, trained)
  }

  /** Closes the last run. Returns the number of trained tokens. */
  end(): number {
    if (this.runLength > 0) this.pushRun()
    let trained = 0
    for (let i = 1; i < this.runCount; i += 2) trained += this.runs[i]!
    return trained
  }

  private mark(count: number, trained: 0 | 1): void {
    if (count === 0) return
    if (trained !== this.runTrained) {
      this.pushRun()
      this.runTrained = trained
      this.runLength = 0
    }
    this.runLength += count
  }

  private pushRun(): void {
    if (this.runCount === this.runs.length) {
      const next = new Uint32Array(this.runs.length * 2)
      next.set(this.runs)
      this.runs = next
    }
    this.runs[this.runCount++] = this.runLength
  }

  private reserve(more: number): void {
    const needed = this.length + more
    if (needed <= this.ids.length) return
    let size = this.ids.length * 2
    while (size < needed) size *= 2
    const next = new Int32Array(size)
    next.set(this.ids.subarray(0, this.length))
    this.ids = next
  }
}

/** Writes a token block and gathers its index. */
export class TokenBlockWriter {
  rows = 0
  private readonly writer: BlobWriter
  private readonly width: 2 | 4
  private readonly memory = new ScratchBytes(4 << 20)
  private words = new Uint32Array(this.memory.bytes.buffer)
  private used = blockHeadBytes
  private readonly columns = Array.from({ length: indexColumns }, () => new Uint32Array(4096))
  private readonly hash = { low: 0, high: 0 }

  constructor(writer: BlobWriter, width: 2 | 4) {
    this.writer = writer
    this.width = width
    this.memory.bytes.set(blockHead(width))
  }

  /** Appends a conversation; `flushIfFull` after it. */
  add(sourceRow: number, tokens: TokenWriter, trained: number, cut: boolean): void {
    const { length, runCount, ids, runs } = tokens
    const size = recordBytes(length, runCount, this.width)
    if (this.used + size > this.memory.bytes.length)
      this.words = new Uint32Array(this.memory.reserve(this.used + size, this.used).buffer)
    const firstWord = this.used >> 2
    const runsAt = (this.used + ((length * this.width + 3) & ~3)) >> 2
    if (this.width === 2) {
      // two ids a word: half as many writes
      const last = length - 1
      let word = firstWord
      for (let i = 0; i < last; i += 2) this.words[word++] = ids[i]! | (ids[i + 1]! << 16)
      if ((length & 1) === 1) this.words[word] = ids[last]!
    } else {
      for (let i = 0; i < length; i++) this.words[firstWord + i] = ids[i]!
    }
    for (let i = 0; i < runCount; i++) this.words[runsAt + i] = runs[i]!
    fingerprint(this.words, firstWord, runsAt + runCount, this.hash)
    this.used += size
    if (this.rows === this.columns[0]!.length) {
      // In place: an array of another kind would have `add` compiled again.
      for (const [c, column] of this.columns.entries()) {
        const next = new Uint32Array(column.length * 2)
        next.set(column)
        this.columns[c] = next
      }
    }
    const { columns, rows, hash } = this
    columns[0]![rows] = sourceRow
    columns[1]![rows] = length
    columns[2]![rows] = runCount
    columns[3]![rows] = trained
    columns[4]![rows] = cut ? 1 : 0
    columns[5]![rows] = hash.low
    columns[6]![rows] = hash.high
    this.rows++
  }

  async flushIfFull(): Promise<void> {
    if (this.used >= 2 << 20) await this.flush()
  }

  /**
   * Makes the block durable; the index is written by the caller. `onWritten` is told when only the disk is waited for.
   */
  async commit(onWritten?: () => void): Promise<BlobRef> {
    await this.flush()
    this.free()
    onWritten?.()
    return this.writer.commit()
  }

  index(): Uint8Array {
    const out = new Uint8Array(16 + 4 * indexColumns * this.rows)
    out.set(Buffer.from(indexMagic, 'latin1'), 0)
    const words = new Uint32Array(out.buffer)
    words[2] = this.rows
    words[3] = this.width
    for (let c = 0; c < indexColumns; c++)
      words.set(this.columns[c]!.subarray(0, this.rows), 4 + c * this.rows)
    return out
  }

  private async flush(): Promise<void> {
    if (this.used === 0) return
    await this.writer.write(this.memory.bytes.subarray(0, this.used))
    this.used = 0
  }

  private free(): void {
    this.memory.free()
  }
}

export function decodeIndex(data: Uint8Array): TokenIndex {
  const bytes = data.byteOffset % 4 === 0 ? data : new Uint8Array(data)
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== indexMagic)
    throw new TypeError('not a token index')
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2)
  const rows = words[2]!
  const column = (c: number) => words.subarray(4 + c * rows, 4 + (c + 1) * rows)
  return {
    rows,
    width: words[3] === 4 ? 4 : 2,
    sourceRow: column(0),
    tokens: column(1),
    runs: column(2),
    trained: column(3),
    cut: column(4),
    fingerprintLow: column(5),
    fingerprintHigh: column(6),
  }
}
