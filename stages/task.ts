/**
 * task: the problem blocks of a task → its file, in the task's order.
 *
 * In:  the list of problem blocks and indices.   Out: one file (outputs/problem-files).
 * Keeps: every row of the slice once, in NumPy's permutation of all rows, except prompts of more than maxSeqLen
 * tokens, which are counted; `example_idx` is the place before they were left out. The random baseline is nanochat's:
 * 1/c when all rows, also those left out, have c choices; else the mean of 1/c over those kept, added in order.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { ShardmillError } from '../errors/index.ts'
import { numpyPermutation } from '../random/numpy-random.ts'
import type { Digest, Store } from '../store/types.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import type { Problem } from './outputs/problem-files/define-format.ts'
import { problemFormatOf } from './outputs/problem-files/index.ts'
import { decodeProblemIndex, type ProblemIndex, problemHeadBytes } from './problem-block.ts'
import { fingerprint } from './token-block.ts'

interface Params {
  readonly label: string
  readonly format: { readonly name: string; readonly version: number }
  readonly maxSeqLen: number
  readonly seed: number | null
  readonly start: number
  readonly stop: number | null
  readonly step: number
}

export const task = defineStage({
  name: 'task',
  async run(call, { store, signal, progress }) {
    const params = paramsOf<Params>(call)
    const { label, format, maxSeqLen } = params
    const rows = new TaskRows(await readBlocks(input(call, 'blocks'), store))
    const { tokenizer = 'the tokenizer' } = (call.hints ?? {}) as { tokenizer?: string }
    const taken = takenRows(params, rows.count)
    const kept: { readonly row: number; readonly exampleIdx: number }[] = []
    const sizes = new Set<number>()
    let shares = 0
    taken.forEach((row, exampleIdx) => {
      const choices = rows.choices(row)
      sizes.add(choices)
      if (rows.tokens(row) > maxSeqLen) return
      rows.checkLetters(row, label, tokenizer)
      kept.push({ row, exampleIdx })
      shares += 1 / choices
    })
    const equal = sizes.size === 1
    const randomBaseline = equal ? 1 / [...sizes][0]! : kept.length === 0 ? 0.25 : shares / kept.length
    const head = { label, examples: kept.length, randomBaseline }
    const writer = await store.createBlob()
    try {
      await rows.open(store)
      let tokens = 0
      await problemFormatOf(format.name).write(
        head,
        (i) => {
          if ((i & 255) === 0) signal.throwIfAborted()
          const { row, exampleIdx } = kept[i]!
          const problem = rows.problem(row, exampleIdx)
          tokens += problem.tokens.length
          progress.tokens(problem.tokens.length)
          progress.rows(1)
          progress.done(i + 1, kept.length)
          return problem
        },
        (bytes) => writer.write(bytes),
      )
      const file = await writer.commit()
      const skipped = taken.length - kept.length
      return {
        outputs: { file },
        stats: { rows: taken.length, examples: kept.length, skipped, tokens, randomBaseline },
      }
    } finally {
      rows.close()
      await writer.abort()
    }
  },
})

/** Row numbers in the task's order, sliced. */
function takenRows({ label, seed, start, stop, step }: Params, count: number): number[] {
  if (stop !== null && stop > count)
    throw new ShardmillError('RECIPE', `${label}: stop is ${stop}, but there are ${count} rows`, {
      hint: 'Lower stop, or leave it out to take all rows.',
    })
  const order = seed === null ? undefined : numpyPermutation(count, seed)
  const rows: number[] = []
  for (let i = start; i < (stop ?? count); i += step) rows.push(order === undefined ? i : order[i]!)
  return rows
}

interface Block {
  readonly tokens: Digest
  readonly index: ProblemIndex
}

async function readBlocks(list: Digest, store: Store): Promise<Block[]> {
  const refs = JSON.parse(Buffer.from(await store.readBlobBytes(list)).toString('utf8')) as {
    readonly tokens: Digest
    readonly index: Digest
  }[]
  const blocks: Block[] = []
  for (const { tokens, index } of refs)
    blocks.push({ tokens, index: decodeProblemIndex(await store.readBlobBytes(index)) })
  return blocks
}

/** All rows of a task, by number; a few bytes each in memory, their tokens in files. */
class TaskRows {
  readonly count: number
  private readonly blocks: readonly Block[]
  /** First row of each block, and of a block that would follow. */
  private readonly first: number[] = [0]
  /** Where each block's rows begin in its file. */
  private readonly offsets: readonly Float64Array[]
  private readonly files: number[] = []
  private readonly hash = { low: 0, high: 0 }

  constructor(blocks: readonly Block[]) {
    this.blocks = blocks
    this.offsets = blocks.map(({ index }) => {
      const offsets = new Float64Array(index.rows)
      let at = problemHeadBytes
      for (let i = 0; i < index.rows; i++) {
        offsets[i] = at
        at += 4 * index.tokens[i]!
      }
      this.first.push(this.first.at(-1)! + index.rows)
      return offsets
    })
    this.count = this.first.at(-1)!
  }

  async open(store: Store): Promise<void> {
    for (const { tokens } of this.blocks) this.files.push(openSync(await store.localFile(tokens), 'r'))
  }

  close(): void {
    for (const file of this.files.splice(0)) closeSync(file)
  }

  tokens(row: number): number {
    const { index, at } = this.placeOf(row)
    return index.tokens[at]!
  }

  choices(row: number): number {
    const { index, at } = this.placeOf(row)
    return index.choiceStart[at + 1]! - index.choiceStart[at]!
  }

  /** @throws BAD_TOKENIZER for a letter that is not one token: no logit stands for it */
  checkLetters(row: number, label: string, tokenizer: string): void {
    const { index, at } = this.placeOf(row)
    for (let c = index.choiceStart[at]!; c < index.choiceStart[at + 1]!; c++) {
      const [text, ids] = index.letters[index.choice[c]!]!
      if (ids.length === 1) continue
      throw new ShardmillError(
        'BAD_TOKENIZER',
        `the letter ${JSON.stringify(text)} of ${label} is ${ids.length} tokens (${ids.join(', ')}) of ${tokenizer}, expected one`,
        {
          at: { row: index.sourceRow[at]! },
          hint: 'Answers are compared by the logits of one token each: use a tokenizer in which this letter is one.',
        },
      )
    }
  }

  problem(row: number, exampleIdx: number): Problem {
    const { block, index, at } = this.placeOf(row)
    const tokens = new Uint32Array(index.tokens[at]!)
    const bytes = new Uint8Array(tokens.buffer)
    const { tokens: digest } = this.blocks[block]!
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(
        this.files[block]!,
        bytes,
        done,
        bytes.length - done,
        this.offsets[block]![at]! + done,
      )
      if (read === 0)
        throw new ShardmillError('CORRUPT_BLOB', `blob ${digest} ends early`, { details: { digest } })
      done += read
    }
    fingerprint(tokens, 0, tokens.length, this.hash)
    if (this.hash.low !== index.fingerprintLow[at] || this.hash.high !== index.fingerprintHigh[at])
      throw new ShardmillError(
        'CORRUPT_BLOB',
        `blob ${digest} is damaged: row ${at} does not match its fingerprint`,
        { details: { digest } },
      )
    const letterTokenIds: number[] = []
    for (let c = index.choiceStart[at]!; c < index.choiceStart[at + 1]!; c++)
      letterTokenIds.push(index.letters[index.choice[c]!]![1][0]!)
    return { tokens, letterTokenIds, gold: index.gold[at]!, exampleIdx }
  }

  private placeOf(row: number): {
    readonly block: number
    readonly index: ProblemIndex
    readonly at: number
  } {
    let low = 0
    let high = this.blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.first[middle]! <= row) low = middle
      else high = middle - 1
    }
    return { block: low, index: this.blocks[low]!.index, at: row - this.first[low]! }
  }
}
