/**
 * shard: one segment → a token shard and its mask shard.
 *
 * In:  a segment (which rows, where they lie).   Out: two files in llm.c's format.
 * Rows are read in the order they lie in their blocks and put where they belong, a window of the shard at a time,
 * so memory does not grow with the shard; every row read is checked against its fingerprint.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { ShardmillError } from '../errors/index.ts'
import type { BlobWriter, Digest } from '../store/types.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { type Dtype, encodeHead, tokenWidth } from './outputs/llmc-bin.ts'
import { decodeSegment, type Segment } from './segment.ts'
import { fingerprint, recordBytes } from './token-block.ts'

/** Tokens put together at a time. */
const windowTokens = 4 << 20
/** Reads closer than this become one. */
const gapBytes = 4 << 10
const readBytes = 1 << 20

export const shard = defineStage({
  name: 'shard',
  async run(call, { store, signal, progress }) {
    const { dtype } = paramsOf<{ dtype: Dtype }>(call)
    const segment = decodeSegment(await store.readBlobBytes(input(call, 'segment')))
    const files: number[] = []
    const tokenWriter = await store.createBlob()
    const maskWriter = await store.createBlob()
    try {
      for (const { tokens } of segment.blocks) files.push(openSync(await store.localFile(tokens), 'r'))
      const head = encodeHead(dtype, segment.total)
      await tokenWriter.write(head)
      await maskWriter.write(head)
      const windows = new WindowFiller(segment, files, dtype)
      let trained = 0
      for (const { tokens, mask, trained: more } of windows.fill()) {
        signal.throwIfAborted()
        await writeValues(tokenWriter, tokens)
        await writeValues(maskWriter, mask)
        trained += more
        progress.tokens(tokens.length)
        progress.done(windows.done, segment.total)
      }
      return {
        outputs: { tokens: await tokenWriter.commit(), mask: await maskWriter.commit() },
        stats: { tokens: segment.total, trainedTokens: trained },
      }
    } finally {
      for (const file of files) closeSync(file)
      await tokenWriter.abort()
      await maskWriter.abort()
    }
  },
})

type Values = Uint16Array | Uint32Array

async function writeValues(writer: BlobWriter, values: Values): Promise<void> {
  await writer.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

class WindowFiller {
  done = 0
  private readonly segment: Segment
  private readonly files: readonly number[]
  private readonly tokens: Values
  private readonly mask: Values
  private buffer = new Uint8Array(readBytes)
  private words = new Uint32Array(this.buffer.buffer)
  private halves = new Uint16Array(this.buffer.buffer)
  private readonly hash = { low: 0, high: 0 }

  constructor(segment: Segment, files: readonly number[], dtype: Dtype) {
    this.segment = segment
    this.files = files
    const length = Math.min(windowTokens, segment.total)
    this.tokens = tokenWidth(dtype) === 2 ? new Uint16Array(length) : new Uint32Array(length)
    this.mask = tokenWidth(dtype) === 2 ? new Uint16Array(length) : new Uint32Array(length)
  }

  /** Yields the shard's tokens and masks, a window at a time; the arrays are reused. */
  *fill(): Generator<{ tokens: Values; mask: Values; trained: number }> {
    const { segment } = this
    let place = 0
    // Where the first place of the window begins, counted from the window's first token; negative when cut.
    let begin = -segment.skip
    while (this.done < segment.total) {
      const length = Math.min(windowTokens, segment.total - this.done)
      const first = place
      const starts: number[] = []
      let at = begin
      while (place < segment.places && at < length) {
        starts.push(at)
        at += segment.tokens[place++]!
      }
      const trained = this.fillWindow(first, starts, length)
      this.done += length
      yield { tokens: this.tokens.subarray(0, length), mask: this.mask.subarray(0, length), trained }
      if (at > length) begin = starts[--place - first]! - length
      else begin = 0
    }
  }

  private fillWindow(first: number, starts: readonly number[], length: number): number {
    const { segment } = this
    const order = Uint32Array.from(starts, (_, i) => first + i).sort(
      (a, b) => segment.block[a]! - segment.block[b]! || segment.offsetWords[a]! - segment.offsetWords[b]!,
    )
    let trained = 0
    let i = 0
    while (i < order.length) {
      const block = segment.block[order[i]!]!
      const from = segment.offsetWords[order[i]!]! * 4
      let to = from
      let end = i
      while (end < order.length) {
        const place = order[end]!
        const start = segment.offsetWords[place]! * 4
        const stop = start + recordBytes(segment.tokens[place]!, segment.runs[place]!, segment.width)
        if (segment.block[place] !== block || (end > i && (start > to + gapBytes || stop - from > readBytes)))
          break
        to = Math.max(to, stop)
        end++
      }
      this.read(block, from, to - from)
      for (; i < end; i++)
        trained += this.put(
          order[i]!,
          segment.offsetWords[order[i]!]! - from / 4,
          starts[order[i]! - first]!,
          length,
        )
    }
    return trained
  }

  /** Copies one row, whose record begins at word `word` of the buffer, to `start` of the window, clipped to it. */
  private put(place: number, word: number, start: number, length: number): number {
    const { segment, words } = this
    const count = segment.tokens[place]!
    const runs = segment.runs[place]!
    const runsAt = word + (((count * segment.width + 3) & ~3) >> 2)
    fingerprint(words, word, runsAt + runs, this.hash)
    if (
      this.hash.low !== segment.fingerprintLow[place] ||
      this.hash.high !== segment.fingerprintHigh[place]
    ) {
      const digest = segment.blocks[segment.block[place]!]!.tokens
      throw new ShardmillError(
        'CORRUPT_BLOB',
        `blob ${digest} is damaged: row ${segment.row[place]} does not match its fingerprint`,
        { details: { digest } },
      )
    }
    const from = Math.max(0, -start)
    const to = Math.min(count, length - start)
    const source = segment.width === 2 ? this.halves : words
    const base = segment.width === 2 ? word * 2 : word
    const target = start + from
    if (to - from > 32) this.tokens.set(source.subarray(base + from, base + to), target)
    else for (let k = from; k < to; k++) this.tokens[start + k] = source[base + k]!
    let trained = 0
    let at = 0
    for (let r = 0; r < runs; r++) {
      const runEnd = at + words[runsAt + r]!
      const a = Math.max(at, from)
      const b = Math.min(runEnd, to)
      if (b > a) {
        const value = r & 1
        this.mask.fill(value, start + a, start + b)
        if (value === 1) trained += b - a
      }
      at = runEnd
    }
    return trained
  }

  private read(block: number, offset: number, length: number): void {
    if (length > this.buffer.length) {
      this.buffer = new Uint8Array((length * 2 + 7) & ~7)
      this.words = new Uint32Array(this.buffer.buffer)
      this.halves = new Uint16Array(this.buffer.buffer)
    }
    let done = 0
    while (done < length) {
      const n = readSync(this.files[block]!, this.buffer, done, length - done, offset + done)
      if (n === 0) {
        const digest: Digest = this.segment.blocks[block]!.tokens
        throw new ShardmillError('CORRUPT_BLOB', `blob ${digest} ends early`, { details: { digest } })
      }
      done += n
    }
  }
}
