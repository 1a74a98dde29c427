/**
 * Encoder against tokenizers that are not tiktoken: gpt-tokenizer and @huggingface/tokenizers (npm install --prefix
 * bench) and, from Python (BENCH_PYTHON, else python3), tokenizers. One thread, one message at a time, in turns over
 * text that none of them has met; ids compared.
 *
 *   node dist/bench/tokenizers.js [--megabytes 6] [--json FILE]
 *
 * The Hugging Face ones read a tokenizer.json (NFC, Qwen's pattern, a list of merges) that is made here of the cl100k
 * ranks, as Qwen's own vocabulary is; ours reads the same file. A ratio is the median over pieces of 1 MB.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { buildTables, createEncoder, type Vocabulary } from '../bpe/index.ts'
import { readHuggingFace } from '../stages/tokenizers/huggingface.ts'
import { buildTextTables, createTextEncoder } from '../stages/tokenizers/text-encoder.ts'
import { fixed, markdown, median } from './build/table.ts'
import { type Chunk, loadChunks } from './encoder/corpus.ts'
import { vocabularies } from './encoder/vocabularies.ts'
import { rival } from './rival.ts'

interface Ours {
  encode(bytes: Uint8Array, start: number, end: number, out: Int32Array, at: number): number
}

/** The ids of each text, and the seconds it took. */
type Theirs = (texts: readonly string[]) => Promise<{ ids: ArrayLike<number>[]; seconds: number }>

export interface TokenizerFigures {
  readonly rival: string
  readonly vocabulary: string
  /** MB/s of new text, medians, and the median of the ratios. */
  readonly ours: number
  readonly theirs: number
  readonly ratio: number
  /** Texts to which the two give other ids: the rival's fault where tiktoken agrees with ours. */
  readonly differ: number
}

const out = new Int32Array(1 << 21)

async function measure(
  name: string,
  vocabulary: string,
  chunks: readonly Chunk[],
  create: () => Ours,
  theirs: Theirs,
): Promise<TokenizerFigures> {
  const [first, ...rest] = chunks
  const run = (encoder: Ours, { bytes, offsets }: Chunk, ends?: number[]) => {
    const start = performance.now()
    let to = 0
    for (let i = 0; i + 1 < offsets.length; i++) {
      to = encoder.encode(bytes, offsets[i]!, offsets[i + 1]!, out, to)
      ends?.push(to)
    }
    return (performance.now() - start) / 1000
  }
  const warm = create()
  for (let round = 0; round < 3; round++) run(warm, first!)
  await theirs(first!.texts)
  const encoder = create()
  const turns: { size: number; ours: number; theirs: number }[] = []
  let differ = 0
  for (const chunk of rest) {
    const ends: number[] = []
    const ours = run(encoder, chunk, ends)
    const { ids, seconds } = await theirs(chunk.texts)
    turns.push({ size: chunk.bytes.length / 1e6, ours, theirs: seconds })
    for (const [i, end] of ends.entries()) {
      const expected = out.subarray(i === 0 ? 0 : ends[i - 1]!, end)
      const found = ids[i]!
      if (found.length !== expected.length || expected.some((id, k) => id !== found[k])) differ++
    }
  }
  return {
    rival: name,
    vocabulary,
    ours: median(turns.map((turn) => turn.size / turn.ours)),
    theirs: median(turns.map((turn) => turn.size / turn.theirs)),
    ratio: median(turns.map((turn) => turn.theirs / turn.ours)),
    differ,
  }
}

function inTurn(encode: (text: string) => ArrayLike<number>): Theirs {
  return async (texts) => {
    const start = performance.now()
    const ids = texts.map(encode)
    return { ids, seconds: (performance.now() - start) / 1000 }
  }
}

/** GPT-2's byte alphabet: printable Latin-1 stands for itself, every other byte for a character from U+0100. */
function byteAlphabet(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte < 0xad) || (byte > 0xad && byte <= 0xff)
    return String.fromCharCode(printable ? byte : next++)
  })
}

/** A tokenizer.json of a vocabulary whose ids are in merge order. */
export function tokenizerJson(vocabulary: Vocabulary): object {
  const { fast, vocabulary: sorted } = buildTables(vocabulary)
  const { splits } = fast!.merge.pair
  const alphabet = byteAlphabet()
  const names = Array.from(sorted.ids, (_, rank) => {
    const bytes = sorted.bytes.subarray(sorted.offsets[rank], sorted.offsets[rank + 1])
    return Array.from(bytes, (byte) => alphabet[byte]).join('')
  })
  const merges: [string, string][] = []
  for (let rank = 0; rank < names.length; rank++) {
    if (splits[2 * rank] !== rank) merges.push([names[splits[2 * rank]!]!, names[splits[2 * rank + 1]!]!])
  }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: vocabulary.pattern }, behavior: 'Isolated', invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(names.map((name, rank) => [name, sorted.ids[rank]!])),
      merges,
    },
  }
}

const program = `
import json, sys, time
import tokenizers
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
print(json.dumps(tokenizers.__version__), flush=True)
for line in sys.stdin:
    texts = json.loads(line)
    start = time.perf_counter()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    print(json.dumps({"ids": ids, "seconds": time.perf_counter() - start}), flush=True)
`

async function pythonTokenizers(
  file: string,
): Promise<{ version: string; encode: Theirs; child: ChildProcess } | undefined> {
  for (const python of [process.env['BENCH_PYTHON'], 'python3']) {
    if (python === undefined || python === '') continue
    const child = spawn(python, ['-c', program, file], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, TOKENIZERS_PARALLELISM: 'false' },
    })
    const lines = createInterface({ input: child.stdout! })
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'error'),
      once(lines, 'close'),
    ])) as [unknown]
    if (typeof line !== 'string') continue
    const encode: Theirs = async (texts) => {
      child.stdin!.write(`${JSON.stringify(texts)}\n`)
      const [answer] = (await once(lines, 'line')) as [string]
      return JSON.parse(answer) as Awaited<ReturnType<Theirs>>
    }
    return { version: JSON.parse(line) as string, encode, child }
  }
  return undefined
}

/** Times what is there; `say` gets a line on what happens. */
export async function benchTokenizers(
  megabytes: number,
  say: (line: string) => void,
): Promise<TokenizerFigures[]> {
  const chunks = await loadChunks(megabytes)
  const figures: TokenizerFigures[] = []
  for (const { name, vocabulary } of vocabularies(['gpt2', 'cl100k_base', 'o200k_base'])) {
    const module = rival<{ encode(text: string, options: object): number[] }>(
      `gpt-tokenizer/encoding/${name === 'gpt2' ? 'r50k_base' : name}`,
      say,
    )
    if (module === undefined) break
    say(`gpt-tokenizer, ${name} …`)
    const tables = buildTables(vocabulary)
    const encode = inTurn((text) => module.encode(text, { disallowedSpecial: new Set() }))
    figures.push(await measure('gpt-tokenizer', name, chunks, () => createEncoder(tables), encode))
  }

  const json = tokenizerJson(vocabularies(['qwen2'])[0]!.vocabulary)
  const bytes = Buffer.from(JSON.stringify(json))
  const read = readHuggingFace(bytes, 'tokenizer.json', { wanted: [], recognise: false })
  const tables = buildTextTables({ ...read, specials: new Map(), vocabularySize: read.ids.length, bosId: 0 })
  const ours = () => createTextEncoder(tables)
  say(`tokenizer.json: ours is ${ours().engine}`)
  const js = rival<{
    Tokenizer: new (
      json: object,
      config: object,
    ) => { encode(text: string, options: object): { ids: number[] } }
  }>('@huggingface/tokenizers', say)
  if (js !== undefined) {
    say('@huggingface/tokenizers …')
    const tokenizer = new js.Tokenizer(json, {})
    const encode = inTurn((text) => tokenizer.encode(text, { add_special_tokens: false }).ids)
    figures.push(await measure('@huggingface/tokenizers', 'tokenizer.json', chunks.slice(0, 4), ours, encode))
  }
  const folder = mkdtempSync(join(tmpdir(), 'bench-tokenizers-'))
  try {
    const file = join(folder, 'tokenizer.json')
    writeFileSync(file, bytes)
    const python = await pythonTokenizers(file)
    if (python === undefined) say('no Python with tokenizers: left out')
    else {
      const name = `tokenizers ${python.version} (Python)`
      say(`${name} …`)
      figures.push(await measure(name, 'tokenizer.json', chunks, ours, python.encode))
      python.child.stdin!.end()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return figures
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: { megabytes: { type: 'string', default: '6' }, json: { type: 'string' } },
  })
  const figures = await benchTokenizers(Number(values.megabytes), (line) => process.stderr.write(`${line}\n`))
  const rows = figures.map((f) => [
    f.rival,
    f.vocabulary,
    fixed(f.ours),
    fixed(f.theirs, 2),
    `${fixed(f.ratio)}×`,
    String(f.differ),
  ])
  const head = ['rival', 'vocabulary', 'ours: MB/s', 'theirs', 'ratio', 'texts with other ids']
  process.stdout.write(`${markdown([head, ...rows])}\n`)
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ schema: 1, node: process.version, tokenizers: figures }, undefined, 2)}\n`,
    )
  }
}
