/**
 * shuffle: all token indices of a split → which row stands at which place, one segment a shard.
 *
 * In:  per source the list of its token blocks and indices.   Out: segments, and the fingerprints of what they take.
 * Per source: its own permutation, then start/stop/step, then repeats; then the sources one after the other, and
 * one shuffle over all of it, as the reference does. Only indices are moved. Of the rows that the slice takes, those
 * that onUntrained or tooLong drop are left out, and counted.
 */
import { ShardmillError } from '../errors/index.ts'
import type { Cut } from '../pipeline/lock.ts'
import { numpyPermutation } from '../random/numpy-random.ts'
import { PythonRandom } from '../random/python-random.ts'
import { seedrandomPermutation } from '../random/seedrandom-order.ts'
import type { BlobRef, Digest, Store } from '../store/types.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { packRows } from './outputs/pack-rows.ts'
import { encodeSegment } from './segment.ts'
import { blockHeadBytes, decodeIndex, recordBytes } from './token-block.ts'

interface Slice {
  readonly seed: number | null
  readonly start: number
  readonly stop: number | null
  readonly step: number
  readonly repeat: number
  readonly onUntrained?: 'drop' | 'fail'
  readonly tooLong?: 'drop' | 'fail'
}

interface Params {
  readonly shuffle: { readonly kind: 'python' | 'numpy' | 'seedrandom' | 'none'; readonly seed?: number }
  readonly shardTokens: number
  /** Absent: a conversation may go on in the next shard. */
  readonly cut?: Cut
  readonly sources: readonly Slice[]
}

/** A segment is about 50 KB a thousand rows; each is synced to the disk. */
const segmentsOnTheWay = 8

export const shuffle = defineStage({
  name: 'shuffle',
  async run(call, { store, signal, progress }) {
    const params = paramsOf<Params>(call)
    const labels = (call.hints as { labels?: readonly string[] } | undefined)?.labels ?? []
    const rows = new SplitRows()
    const taken: Uint32Array[] = []
    let conversations = 0
    const sources: ({ rows: number; dropped?: Dropped } & ReturnType<SplitRows['figures']>)[] = []
    for (const [i, slice] of params.sources.entries()) {
      const list = JSON.parse(
        Buffer.from(await store.readBlobBytes(input(call, `source.${i}`))).toString(),
      ) as { tokens: Digest; index: Digest }[]
      const first = rows.count
      for (const ref of list) {
        rows.add(ref, await store.readBlobBytes(ref.index))
        signal.throwIfAborted()
      }
      const label = labels[i] ?? `source ${i}`
      const taking = pick(first, rows.count - first, slice, label)
      const { kept: picked, dropped } = rows.allowed(taking, slice)
      const failing = rows.failing(picked, slice)
      if (failing !== undefined) throw await refusal(failing, rows, label, store)
      conversations += picked.length * slice.repeat
      for (let r = 0; picked.length > 0 && r < slice.repeat && conversations <= mostConversations; r++)
        taken.push(picked)
      sources.push({
        rows: rows.count - first,
        ...rows.figures(picked, slice.repeat),
        ...(dropped === undefined ? {} : { dropped }),
      })
    }
    checkCount(conversations, labels[0]?.replace(/\[.*/s, '') ?? 'the split')
    const order = concatenated(taken)
    reorder(order, params.shuffle)
    // The next segments are made while the last ones are on their way to the disk.
    const segments: Promise<BlobRef>[] = []
    for (const segment of rows.segments(order, params)) {
      signal.throwIfAborted()
      const written = store.putBlob(encodeSegment(segment))
      written.catch(() => {}) // it is awaited below, perhaps after another one has failed
      segments.push(written)
      await segments[segments.length - segmentsOnTheWay]
      progress.done(segments.length)
    }
    const outputs: Record<string, BlobRef> = {}
    for (const [i, ref] of (await Promise.all(segments)).entries()) {
      outputs[`segment.${String(i).padStart(8, '0')}`] = ref
    }
    outputs['fingerprints'] = await store.putBlob(rows.fingerprints(order))
    const sum = (name: 'conversations' | 'tokens' | 'trainedTokens' | 'truncated') =>
      sources.reduce((total, source) => total + source[name], 0)
    return {
      outputs,
      stats: {
        conversations: sum('conversations'),
        tokens: sum('tokens'),
        trainedTokens: sum('trainedTokens'),
        truncated: sum('truncated'),
        shards: segments.length,
        sources,
      },
    }
  },
})

/** Conversations that were left out, repeats counted. */
interface Dropped {
  readonly [reason: string]: number
  readonly untrained: number
  readonly tooLong: number
}

async function refusal(
  { row, why, field }: Failing,
  rows: SplitRows,
  label: string,
  store: Store,
): Promise<ShardmillError> {
  const { index, at } = rows.placeOf(row)
  const { sourceRow } = decodeIndex(await store.readBlobBytes(index))
  return new ShardmillError('BAD_ROW', `${label}: the row ${why}`, {
    at: { row: sourceRow[at]! },
    hint: `Set ${field}: drop in the recipe to leave such rows out, or correct the data.`,
  })
}

/** So many have numbers of 32 bits; an order of them fills 8 GB. */
const mostConversations = 2 ** 31 - 1

function checkCount(conversations: number, split: string): void {
  if (conversations === 0) {
    throw new ShardmillError('RECIPE', `${split} has no conversations`, {
      hint: 'Its sources have no rows, or start, stop, repeat, onUntrained and tooLong leave none of them. Leave out a split that is to be empty.',
    })
  }
  if (conversations > mostConversations) {
    throw new ShardmillError(
      'RECIPE',
      `${split} has ${conversations} conversations, more than the ${mostConversations} that can be put in order`,
      { hint: 'Lower repeat, or split the recipe in two.' },
    )
  }
}

/** The rows a source gives, in its own order: permutation, then slice. Numbers count from the split's first row. */
function pick(first: number, rows: number, { seed, start, stop, step }: Slice, label: string): Uint32Array {
  if (stop !== null && stop > rows) {
    throw new ShardmillError(
      'RECIPE',
      `${label}: stop ${stop} is past the end, the source has ${rows} rows`,
      { hint: 'Lower stop, or leave it out to take all rows.' },
    )
  }
  const end = stop ?? rows
  if (start > end)
    throw new ShardmillError(
      'RECIPE',
      `${label}: start ${start} is past the end, the source has ${end} rows`,
      { hint: 'Lower start.' },
    )
  const length = Math.ceil((end - start) / step)
  const permutation = seed === null ? undefined : numpyPermutation(rows, seed)
  const picked = new Uint32Array(length)
  for (let i = 0; i < length; i++) {
    const at = start + i * step
    picked[i] = first + (permutation === undefined ? at : permutation[at]!)
  }
  return picked
}

function concatenated(parts: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function reorder(order: Uint32Array, { kind, seed = 0 }: Params['shuffle']): void {
  if (kind === 'python') new PythonRandom(seed).shuffle(order)
  if (kind === 'numpy' || kind === 'seedrandom') {
    const before = order.slice()
    const permutation =
      kind === 'numpy' ? numpyPermutation(order.length, seed) : seedrandomPermutation(order.length, seed)
    for (let i = 0; i < order.length; i++) order[i] = before[permutation[i]!]!
  }
}

interface Failing {
  readonly row: number
  readonly why: string
  readonly field: 'tooLong' | 'onUntrained'
}

/** All rows of a split in columns: 29 bytes a row. */
class SplitRows {
  count = 0
  private width: 2 | 4 = 2
  private readonly blocks: { tokens: Digest; index: Digest }[] = []
  private readonly blockFirst: number[] = []
  private tokens = new Uint32Array(1 << 16)
  private runs = new Uint32Array(1 << 16)
  private trained = new Uint32Array(1 << 16)
  private cut = new Uint8Array(1 << 16)
  private offsetWords = new Uint32Array(1 << 16)
  private low = new Uint32Array(1 << 16)
  private high = new Uint32Array(1 << 16)

  add(ref: { tokens: Digest; index: Digest }, indexBytes: Uint8Array): void {
    const index = decodeIndex(indexBytes)
    this.width = index.width
    this.reserve(index.rows)
    this.blocks.push({ tokens: ref.tokens, index: ref.index })
    this.blockFirst.push(this.count)
    let offset = blockHeadBytes
    for (let r = 0; r < index.rows; r++) {
      const at = this.count + r
      const tokens = index.tokens[r]!
      const runs = index.runs[r]!
      this.tokens[at] = tokens
      this.runs[at] = runs
      this.trained[at] = index.trained[r]!
      this.cut[at] = index.cut[r]!
      this.offsetWords[at] = offset / 4
      this.low[at] = index.fingerprintLow[r]!
      this.high[at] = index.fingerprintHigh[r]!
      offset += recordBytes(tokens, runs, index.width)
    }
    this.count += index.rows
  }

  figures(picked: Uint32Array, repeat: number) {
    let tokens = 0
    let trainedTokens = 0
    let truncated = 0
    let untrained = 0
    for (const row of picked) {
      tokens += this.tokens[row]!
      trainedTokens += this.trained[row]!
      truncated += this.cut[row]!
      if (this.trained[row] === 0) untrained++
    }
    return {
      conversations: picked.length * repeat,
      tokens: tokens * repeat,
      trainedTokens: trainedTokens * repeat,
      truncated: truncated * repeat,
      untrained: untrained * repeat,
    }
  }

  /** Leaves out what the source's policies drop; a row that is both too long and untrained counts as too long. */
  allowed(
    picked: Uint32Array,
    { onUntrained, tooLong, repeat }: Slice,
  ): { kept: Uint32Array; dropped?: Dropped } {
    if (onUntrained !== 'drop' && tooLong !== 'drop') return { kept: picked }
    let untrained = 0
    let long = 0
    const kept = picked.filter((row) => {
      if (tooLong === 'drop' && this.cut[row] === 1) long++
      else if (onUntrained === 'drop' && this.trained[row] === 0) untrained++
      else return true
      return false
    })
    return { kept, dropped: { untrained: untrained * repeat, tooLong: long * repeat } }
  }

  /** The first row that the source's policies do not allow, if there is one; rows that are not taken may be anything. */
  failing(picked: Uint32Array, { onUntrained, tooLong, repeat }: Slice): Failing | undefined {
    if (repeat === 0 || (onUntrained !== 'fail' && tooLong !== 'fail')) return undefined
    for (const row of picked) {
      if (tooLong === 'fail' && this.cut[row] === 1)
        return { row, why: 'has more tokens than maxSeqLen', field: 'tooLong' }
      if (onUntrained === 'fail' && this.trained[row] === 0)
        return { row, why: 'has no trained token', field: 'onUntrained' }
    }
    return undefined
  }

  /** The index blob that a row is in, and its number there. */
  placeOf(row: number): { index: Digest; at: number } {
    const block = this.blockAt(row)
    return { index: this.blocks[block]!.index, at: row - this.blockFirst[block]! }
  }

  segments(order: Uint32Array, { shardTokens, cut }: Pick<Params, 'shardTokens' | 'cut'>) {
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
      return { row, tokens: this.tokens[row]! }
    }
    let places: number[] = []
    let total = 0
    let rows = 0
    for (const packed of packRows(next, cut)) {
      for (const { row, tokens } of packed) {
        places.push(row)
        total += tokens
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
      do total += this.tokens[order[end++]!]!
      while (end < order.length && total + this.tokens[order[end]!]! <= shardTokens)
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
      while (end < order.length && filled < shardTokens) filled += this.tokens[order[end++]!]!
      const total = Math.min(filled, shardTokens)
      const nextSkip = filled > shardTokens ? this.tokens[order[end - 1]!]! - (filled - shardTokens) : 0
      yield this.segment(order.subarray(first, end), total, skip)
      first = nextSkip > 0 ? end - 1 : end
      skip = nextSkip
    }
  }

  /** Sorted 64-bit fingerprints of the rows in `order`, each once: u64 LE. */
  fingerprints(order: Uint32Array): Uint8Array {
    const all = new BigUint64Array(order.length)
    const words = new Uint32Array(all.buffer)
    for (let i = 0; i < order.length; i++) {
      words[2 * i] = this.low[order[i]!]!
      words[2 * i + 1] = this.high[order[i]!]!
    }
    all.sort()
    let kept = 0
    for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[i - 1]) all[kept++] = all[i]!
    return new Uint8Array(all.buffer, 0, kept * 8)
  }

  private segment(rows: Uint32Array, total: number, skip: number) {
    const places = rows.length
    const column = () => new Uint32Array(places)
    const block = column()
    const row = column()
    const offsetWords = column()
    const tokens = column()
    const runs = column()
    const fingerprintLow = column()
    const fingerprintHigh = column()
    // Only the blocks this shard needs are named, in the order of the split, so that a segment is its own world.
    const used = new Map<number, number>()
    const blockOf = new Uint32Array(places)
    for (let i = 0; i < places; i++) {
      blockOf[i] = this.blockAt(rows[i]!)
      used.set(blockOf[i]!, 0)
    }
    const names = [...used.keys()].sort((a, b) => a - b)
    names.forEach((name, i) => {
      used.set(name, i)
    })
    for (let i = 0; i < places; i++) {
      const at = rows[i]!
      block[i] = used.get(blockOf[i]!)!
      row[i] = at - this.blockFirst[blockOf[i]!]!
      offsetWords[i] = this.offsetWords[at]!
      tokens[i] = this.tokens[at]!
      runs[i] = this.runs[at]!
      fingerprintLow[i] = this.low[at]!
      fingerprintHigh[i] = this.high[at]!
    }
    return {
      blocks: names.map((name) => this.blocks[name]!),
      width: this.width,
      total,
      skip,
      places,
      block,
      row,
      offsetWords,
      tokens,
      runs,
      fingerprintLow,
      fingerprintHigh,
    }
  }

  private blockAt(row: number): number {
    let low = 0
    let high = this.blockFirst.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.blockFirst[middle]! <= row) low = middle
      else high = middle - 1
    }
    return low
  }

  private reserve(more: number): void {
    const needed = this.count + more
    if (needed <= this.tokens.length) return
    let size = this.tokens.length * 2
    while (size < needed) size *= 2
    const grow = <T extends Uint32Array | Uint8Array>(column: T): T => {
      const next = new (column.constructor as new (length: number) => T)(size)
      next.set(column)
      return next
    }
    this.tokens = grow(this.tokens)
    this.runs = grow(this.runs)
    this.trained = grow(this.trained)
    this.cut = grow(this.cut)
    this.offsetWords = grow(this.offsetWords)
    this.low = grow(this.low)
    this.high = grow(this.high)
  }
}
