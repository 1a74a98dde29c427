/** The rows of a split as shuffle moves them: by their numbers, with what a segment says of each. */
import type { Cut } from '../pipeline/lock.ts'
import type { Digest } from '../store/types.ts'
import { packRows } from './outputs/pack-rows.ts'
import type { Segment } from './segment.ts'
import { blockHeadBytes, decodeIndex, recordBytes } from './token-block.ts'

/** What a source's slice says of its rows. */
export interface Policies {
  readonly repeat: number
  readonly onUntrained?: 'drop' | 'fail'
  readonly tooLong?: 'drop' | 'fail'
}

/** Conversations that were left out, repeats counted. */
export interface Dropped {
  readonly [reason: string]: number
  readonly untrained: number
  readonly tooLong: number
}

export interface Failing {
  readonly row: number
  readonly why: string
  readonly field: 'tooLong' | 'onUntrained'
}

/** Words of a row: all of them in half a cache line, since rows are looked at in any order. */
const FIELDS = 8
const BLOCK = 0
const TOKENS = 1
const RUNS = 2
const TRAINED = 3
const CUT = 4
const OFFSET_WORDS = 5
const FINGERPRINT_LOW = 6
const FINGERPRINT_HIGH = 7

/** Rows a chunk. */
const chunkBits = 14
const chunkMask = (1 << chunkBits) - 1

/** All rows of a split: 32 bytes a row. */
export class SplitRows {
  count = 0
  private width: 2 | 4 = 2
  private readonly blocks: { tokens: Digest; index: Digest }[] = []
  private readonly blockFirst: number[] = []
  private readonly chunks: Uint32Array[] = []
  private memory = new Uint32Array(0)

  add(ref: { tokens: Digest; index: Digest }, indexBytes: Uint8Array): void {
    const index = decodeIndex(indexBytes)
    this.width = index.width
    const name = this.blocks.push({ tokens: ref.tokens, index: ref.index }) - 1
    this.blockFirst.push(this.count)
    let offset = blockHeadBytes
    for (let r = 0; r < index.rows; r++) {
      const row = this.count++
      if ((row & chunkMask) === 0) this.chunks.push(new Uint32Array(FIELDS << chunkBits))
      const words = this.chunks[row >>> chunkBits]!
      const at = (row & chunkMask) * FIELDS
      words[at + BLOCK] = name
      words[at + TOKENS] = index.tokens[r]!
      words[at + RUNS] = index.runs[r]!
      words[at + TRAINED] = index.trained[r]!
      words[at + CUT] = index.cut[r]!
      words[at + OFFSET_WORDS] = offset / 4
      words[at + FINGERPRINT_LOW] = index.fingerprintLow[r]!
      words[at + FINGERPRINT_HIGH] = index.fingerprintHigh[r]!
      offset += recordBytes(index.tokens[r]!, index.runs[r]!, index.width)
    }
  }

  private field(row: number, field: number): number {
    return this.chunks[row >>> chunkBits]![(row & chunkMask) * FIELDS + field]!
  }

  /** Sums over the rows from `first` on, of which `picked` are taken, each once. */
  figures(first: number, picked: Uint32Array, repeat: number) {
    const sum = { tokens: 0, trainedTokens: 0, truncated: 0, untrained: 0 }
    const all = picked.length === this.count - first
    for (let i = 0; i < picked.length; i++) {
      // All of them are faster in the order they lie in.
      const row = all ? first + i : picked[i]!
      const words = this.chunks[row >>> chunkBits]!
      const at = (row & chunkMask) * FIELDS
      sum.tokens += words[at + TOKENS]!
      sum.trainedTokens += words[at + TRAINED]!
      sum.truncated += words[at + CUT]!
      if (words[at + TRAINED] === 0) sum.untrained++
    }
    return {
      conversations: picked.length * repeat,
      tokens: sum.tokens * repeat,
      trainedTokens: sum.trainedTokens * repeat,
      truncated: sum.truncated * repeat,
      untrained: sum.untrained * repeat,
    }
  }

  /** Leaves out what the source's policies drop; a row that is both too long and untrained counts as too long. */
  allowed(
    picked: Uint32Array,
    { onUntrained, tooLong, repeat }: Policies,
  ): { kept: Uint32Array; dropped?: Dropped } {
    if (onUntrained !== 'drop' && tooLong !== 'drop') return { kept: picked }
    let untrained = 0
    let long = 0
    const kept = picked.filter((row) => {
      if (tooLong === 'drop' && this.field(row, CUT) === 1) long++
      else if (onUntrained === 'drop' && this.field(row, TRAINED) === 0) untrained++
      else return true
      return false
    })
    return { kept, dropped: { untrained: untrained * repeat, tooLong: long * repeat } }
  }

  /** The first row that the source's policies do not allow, if there is one; rows that are not taken may be anything. */
  failing(picked: Uint32Array, { onUntrained, tooLong, repeat }: Policies): Failing | undefined {
    if (repeat === 0 || (onUntrained !== 'fail' && tooLong !== 'fail')) return undefined
    for (const row of picked) {
      if (tooLong === 'fail' && this.field(row, CUT) === 1)
        return { row, why: 'has more tokens than maxSeqLen', field: 'tooLong' }
      if (onUntrained === 'fail' && this.field(row, TRAINED) === 0)
        return { row, why: 'has no trained token', field: 'onUntrained' }
    }
    return undefined
  }

  get blockCount(): number {
    return this.blocks.length
  }

  /** The block that a row is in, its index blob, and the row's number there. */
  placeOf(row: number): { block: number; index: Digest; at: number } {
    const block = this.field(row, BLOCK)
    return { block, index: this.blocks[block]!.index, at: row - this.blockFirst[block]! }
  }

  segments(order: Uint32Array, { shardTokens, cut }: { readonly shardTokens: number; readonly cut?: Cut }) {
    if (cut === undefined) return this.cutAnywhere(order, shardTokens)
    return cut === 'conversations'
      ? this.cutBetween(order, shardTokens)
      : this.cutRows(order, shardTokens, cut)
  }

  /** Packs the whole split into rows, and cuts it into shards of as many rows as `shardTokens` allows, one at least. */
  private *cutRows(order: Uint32Array, shardTokens: number, cut: Exclude<Cut, 'conversations'>) {
    const mostRows = Math.max(1, Math.floor(shardTokens / cut.rowTokens))
    let at = 0
    const next = () => {
      if (at === order.length) return undefined
      const row = order[at++]!
      return { row, tokens: this.field(row, TOKENS) }
    }
    let places: number[] = []
    let total = 0
    let rows = 0
    for (const packed of packRows(next, cut)) {
      for (const place of packed) {
        places.push(place.row)
        total += place.tokens
      }
      if (++rows < mostRows) continue
      yield this.segment(Uint32Array.from(places), total, 0)
      places = []
      total = 0
      rows = 0
    }
    if (places.length > 0) yield this.segment(Uint32Array.from(places), total, 0)
  }

  /** Shards of whole conversations, of `shardTokens` tokens at most; one that is longer is a shard of its own. */
  private *cutBetween(order: Uint32Array, shardTokens: number) {
    for (let first = 0; first < order.length; ) {
      let end = first
      let total = 0
      do total += this.field(order[end++]!, TOKENS)
      while (end < order.length && total + this.field(order[end]!, TOKENS) <= shardTokens)
      yield this.segment(order.subarray(first, end), total, 0)
      first = end
    }
  }

  /** Cuts the order into shards of `shardTokens` tokens; a conversation may go on in the next one. */
  private *cutAnywhere(order: Uint32Array, shardTokens: number) {
    let first = 0
    let skip = 0
    while (first < order.length) {
      let filled = -skip
      let end = first
      while (end < order.length && filled < shardTokens) filled += this.field(order[end++]!, TOKENS)
      const total = Math.min(filled, shardTokens)
      const nextSkip = filled > shardTokens ? this.field(order[end - 1]!, TOKENS) - (filled - shardTokens) : 0
      yield this.segment(order.subarray(first, end), total, skip)
      first = nextSkip > 0 ? end - 1 : end
      skip = nextSkip
    }
  }

  /** Sorted 64-bit fingerprints of the rows in `order`, each once: u64 LE. */
  fingerprints(order: Uint32Array): Uint8Array {
    // In the order they lie in: marks are close together, rows are not.
    const taken = new Uint8Array(this.count)
    let rows = 0
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!
      rows += 1 - taken[row]!
      taken[row] = 1
    }
    const all = new BigUint64Array(rows)
    const words = new Uint32Array(all.buffer)
    let end = 0
    for (let row = 0; row < this.count; row++) {
      if (taken[row] === 0) continue
      words[end++] = this.field(row, FINGERPRINT_LOW)
      words[end++] = this.field(row, FINGERPRINT_HIGH)
    }
    all.sort()
    let kept = 0
    for (let i = 0; i < words.length; i += 2) {
      const low = words[i]!
      const high = words[i + 1]!
      if (kept > 0 && low === words[kept - 2] && high === words[kept - 1]) continue
      words[kept++] = low
      words[kept++] = high
    }
    return new Uint8Array(all.buffer, 0, kept * 4)
  }

  /** Its columns are used again for the next one. */
  private segment(rows: Uint32Array, total: number, skip: number): Segment {
    const places = rows.length
    if (this.memory.length < 7 * places) this.memory = new Uint32Array(9 * places)
    let columnsMade = 0
    const column = () => this.memory.subarray(places * columnsMade++, places * columnsMade)
    const columns = {
      block: column(),
      row: column(),
      offsetWords: column(),
      tokens: column(),
      runs: column(),
      fingerprintLow: column(),
      fingerprintHigh: column(),
    }
    for (let i = 0; i < places; i++) {
      const row = rows[i]!
      const words = this.chunks[row >>> chunkBits]!
      const at = (row & chunkMask) * FIELDS
      columns.block[i] = words[at + BLOCK]!
      columns.row[i] = row
      columns.offsetWords[i] = words[at + OFFSET_WORDS]!
      columns.tokens[i] = words[at + TOKENS]!
      columns.runs[i] = words[at + RUNS]!
      columns.fingerprintLow[i] = words[at + FINGERPRINT_LOW]!
      columns.fingerprintHigh[i] = words[at + FINGERPRINT_HIGH]!
    }
    // Only the blocks this shard needs are named, in the order of the split, so that a segment is its own world.
    const nameOf = new Int32Array(this.blocks.length).fill(-1)
    for (const at of columns.block) nameOf[at] = 0
    const names: { tokens: Digest; index: Digest }[] = []
    nameOf.forEach((used, i) => {
      if (used === 0) nameOf[i] = names.push(this.blocks[i]!) - 1
    })
    for (let i = 0; i < places; i++) {
      const from = columns.block[i]!
      columns.row[i]! -= this.blockFirst[from]!
      columns.block[i] = nameOf[from]!
    }
    return { blocks: names, width: this.width, total, skip, places, ...columns }
  }
}
