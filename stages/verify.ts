/**
 * verify: a shard pair, re-read from the store and held against the segment it was made from.
 *
 * Checks digests (by reading), heads, lengths, token range, mask values, that every conversation begins with BOS
 * where the segment says, and the fingerprint of every conversation that lies whole in the shard.
 */
import { ShardmillError } from '../errors/index.ts'
import { BlobCursor } from './blob-cursor.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { checkValues, type Dtype, decodeHead, headBytes, tokenWidth, valuesOf } from './outputs/llmc-bin.ts'
import { decodeSegment } from './segment.ts'
import { fingerprint } from './token-block.ts'

const windowTokens = 1 << 20

interface Params {
  readonly dtype: Dtype
  readonly vocabularySize: number
  readonly bosId: number
}

export const verify = defineStage({
  name: 'verify',
  async run(call, { store, signal, progress }) {
    const { dtype, vocabularySize, bosId } = paramsOf<Params>(call)
    const segment = decodeSegment(await store.readBlobBytes(input(call, 'segment')))
    const tokenDigest = input(call, 'tokens')
    const maskDigest = input(call, 'mask')
    const names = { tokens: `${call.title}, tokens`, mask: `${call.title}, mask` }
    const fail = (why: string, file = names.tokens): never => {
      throw new ShardmillError('VERIFY', why, {
        at: { file },
        details: { tokens: tokenDigest, mask: maskDigest },
      })
    }
    const tokenCursor = new BlobCursor(store.readBlob(tokenDigest, { reuse: true }), tokenDigest)
    const maskCursor = new BlobCursor(store.readBlob(maskDigest, { reuse: true }), maskDigest)
    for (const [cursor, digest, file] of [
      [tokenCursor, tokenDigest, names.tokens],
      [maskCursor, maskDigest, names.mask],
    ] as const) {
      const head = decodeHead(await cursor.take(headBytes), (await store.statBlob(digest)) ?? 0, file)
      if (head.dtype !== dtype) fail(`is ${head.dtype}, expected ${dtype}`, file)
      if (head.tokens !== segment.total) fail(`has ${head.tokens} tokens, expected ${segment.total}`, file)
    }
    const width = tokenWidth(dtype)
    const checker = new ConversationChecker(segment.width)
    let place = 0
    let placeAt = -segment.skip
    let trained = 0
    let starts = 0
    for (let at = 0; at < segment.total; at += windowTokens) {
      signal.throwIfAborted()
      const count = Math.min(windowTokens, segment.total - at)
      const tokens = valuesOf(await tokenCursor.take(count * width), dtype)
      const mask = valuesOf(await maskCursor.take(count * width), dtype)
      trained += checkValues(tokens, mask, vocabularySize, at, names)
      for (; place < segment.places && placeAt < at + count; ) {
        const length = segment.tokens[place]!
        const from = Math.max(placeAt, at)
        const to = Math.min(placeAt + length, at + count)
        if (placeAt >= at) {
          starts++
          if (tokens[placeAt - at] !== bosId)
            fail(
              `token ${placeAt} is ${tokens[placeAt - at]}, expected the beginning of a conversation (${bosId})`,
            )
          checker.begin()
        }
        checker.add(tokens.subarray(from - at, to - at), mask.subarray(from - at, to - at))
        if (to < placeAt + length) break // goes on in the next window or the next shard
        if (placeAt >= 0) {
          checker.end()
          if (
            checker.low !== segment.fingerprintLow[place] ||
            checker.high !== segment.fingerprintHigh[place]
          ) {
            fail(`the conversation at token ${placeAt} is not the one that was put there`)
          }
        }
        placeAt += length
        place++
      }
      progress.tokens(count)
      progress.done(at + count, segment.total)
    }
    await tokenCursor.end()
    await maskCursor.end()
    const expected = segment.places - (segment.skip > 0 ? 1 : 0)
    if (starts !== expected) fail(`has ${starts} conversation starts, expected ${expected}`)
    return { outputs: {}, stats: { tokens: segment.total, trainedTokens: trained, conversations: starts } }
  },
})

/** Rebuilds a conversation's record from tokens and mask, to take its fingerprint. */
class ConversationChecker {
  low = 0
  high = 0
  private words = new Uint32Array(1 << 13)
  private halves = new Uint16Array(this.words.buffer)
  private count = 0
  private runs: number[] = []
  private value = 0
  private run = 0
  private readonly width: 2 | 4

  constructor(width: 2 | 4) {
    this.width = width
  }

  begin(): void {
    this.count = 0
    this.runs = []
    this.value = 0
    this.run = 0
  }

  add(tokens: Uint16Array | Uint32Array, mask: Uint16Array | Uint32Array): void {
    this.reserve(this.count + tokens.length)
    const target = this.width === 2 ? this.halves : this.words
    target.set(tokens, this.count)
    this.count += tokens.length
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === this.value) {
        this.run++
      } else {
        this.runs.push(this.run)
        this.value = mask[i]!
        this.run = 1
      }
    }
  }

  end(): void {
    if (this.run > 0) this.runs.push(this.run)
    if (this.width === 2) {
      this.reserve(this.count + 2)
      this.halves[this.count] = 0
    }
    const runsAt = this.width === 2 ? (this.count + 1) >> 1 : this.count
    this.reserve((runsAt + this.runs.length) * (4 / this.width))
    this.words.set(this.runs, runsAt)
    const hash = { low: 0, high: 0 }
    fingerprint(this.words, 0, runsAt + this.runs.length, hash)
    this.low = hash.low
    this.high = hash.high
  }

  private reserve(tokens: number): void {
    const needed = Math.ceil((tokens * this.width) / 4)
    if (needed <= this.words.length) return
    const next = new Uint32Array(Math.max(needed, this.words.length * 2))
    next.set(this.words)
    this.words = next
    this.halves = new Uint16Array(next.buffer)
  }
}
