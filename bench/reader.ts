/**
 * Reader against hyparquet's `parquetReadObjects` and, where `npm install --prefix bench` has brought them, parquet-wasm
 * with apache-arrow (text counted from offsets) and DuckDB (values), in one process, in turns: a column of conversations
 * (`list<struct<role, content>>`), snappy, zstd and uncompressed, one thread. MB are 10^6 bytes of message text.
 *
 * The corpus is what the chat dataset in ../shared/hub holds, or generated text where there is none.
 * `--json` prints one JSON object, `--rounds N` (default 5) takes the median of more rounds.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { snappyCompressor } from 'hysnappy'
import type { Column, ColumnType } from '../parquet/columns.ts'
import { bytesSource, openByteSource, openParquet, readParquet } from '../parquet/index.ts'
import { loadZstd } from '../parquet/zstd.ts'
import { type Rival, rivals } from './reader/rivals.ts'

interface Message {
  role: string
  content: string
}

export interface ReaderFigures {
  readonly codec: string
  readonly fileBytes: number
  readonly textBytes: number
  /** MB of text a second, medians; and their ratio in each round's pair, median. */
  readonly ours: number
  readonly hyparquet: number
  readonly ratio: number
  /** The same ratio of processor time: says more on a busy machine, and counts the garbage collector's threads. */
  readonly cpuRatio: number
  /** Other readers: MB/s, and the ratio of ours to each. */
  readonly others: ReadonlyArray<{ readonly name: string; readonly theirs: number; readonly ratio: number }>
}

const string: ColumnType = { kind: 'string' }
const columns: Record<string, ColumnType> = {
  messages: { kind: 'list', item: { kind: 'struct', fields: { role: string, content: string } } },
}

export async function benchReader(
  rounds = 5,
  say: (line: string) => void = () => {},
): Promise<ReaderFigures[]> {
  const others = await rivals(say)
  const conversations = await corpus()
  await loadZstd()
  const { compress } = await import('@bokuweb/zstd-wasm')
  const codecs = {
    UNCOMPRESSED: undefined,
    SNAPPY: snappyCompressor(),
    ZSTD: (input: Uint8Array) => compress(input, 3),
  }
  const figures: ReaderFigures[] = []
  for (const [codec, compressor] of Object.entries(codecs)) {
    const bytes = new Uint8Array(
      parquetWriteBuffer({
        columnData: [{ name: 'messages', data: conversations }],
        schema: [
          { name: 'root', num_children: 1 },
          { name: 'messages', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
          { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
          { name: 'element', repetition_type: 'OPTIONAL', num_children: 2 },
          { name: 'role', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          { name: 'content', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        ],
        codec: codec as 'SNAPPY',
        ...(compressor && { compressors: { [codec]: compressor } }),
        rowGroupSize: 5000,
      }),
    )
    figures.push(await measure(codec.toLowerCase(), bytes, rounds, others))
  }
  return figures
}

async function measure(
  codec: string,
  bytes: Uint8Array,
  rounds: number,
  others: readonly Rival[],
): Promise<ReaderFigures> {
  const otherTurns = others.map((): { ours: number; theirs: number }[] => [])
  const pairs: [Spent, Spent][] = []
  let textBytes = 0
  for (let round = 0; round <= rounds; round++) {
    // The first round warms the compiler up, and proves that both read the same.
    let characters = 0
    const count = (content: Uint8Array) => {
      if (round === 0) characters += Buffer.from(content).toString().length
    }
    const [read, ours] = await timed(() => readOurs(bytes, count))
    const [expected, theirs] = await timed(() => readHyparquet(bytes))
    textBytes = read
    for (const [i, other] of others.entries()) {
      const [counted, spent] = await timed(() => other.read(bytes))
      if (counted !== read && counted !== expected) throw new Error(`${other.name}: ${counted}, ours ${read}`)
      if (round > 0) otherTurns[i]!.push({ ours: ours.seconds, theirs: spent.seconds })
    }
    if (round > 0) pairs.push([ours, theirs])
    else if (characters !== expected) throw new Error(`${characters} characters, hyparquet ${expected}`)
  }
  const rate = (seconds: number) => textBytes / 1e6 / seconds
  return {
    codec,
    fileBytes: bytes.length,
    textBytes,
    ours: rate(median(pairs.map(([ours]) => ours.seconds))),
    hyparquet: rate(median(pairs.map(([, theirs]) => theirs.seconds))),
    ratio: median(pairs.map(([ours, theirs]) => theirs.seconds / ours.seconds)),
    cpuRatio: median(pairs.map(([ours, theirs]) => theirs.cpu / ours.cpu)),
    others: others.map(({ name }, i) => ({
      name,
      theirs: rate(median(otherTurns[i]!.map(({ theirs }) => theirs))),
      ratio: median(otherTurns[i]!.map(({ ours, theirs }) => theirs / ours)),
    })),
  }
}

async function readOurs(bytes: Uint8Array, use: (content: Uint8Array) => void): Promise<number> {
  const file = await openParquet(bytesSource(bytes, 'corpus'))
  let sum = 0
  const groups = { from: 0, to: file.rowGroups.length }
  for await (const batch of readParquet(file, groups, columns, { reuse: true })) {
    const content = contentOf(batch.columns.messages!)
    sum += content.bytes.length
    use(content.bytes)
  }
  return sum
}

function contentOf(column: Column) {
  if (column.kind !== 'list' || column.item.kind !== 'struct') throw new Error('not a list of structs')
  const { content } = column.item.fields
  if (content?.kind !== 'string') throw new Error('no content')
  return content
}

async function readHyparquet(bytes: Uint8Array): Promise<number> {
  const buffer = bytes.buffer as ArrayBuffer
  const file = {
    byteLength: buffer.byteLength,
    slice: (start: number, end?: number) => buffer.slice(start, end),
  }
  const metadata = parquetMetadata(buffer)
  let characters = 0
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd })
    for (const row of rows) for (const { content } of row.messages as Message[]) characters += content.length
    rowStart = rowEnd
  }
  return characters
}

interface Spent {
  readonly seconds: number
  readonly cpu: number
}

async function timed<T>(work: () => Promise<T>): Promise<[T, Spent]> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  const result = await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return [result, { seconds, cpu: (user + system) / 1e6 }]
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!
}

async function corpus(): Promise<Message[][]> {
  const folder = join(import.meta.dirname, '../../shared/hub/datasets/HuggingFaceTB/smol-smoltalk/data')
  const conversations: Message[][] = []
  if (!existsSync(folder)) return generated()
  for (const name of readdirSync(folder).sort()) {
    const source = openByteSource(join(folder, name), name)
    const file = await openParquet(source)
    for await (const batch of readParquet(file, { from: 0, to: file.rowGroups.length }, columns)) {
      const list = batch.columns.messages!
      if (list.kind !== 'list' || list.item.kind !== 'struct') throw new Error('not a list of structs')
      const { role, content } = list.item.fields
      const text = (column: Column, i: number) =>
        column.kind === 'string'
          ? Buffer.from(column.bytes.subarray(column.offsets[i]!, column.offsets[i + 1]!)).toString()
          : ''
      for (let row = 0; row < batch.rows; row++) {
        const messages: Message[] = []
        for (let i = list.offsets[row]!; i < list.offsets[row + 1]!; i++) {
          messages.push({ role: text(role!, i), content: text(content!, i).replace(/^\ufeff/, '') })
        }
        conversations.push(messages)
      }
    }
    source.close()
  }
  return conversations
}

/** 40 MB of sentences from a few thousand made-up words, the common ones more often. */
function generated(): Message[][] {
  let state = 1
  const random = () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return state / 2 ** 32
  }
  const syllables = 'ba ce di fo gu ha ji ko lu me ni po qua re si tu ve wo xi yo za the ing er tion'.split(
    ' ',
  )
  const words = Array.from({ length: 5000 }, () =>
    Array.from(
      { length: 1 + Math.floor(random() * 4) },
      () => syllables[Math.floor(random() * syllables.length)],
    ).join(''),
  )
  const sentence = (length: number) =>
    Array.from({ length }, () => words[Math.floor(random() ** 3 * words.length)]).join(' ')
  return Array.from({ length: 36_000 }, () =>
    Array.from({ length: 2 + 2 * Math.floor(random() * 2.5) }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: sentence(5 + Math.floor(random() * 110)),
    })),
  )
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string' } } })
  const figures = await benchReader(Number(values.rounds ?? 5), (line) => process.stderr.write(`${line}\n`))
  if (values.json === true) process.stdout.write(`${JSON.stringify({ schema: 1, reader: figures })}\n`)
  else {
    process.stdout.write('codec         text MB   ours MB/s   hyparquet MB/s   ratio   of cpu time\n')
    for (const { codec, textBytes, ours, hyparquet, ratio, cpuRatio, others } of figures) {
      process.stdout.write(
        `${codec.padEnd(14)}${(textBytes / 1e6).toFixed(1).padStart(7)}${ours.toFixed(0).padStart(12)}${hyparquet.toFixed(0).padStart(17)}${ratio.toFixed(1).padStart(8)}${cpuRatio.toFixed(1).padStart(14)}\n`,
      )
      for (const other of others) {
        process.stdout.write(
          `  against ${other.name}: ${other.theirs.toFixed(0)} MB/s, ${other.ratio.toFixed(1)}\n`,
        )
      }
    }
  }
}
