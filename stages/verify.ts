/**
 * verify: a shard, re-read from the store and held against the segment it was made from.
 *
 * Checks digests (by reading), heads, lengths, token range, mask values, that every conversation begins with BOS
 * (where the template has one) where the segment says, and the fingerprint of every conversation that lies whole in the shard.
 */
import type { Digest, Json } from '../store/types.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { BlobFile } from './outputs/byte-files.ts'
import { checkValues } from './outputs/check-values.ts'
import { type Dtype, type Piece, verifyError } from './outputs/define-output.ts'
import { outputFormatOf } from './outputs/index.ts'
import { decodeSegment } from './segment.ts'
import { fingerprint } from './token-block.ts'

interface Params {
  readonly dtype: Dtype
  readonly vocabularySize: number
  /** Absent: conversations begin with any token. */
  readonly bosId?: number
  /** Absent: llm.c pairs. */
  readonly output?: Json
}

export const verify = defineStage({
  name: 'verify',
  async run(call, { store, signal, progress }) {
    const { dtype, vocabularySize, bosId, output } = paramsOf<Params>(call)
    const { format, options } = outputFormatOf(output)
    const segment = decodeSegment(await store.readBlobBytes(input(call, 'segment')))
    const files: Record<string, BlobFile> = {}
    for (const { role } of format.files) {
      const digest: Digest = input(call, role)
      const bytes = (await store.statBlob(digest)) ?? 0
      files[role] = new BlobFile(store, digest, `${call.title}, ${role}`, bytes)
    }
    const main = files[format.files[0]!.role]!.name
    const names = { tokens: main, mask: files['mask']?.name ?? main }
    const fail = (why: string): never => {
      throw verifyError(main, why)
    }
    try {
      const reader = await format.open(files, { dtype, bosId: bosId ?? 0, options })
      const checker = new ConversationChecker(segment.width)
      let place = 0
      let placeAt = -segment.skip
      let at = 0
      let trained = 0
      let starts = 0
      /** Conversations that the format itself kept apart. */
      let rows = 0
      const check = ({ ids, mask, lengths }: Piece) => {
        const count = ids.length
        if (at + count > segment.total) fail(`has more than ${segment.total} tokens`)
        trained += checkValues({ ids, mask }, vocabularySize, at, names)
        for (const length of lengths ?? []) {
          if (length !== segment.tokens[rows])
            fail(`row ${rows} has ${length} tokens, expected ${segment.tokens[rows] ?? 'no such row'}`)
          rows++
        }
        for (; place < segment.places && placeAt < at + count; ) {
          const length = segment.tokens[place]!
          const from = Math.max(placeAt, at)
          const to = Math.min(placeAt + length, at + count)
          if (placeAt >= at) {
            starts++
            if (bosId !== undefined && ids[placeAt - at] !== bosId)
              fail(
                `token ${placeAt} is ${ids[placeAt - at]}, expected the beginning of a conversation (${bosId})`,
              )
            checker.begin()
          }
          checker.add(ids.subarray(from - at, to - at), mask.subarray(from - at, to - at))
          if (to < placeAt + length) break // goes on in the next piece or the next shard
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
        at += count
      }
      if (reader.tokens !== undefined && reader.tokens !== segment.total)
        fail(`has ${reader.tokens} tokens, expected ${segment.total}`)
      for await (const piece of reader.pieces()) {
        signal.throwIfAborted()
        check(piece)
        progress.tokens(piece.ids.length)
        progress.done(at, segment.total)
      }
      if (at !== segment.total) fail(`has ${at} tokens, expected ${segment.total}`)
      for (const file of Object.values(files)) await file.end()
      const expected = segment.places - (segment.skip > 0 ? 1 : 0)
      if (starts !== expected) fail(`has ${starts} conversation starts, expected ${expected}`)
      return { outputs: {}, stats: { tokens: segment.total, trainedTokens: trained, conversations: starts } }
    } catch (error) {
      // A blob that is not what its digest says is made again, whatever it looked like to its reader.
      if (!signal.aborted) for (const file of Object.values(files)) await file.end()
      throw error
    } finally {
      for (const file of Object.values(files)) await file.close()
    }
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

  add(tokens: Piece['ids'], mask: Piece['mask']): void {
    this.reserve(this.count + tokens.length)
    const target = this.width === 2 ? this.halves : this.words
    target.set(tokens, this.count)
    this.count += tokens.length
    let { value } = this
    let begin = -this.run
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === value) continue
      this.runs.push(i - begin)
      begin = i
      value = mask[i]!
    }
    this.value = value
    this.run = mask.length - begin
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
