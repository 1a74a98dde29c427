/**
 * shard: one segment → the files of a shard, in the recipe's output format.
 *
 * In:  a segment (which rows, where they lie).   Out: the format's files, by role.
 * Rows are read in the order they lie in their blocks and put where they belong, a window of the shard at a time,
 * so memory does not grow with the shard; every row read is checked against its fingerprint.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { ShardmillError } from '../errors/index.ts'
import { giveBack, ScratchBytes, takeScratch } from '../memory/buffers.ts'
import type { BlobRef, BlobWriter, Digest, Json } from '../store/types.ts'
import { defineStage, input, paramsOf, together } from './define-stage.ts'
import { type Dtype, tokenWidth, type Values, type Window } from './outputs/define-output.ts'
import { outputFormatOf } from './outputs/index.ts'
import { decodeSegment, type Segment } from './segment.ts'
import { blockHead, blockHeadBytes, fingerprint, recordBytes } from './token-block.ts'

interface Params {
  readonly dtype: Dtype
  /** Both absent: llm.c pairs. */
  readonly output?: Json
  readonly bosId?: number
}

/** Tokens put together at a time; as many more are on their way to the disk. */
const windowTokens = 256 << 10
/** Reads closer than this become one. */
const gapBytes = 4 << 10
const readBytes = 1 << 20

export const shard = defineStage({
  name: 'shard',
  async run(call, { store, signal, progress, settling }) {
    const { dtype, output, bosId = 0 } = paramsOf<Params>(call)
    const { format, options } = outputFormatOf(output)
    const segment = decodeSegment(await store.readBlobBytes(input(call, 'segment')))
    const files: number[] = []
    const writers: Record<string, BlobWriter> = {}
    let trained = 0
    const fillers: WindowFiller[] = []
    function* windows(): Generator<Window> {
      const filler = new WindowFiller(segment, files, dtype)
      const first = fillers.push(filler) === 1
      for (const window of filler.fill()) {
        signal.throwIfAborted()
        if (first) {
          // A format may go over the shard again; that is no news.
          trained += window.trained
          progress.tokens(window.tokens.length)
          progress.done(filler.done, segment.total)
        }
        yield window
      }
    }
    try {
      for (const { tokens } of segment.blocks) {
        files.push(openSync(await store.localFile(tokens), 'r'))
        checkHead(files.at(-1)!, tokens, segment.width)
      }
      for (const { role } of format.files) writers[role] = await store.createBlob()
      const content = { dtype, bosId, tokens: segment.total, lengths: segment.tokens, windows }
      await format.write(content, writers, options)
      // Written: several shards may wait for the disk, and none needs its windows for that.
      for (const filler of fillers.splice(0)) filler.free()
      const outputs: Record<string, BlobRef> = {}
      settling?.()
      const roles = format.files.map(({ role }) => role)
      const refs = await together(...roles.map((role) => writers[role]!.commit()))
      roles.forEach((role, i) => {
        outputs[role] = refs[i]!
      })
      return { outputs, stats: { tokens: segment.total, trainedTokens: trained } }
    } finally {
      for (const file of files) closeSync(file)
      for (const writer of Object.values(writers)) await writer.abort()
      for (const filler of fillers) filler.free()
    }
  },
})

/** Rows have fingerprints; what stands before them has not. */
function checkHead(file: number, digest: Digest, width: 2 | 4): void {
  const head = Buffer.alloc(blockHeadBytes)
  readSync(file, head, 0, blockHeadBytes, 0)
  if (!head.equals(blockHead(width))) {
    throw new ShardmillError(
      'CORRUPT_BLOB',
      `blob ${digest} is damaged: it does not begin as a token block`,
      {
        details: { digest },
      },
    )
  }
}

/** Places `first` to `first + count`, by block and offset. */
function asTheyLie(segment: Segment, first: number, count: number): Uint32Array {
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = first + i
  sorted = segment
  return order.sort(byBlockAndOffset)
}

/** Of the sort at hand: a function made for each would be compiled for each, and its callers with it. */
let sorted: Pick<Segment, 'block' | 'offsetWords'>

function byBlockAndOffset(a: number, b: number): number {
  const { block, offsetWords } = sorted
  return block[a]! - block[b]! || offsetWords[a]! - offsetWords[b]!
}

class WindowFiller {
  done = 0
  private readonly segment: Segment
  private readonly files: readonly number[]
  /** Of the window at hand and the one before it. */
  private readonly memory: readonly ArrayBuffer[]
  private tokens: Values
  private mask: Values
  private readonly buffer = new ScratchBytes(readBytes)
  private words = new Uint32Array(this.buffer.bytes.buffer)
  private halves = new Uint16Array(this.buffer.bytes.buffer)
  private spareTokens: Values
  private spareMask: Values
  private readonly hash = { low: 0, high: 0 }

  constructor(segment: Segment, files: readonly number[], dtype: Dtype) {
    this.segment = segment
    this.files = files
    const length = Math.min(windowTokens, segment.total)
    this.memory = Array.from({ length: 4 }, () => takeScratch(length * tokenWidth(dtype)))
    ;[this.tokens, this.spareTokens, this.mask, this.spareMask] = this.memory.map((buffer) =>
      dtype === 'uint16' ? new Uint16Array(buffer, 0, length) : new Uint32Array(buffer, 0, length),
    ) as [Values, Values, Values, Values]
  }

  /** Lets go of the memory that the windows were in. */
  free(): void {
    for (const buffer of this.memory) giveBack(buffer)
    this.buffer.free()
  }

  /** Yields the shard's tokens and masks, a window at a time; two windows use their arrays in turns. */
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
      ;[this.tokens, this.spareTokens] = [this.spareTokens, this.tokens]
      ;[this.mask, this.spareMask] = [this.spareMask, this.mask]
      if (at > length) begin = starts[--place - first]! - length
      else begin = 0
    }
  }

  private fillWindow(first: number, starts: readonly number[], length: number): number {
    const { segment } = this
    const order = asTheyLie(segment, first, starts.length)
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
    const { buffer } = this.buffer.bytes
    const bytes = this.buffer.reserve(length, 0)
    if (bytes.buffer !== buffer) {
      this.words = new Uint32Array(bytes.buffer)
      this.halves = new Uint16Array(bytes.buffer)
    }
    let done = 0
    while (done < length) {
      const n = readSync(this.files[block]!, bytes, done, length - done, offset + done)
      if (n === 0) {
        const digest: Digest = this.segment.blocks[block]!.tokens
        throw new ShardmillError('CORRUPT_BLOB', `blob ${digest} ends early`, { details: { digest } })
      }
      done += n
    }
  }
}
