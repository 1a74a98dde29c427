import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Column } from '../../parquet/columns.ts'
import { openByteSource, openParquet, readParquet } from '../../parquet/index.ts'
import { ADVERSARIAL, generator, randomText } from '../../test/bpe/texts.ts'
import { readableColumns } from '../../test/parquet/values.ts'
import { Random } from '../corpus/random.ts'
import { TextSampler } from '../corpus/text.ts'
import { loadWords } from '../corpus/words.ts'

/** Messages of one kind, the most of all bytes that are to come from it, and the texts, none of which is kept. */
export interface Source {
  readonly name: string
  readonly share: number
  readonly messages: AsyncIterable<string>
}

const extensions = new Set(
  '.js .mjs .cjs .ts .mts .cts .tsx .jsx .md .json .css .html .txt .rst .py .pyi .pyx .c .h .cc .cpp .hpp .cu .cuh .rs .go .sh .yml .yaml .toml .proto .svg .xml .csv .po .f .f90 .java .rb .lua'.split(
    ' ',
  ),
)

/** Where messages come from; the last of them has no end, and fills up what the others leave. */
export function sources(folders: readonly string[], seed: number): Source[] {
  const packages = dirname(dirname(fileURLToPath(import.meta.resolve('tiktoken'))))
  const seen = new Set<string>()
  return [
    { name: 'strings made to break it', share: 1, messages: each(ADVERSARIAL) },
    { name: 'datasets', share: 0.25, messages: datasets() },
    { name: 'installed packages', share: 0.25, messages: filesIn(packages, seen) },
    ...folders.map((folder) => ({
      name: folder,
      share: 0.25 / folders.length,
      messages: filesIn(folder, seen),
    })),
    { name: 'words of twenty scripts', share: 0.08, messages: scripts(seed) },
    { name: 'random fragments', share: 0.04, messages: fragments(seed) },
    { name: 'random code points', share: 0.03, messages: codePoints(seed) },
    { name: 'generated chats', share: 1, messages: generated(seed) },
  ]
}

async function* each(texts: Iterable<string>): AsyncGenerator<string> {
  yield* texts
}

/** All strings of all parquet files in ../shared/hub. */
async function* datasets(): AsyncGenerator<string> {
  const folder = fileURLToPath(new URL('../../../../shared/hub/datasets', import.meta.url))
  if (!existsSync(folder)) return
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!path.endsWith('.parquet')) continue
    const source = openByteSource(join(folder, path), path)
    const file = await openParquet(source)
    for await (const batch of readParquet(
      file,
      { from: 0, to: file.rowGroups.length },
      readableColumns(file),
    )) {
      for (const column of Object.values(batch.columns)) yield* stringsOf(column)
    }
    source.close()
  }
}

/** Text files below a folder, no two of them the same, cut into messages of many sizes. */
async function* filesIn(folder: string, seen: Set<string>): AsyncGenerator<string> {
  let turn = 0
  for (const path of walk(folder)) {
    const bytes = readFileSync(path)
    const digest = createHash('sha1').update(bytes).digest('base64')
    if (seen.has(digest)) continue
    seen.add(digest)
    const text = bytes.toString('utf8')
    for (let at = 0; at < text.length; ) {
      const size = [300, 1500, 40, 9000, 700, 60_000][turn++ % 6]!
      yield text.slice(at, at + size)
      at += size
    }
  }
}

function* walk(folder: string): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(path)
    else if (entry.isFile() && extensions.has(extname(entry.name)) && statSync(path).size < 4e6) yield path
  }
}

/** Words, numbers, code, mathematics and markdown in the proportions of chats. */
async function* generated(seed: number): AsyncGenerator<string> {
  const random = new Random(seed)
  const sampler = new TextSampler(loadWords(), random)
  for (;;) {
    sampler.clear()
    sampler.message(Math.min(20_000, 20 + Math.floor(random.logNormal(300, 1.1))))
    yield Buffer.from(sampler.bytes.subarray(0, sampler.length)).toString('utf8')
  }
}

async function* fragments(seed: number): AsyncGenerator<string> {
  const random = generator(seed)
  for (;;) yield randomText(random)
}

/** First and last code point of scripts; words of them, with the spaces and marks that writers of them use. */
const SCRIPTS: ReadonlyArray<readonly [number, number, string]> = [
  [0x61, 0x7a, ' '],
  [0xc0, 0x24f, ' '],
  [0x391, 0x3ce, ' '],
  [0x400, 0x45f, ' '],
  [0x531, 0x587, ' '],
  [0x5d0, 0x5ea, ' '],
  [0x620, 0x652, ' '],
  [0x900, 0x94f, ' '],
  [0x980, 0x9cd, ' '],
  [0xb85, 0xbcd, ' '],
  [0xe01, 0xe4e, ''],
  [0x1000, 0x104f, ''],
  [0x10a0, 0x10ff, ' '],
  [0x1200, 0x137c, ' '],
  [0x1780, 0x17d3, ''],
  [0x3041, 0x30ff, ''],
  [0x4e00, 0x9fff, ''],
  [0xac00, 0xd7a3, ' '],
  [0x1f300, 0x1faff, ''],
  [0x2070, 0x2bff, ' '],
]

async function* scripts(seed: number): AsyncGenerator<string> {
  const random = generator(seed + 1)
  const below = (count: number) => Math.floor(random() * count)
  const marks = [
    '.',
    ',',
    '、',
    '。',
    '!',
    '?',
    '؟',
    '\n',
    '\n\n',
    '։',
    '।',
    ' – ',
    '…',
    ' (',
    ') ',
    '‘',
    '’',
  ]
  for (;;) {
    const [first, last, space] = SCRIPTS[below(SCRIPTS.length)]!
    // common characters are those that come first: words repeat, as in real text
    const letter = () => String.fromCodePoint(first + Math.floor((last - first + 1) * random() ** 3))
    let text = ''
    for (let words = 3 + below(120); words > 0; words--) {
      for (let letters = 1 + below(9); letters > 0; letters--) text += letter()
      text += below(8) === 0 ? marks[below(marks.length)] : space
    }
    yield text
  }
}

/** Code points from anywhere, surrogates among them. */
async function* codePoints(seed: number): AsyncGenerator<string> {
  const random = generator(seed + 2)
  for (;;) {
    let text = ''
    const span = [0x80, 0x800, 0x10000, 0x110000][Math.floor(random() * 4)]!
    for (let left = 1 + Math.floor(random() * 200); left > 0; left--) {
      text += String.fromCodePoint(Math.floor(random() * span))
    }
    yield text
  }
}

function* stringsOf(column: Column): Generator<string> {
  if (column.kind === 'list') yield* stringsOf(column.item)
  else if (column.kind === 'struct') for (const field of Object.values(column.fields)) yield* stringsOf(field)
  else if (column.kind === 'string') {
    const { bytes, offsets } = column
    for (let i = 0; i + 1 < offsets.length; i++) {
      yield Buffer.from(
        bytes.buffer,
        bytes.byteOffset + offsets[i]!,
        offsets[i + 1]! - offsets[i]!,
      ).toString()
    }
  }
}
