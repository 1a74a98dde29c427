/**
 * Problem blocks: the multiple-choice problems of one partition as prompts of tokens, and their index.
 *
 *   block = "SMPROB01", u32 LE 4 (bytes of a token), u32 0, then the rows' tokens u32*
 *   index = "SMPRBI01", u32 LE rows, u32 choices (of all rows), u32 length of JSON, u32 0,
 *     JSON {letters: [[text, [ids]], …]} padded with spaces to 4 bytes, then columns
 *     sourceRow u32[rows], tokens u32[rows], gold u32[rows] (first choice whose letter is the answer),
 *     fingerprintLow u32[rows], fingerprintHigh u32[rows] (of the row's tokens),
 *     choiceStart u32[rows+1], choice u32[choices] (a letter's number in `letters`)
 */
import type { BlobRef, BlobWriter } from '../store/types.ts'
import { fingerprint } from './token-block.ts'

const blockMagic = 'SMPROB01'
const indexMagic = 'SMPRBI01'
export const problemHeadBytes = 16
const rowColumns = ['sourceRow', 'tokens', 'gold', 'fingerprintLow', 'fingerprintHigh'] as const

export interface ProblemIndex extends Readonly<Record<(typeof rowColumns)[number], Uint32Array>> {
  readonly rows: number
  /** Distinct letters of the partition, and what the tokenizer makes of each. */
  readonly letters: readonly (readonly [text: string, ids: readonly number[]])[]
  readonly choiceStart: Uint32Array
  readonly choice: Uint32Array
}

/** Writes a block and gathers its index; `flushIfFull` after rows keeps memory bounded. */
export class ProblemBlockWriter {
  rows = 0
  private readonly writer: BlobWriter
  private words = new Uint32Array(1 << 19)
  private used = problemHeadBytes / 4
  private readonly columns: Record<(typeof rowColumns)[number], number[]> = {
    sourceRow: [],
    tokens: [],
    gold: [],
    fingerprintLow: [],
    fingerprintHigh: [],
  }
  private readonly choiceStart = [0]
  private readonly choice: number[] = []
  private readonly letters = new Map<string, { readonly number: number; readonly ids: readonly number[] }>()
  private readonly encode: (letter: string) => Uint32Array
  private readonly hash = { low: 0, high: 0 }

  constructor(writer: BlobWriter, encode: (letter: string) => Uint32Array) {
    this.writer = writer
    this.encode = encode
    new Uint8Array(this.words.buffer).set(Buffer.from(blockMagic, 'latin1'), 0)
    this.words[2] = 4
  }

  add(
    sourceRow: number,
    ids: Int32Array | Uint32Array,
    length: number,
    letters: readonly string[],
    gold: number,
  ): void {
    if (this.used + length > this.words.length) {
      const next = new Uint32Array(2 * (this.used + length))
      next.set(this.words.subarray(0, this.used))
      this.words = next
    }
    this.words.set(ids.subarray(0, length), this.used)
    fingerprint(this.words, this.used, this.used + length, this.hash)
    this.used += length
    const { columns, hash } = this
    columns.sourceRow.push(sourceRow)
    columns.tokens.push(length)
    columns.gold.push(gold)
    columns.fingerprintLow.push(hash.low)
    columns.fingerprintHigh.push(hash.high)
    for (const letter of letters) this.choice.push(this.numberOf(letter))
    this.choiceStart.push(this.choice.length)
    this.rows++
  }

  async flushIfFull(): Promise<void> {
    if (this.used >= 1 << 18) await this.flush()
  }

  async commit(): Promise<BlobRef> {
    await this.flush()
    return this.writer.commit()
  }

  index(): Uint8Array {
    const letters = [...this.letters].map(([text, { ids }]) => [text, ids])
    const json = Buffer.from(JSON.stringify({ letters }))
    const padded = (json.length + 3) & ~3
    const columns = [...rowColumns.map((name) => this.columns[name]), this.choiceStart, this.choice]
    const words = columns.reduce((sum, column) => sum + column.length, 0)
    const out = Buffer.alloc(24 + padded + 4 * words, 0x20)
    out.write(indexMagic, 0, 'latin1')
    new Uint32Array(out.buffer, out.byteOffset + 8, 4).set([this.rows, this.choice.length, padded, 0])
    out.set(json, 24)
    let at = 24 + padded
    for (const column of columns) {
      new Uint32Array(out.buffer, out.byteOffset + at, column.length).set(column)
      at += 4 * column.length
    }
    return out
  }

  private numberOf(letter: string): number {
    let known = this.letters.get(letter)
    if (known === undefined) {
      known = { number: this.letters.size, ids: Array.from(this.encode(letter)) }
      this.letters.set(letter, known)
    }
    return known.number
  }

  private async flush(): Promise<void> {
    if (this.used === 0) return
    await this.writer.write(new Uint8Array(this.words.buffer, 0, 4 * this.used))
    this.used = 0
  }
}

export function decodeProblemIndex(data: Uint8Array): ProblemIndex {
  const bytes = new Uint8Array(data) // a copy of its own, so that columns are aligned
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== indexMagic)
    throw new TypeError('not an index of problems')
  const [rows, choices, padded] = new Uint32Array(bytes.buffer, 8, 3) as unknown as [number, number, number]
  const { letters } = JSON.parse(Buffer.from(bytes.subarray(24, 24 + padded)).toString('utf8')) as Pick<
    ProblemIndex,
    'letters'
  >
  let at = 24 + padded
  const column = (length: number) => {
    const words = new Uint32Array(bytes.buffer, at, length)
    at += 4 * length
    return words
  }
  const columns = Object.fromEntries(rowColumns.map((name) => [name, column(rows)])) as Record<
    (typeof rowColumns)[number],
    Uint32Array
  >
  return { ...columns, rows, letters, choiceStart: column(rows + 1), choice: column(choices) }
}
