/**
 * shuffle: all token indices of a split → which row stands at which place, one segment a shard.
 *
 * In:  per source the list of its token blocks and indices.   Out: segments, and the fingerprints of what they take.
 * Per source: its own permutation, then start/stop/step, then repeats; then the sources one after the other, and
 * one shuffle over all of it, as the reference does. Only indices are moved. Of the rows that the slice takes, those
 * that onUntrained or tooLong drop are left out, and counted.
 */
import { type Place, ShardmillError } from '../errors/index.ts'
import type { Cut } from '../pipeline/lock.ts'
import type { RowPlaces } from '../pipeline/row-places.ts'
import { numpyPermutation } from '../random/numpy-random.ts'
import { PythonRandom } from '../random/python-random.ts'
import { seedrandomPermutation } from '../random/seedrandom-order.ts'
import type { BlobRef, Digest } from '../store/types.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { encodeSegment } from './segment.ts'
import { type Dropped, type Failing, type Policies, SplitRows } from './split-rows.ts'
import { decodeIndex } from './token-block.ts'

interface Slice extends Policies {
  readonly seed: number | null
  readonly start: number
  readonly stop: number | null
  readonly step: number
}

interface Params {
  readonly shuffle: { readonly kind: 'python' | 'numpy' | 'seedrandom' | 'none'; readonly seed?: number }
  readonly shardTokens: number
  /** Absent: a conversation may go on in the next shard. */
  readonly cut?: Cut
  readonly sources: readonly Slice[]
}

/** An index is about 30 bytes a row. */
const indexesAhead = 8
/** A segment is about 50 KB a thousand rows; each is synced to the disk. */
const segmentsOnTheWay = 8

export const shuffle = defineStage({
  name: 'shuffle',
  async run(call, { store, signal, progress }) {
    const params = paramsOf<Params>(call)
    const { labels = [], places = [] } = (call.hints ?? {}) as {
      readonly labels?: readonly string[]
      readonly places?: readonly RowPlaces[]
    }
    const rows = new SplitRows()
    const taken: Uint32Array[] = []
    let conversations = 0
    const sources: ({ rows: number; dropped?: Dropped } & ReturnType<SplitRows['figures']>)[] = []
    for (const [i, slice] of params.sources.entries()) {
      const list = JSON.parse(
        Buffer.from(await store.readBlobBytes(input(call, `source.${i}`))).toString(),
      ) as { tokens: Digest; index: Digest }[]
      const first = rows.count
      const firstBlock = rows.blockCount
      const reading: Promise<Uint8Array>[] = []
      for (const [at, ref] of list.entries()) {
        while (reading.length < Math.min(list.length, at + indexesAhead)) {
          const bytes = store.readBlobBytes(list[reading.length]!.index)
          bytes.catch(() => {}) // it is awaited below, perhaps after another one has failed
          reading.push(bytes)
        }
        rows.add(ref, await reading[at]!)
        delete reading[at]
        signal.throwIfAborted()
      }
      const label = labels[i] ?? `source ${i}`
      const taking = pick(first, rows.count - first, slice, label)
      const { kept: picked, dropped } = rows.allowed(taking, slice)
      const failing = rows.failing(picked, slice)
      if (failing !== undefined) {
        const { block, index, at } = rows.placeOf(failing.row)
        const { sourceRow } = decodeIndex(await store.readBlobBytes(index))
        throw refusal(failing, label, placeIn(places[i], block - firstBlock, sourceRow[at]!))
      }
      conversations += picked.length * slice.repeat
      for (let r = 0; picked.length > 0 && r < slice.repeat && conversations <= mostConversations; r++)
        taken.push(picked)
      sources.push({
        rows: rows.count - first,
        ...rows.figures(first, picked, slice.repeat),
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
    // Computed while the last segments are still on their way.
    segments.push(store.putBlob(rows.fingerprints(order)))
    const refs = await Promise.all(segments)
    const fingerprints = refs.pop()!
    const outputs: Record<string, BlobRef> = {}
    for (const [i, ref] of refs.entries()) outputs[`segment.${String(i).padStart(8, '0')}`] = ref
    outputs['fingerprints'] = fingerprints
    const sum = (name: 'conversations' | 'tokens' | 'trainedTokens' | 'truncated') =>
      sources.reduce((total, source) => total + source[name], 0)
    return {
      outputs,
      stats: {
        conversations: sum('conversations'),
        tokens: sum('tokens'),
        trainedTokens: sum('trainedTokens'),
        truncated: sum('truncated'),
        shards: refs.length,
        sources,
      },
    }
  },
})

function refusal({ why, field }: Failing, label: string, at: Place): ShardmillError {
  return new ShardmillError('BAD_ROW', `${label}: the row ${why}`, {
    at,
    hint: `Set ${field}: drop in the recipe to leave such rows out, or correct the data.`,
  })
}

/** The place of a row of the source's block `block`; without its file where the hints do not name it. */
function placeIn(
  { numbering, files = [] }: RowPlaces = { numbering: 'row' },
  block: number,
  row: number,
): Place {
  let end = 0
  const file = files.find(([, blocks]) => {
    end += blocks
    return block < end
  })
  return { ...(file === undefined ? {} : { file: file[0] }), [numbering]: row }
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
