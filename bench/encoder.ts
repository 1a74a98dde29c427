/**
 * Encoder against tiktoken's WASM build and, where a Python with it is found (BENCH_PYTHON, else python3), against
 * Python's tiktoken: one thread, one message at a time, in turns over the same texts, ids compared.
 *
 *   node dist/bench/encoder.js [--megabytes 24] [--vocabularies gpt2,nanochat] [--json FILE] [--no-python]
 *
 * "new": text that this encoder has not met (the compiler is warm). "again": English and code, seen once before.
 * MB are 10^6 UTF-8 bytes. A ratio is the median over pieces of 1 MB, each timed for all in turn; "of cpu" is the same
 * of processor time, which says more on a busy machine. Texts: the messages of the chat dataset in ../shared/hub
 * where it is there, scripts, declarations and documentation of the installed packages, and generated text.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { buildTables, createEncoder, type Encoder, type EncoderTables } from '../bpe/index.ts'
import { fixed, markdown, median } from './build/table.ts'
import { type Chunk, loadChunks } from './encoder/corpus.ts'
import { findTiktoken, type PythonTiktoken, startPython } from './encoder/python.ts'
import { type BenchVocabulary, vocabularies } from './encoder/vocabularies.ts'

interface Spent {
  readonly wall: number
  readonly cpu: number
}

export interface EncoderFigures {
  readonly vocabulary: string
  readonly buildMs: number
  /** MB/s of new text, medians. */
  readonly ours: number
  readonly wasm: number
  readonly python: number | undefined
  readonly overWasm: number
  readonly overWasmCpu: number
  readonly overPython: number | undefined
  readonly overPythonCpu: number | undefined
  /** English and code, met before. */
  readonly again: number
  readonly againOverWasm: number
  readonly againOverWasmCpu: number
  /** The slowest of some runs of 100,000 equal characters, ms. */
  readonly slowestRun: number
}

const out = new Int32Array(1 << 21)

function encodeAll(encoder: Encoder, { bytes, offsets }: Chunk): number {
  let ids = 0
  for (let i = 0; i + 1 < offsets.length; i++)
    ids += encoder.encode(bytes, offsets[i]!, offsets[i + 1]!, out, 0)
  return ids
}

function timed(work: () => void): Spent {
  const cpu = process.cpuUsage()
  const start = performance.now()
  work()
  const wall = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / 1e6 }
}

function compare(encoder: Encoder, texts: readonly string[], expected: (text: string) => Uint32Array): void {
  for (const text of texts) {
    const ours = encoder.encodeString(text)
    const theirs = expected(text)
    if (Buffer.compare(Buffer.from(ours.buffer), Buffer.from(theirs.buffer)) !== 0) {
      throw new Error(`ids differ from tiktoken's: ${JSON.stringify(text.slice(0, 200))}`)
    }
  }
}

async function benchVocabulary(
  { name, vocabulary, tiktoken, python: setup }: BenchVocabulary,
  chunks: readonly Chunk[],
  python: PythonTiktoken | undefined,
): Promise<EncoderFigures> {
  const builds: number[] = []
  let tables: EncoderTables | undefined
  for (let round = 0; round < 3; round++) builds.push(timed(() => (tables = buildTables(vocabulary))).wall)
  const wasm = tiktoken()
  await python?.load(setup)

  // A tenth of the text warms the compiler up; the encoder that is timed has not met it.
  const warmUp = chunks.slice(0, Math.ceil(chunks.length / 10))
  const first = createEncoder(tables!)
  for (let round = 0; round < 3; round++) for (const chunk of warmUp) encodeAll(first, chunk)
  const encoder = createEncoder(tables!)
  const turns: { chunk: Chunk; ours: Spent; wasm: Spent; python: Spent | undefined }[] = []
  for (const chunk of chunks.slice(warmUp.length)) {
    const ours = timed(() => void encodeAll(encoder, chunk))
    const theirs = timed(() => {
      for (const text of chunk.texts) wasm.encode_ordinary(text)
    })
    turns.push({ chunk, ours, wasm: theirs, python: await python?.encode(chunk) })
  }
  for (const { chunk } of turns) compare(encoder, chunk.texts, (text) => wasm.encode_ordinary(text))

  const plain = turns.filter(({ chunk }) => chunk.englishOrCode)
  const again = plain.map(({ chunk, wasm: theirs }) => ({
    ours: timed(() => void encodeAll(encoder, chunk)),
    wasm: theirs,
  }))
  wasm.free()

  const runs = ['a', ' ', '\n', '!', '中', '0'].map((character) => {
    const text = character.repeat(100_000)
    return 1000 * timed(() => void encoder.encodeString(text)).wall
  })
  const size = (turn: { chunk: Chunk }) => turn.chunk.bytes.length / 1e6
  const over = (kind: 'wall' | 'cpu', other: 'wasm' | 'python') =>
    median(turns.map((turn) => turn[other]![kind] / turn.ours[kind]))
  return {
    vocabulary: name,
    buildMs: 1000 * median(builds),
    ours: median(turns.map((turn) => size(turn) / turn.ours.wall)),
    wasm: median(turns.map((turn) => size(turn) / turn.wasm.wall)),
    python: python && median(turns.map((turn) => size(turn) / turn.python!.wall)),
    overWasm: over('wall', 'wasm'),
    overWasmCpu: over('cpu', 'wasm'),
    overPython: python && over('wall', 'python'),
    overPythonCpu: python && over('cpu', 'python'),
    again: median(again.map(({ ours }, i) => size(plain[i]!) / ours.wall)),
    againOverWasm: median(again.map((turn) => turn.wasm.wall / turn.ours.wall)),
    againOverWasmCpu: median(again.map((turn) => turn.wasm.cpu / turn.ours.cpu)),
    slowestRun: Math.max(...runs),
  }
}

/** Times the encoder; `say` gets a line on what happens. */
export async function benchEncoder(
  options: { megabytes?: number; names?: readonly string[]; python?: boolean },
  say: (line: string) => void,
): Promise<EncoderFigures[]> {
  say('texts …')
  const chunks = await loadChunks(options.megabytes ?? 24)
  const found = options.python === false ? undefined : await findTiktoken()
  const python = found === undefined ? undefined : startPython(found)
  if (python === undefined) say('no Python with tiktoken: that column is left out')
  const figures: EncoderFigures[] = []
  try {
    for (const vocabulary of vocabularies(options.names)) {
      say(`${vocabulary.name} …`)
      figures.push(await benchVocabulary(vocabulary, chunks, python))
    }
  } finally {
    python?.stop()
  }
  return figures
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      megabytes: { type: 'string' },
      vocabularies: { type: 'string' },
      json: { type: 'string' },
      python: { type: 'boolean', default: true },
    },
    allowNegative: true,
  })
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const figures = await benchEncoder(
    {
      ...(values.megabytes !== undefined && { megabytes: Number(values.megabytes) }),
      ...(values.vocabularies !== undefined && { names: values.vocabularies.split(',') }),
      python: values.python,
    },
    say,
  )
  const times = (ratio: number | undefined) => (ratio === undefined ? '–' : `${fixed(ratio)}×`)
  const rows = figures.map((f) => [
    f.vocabulary,
    fixed(f.ours),
    fixed(f.wasm),
    f.python === undefined ? '–' : fixed(f.python),
    times(f.overWasm),
    times(f.overWasmCpu),
    times(f.overPython),
    times(f.overPythonCpu),
    fixed(f.again),
    times(f.againOverWasm),
    times(f.againOverWasmCpu),
    fixed(f.slowestRun),
    fixed(f.buildMs, 0),
  ])
  const head = [
    'vocabulary',
    'new: MB/s',
    'WASM',
    'Python',
    '÷ WASM',
    'of cpu',
    '÷ Python',
    'of cpu',
    'again: MB/s',
    '÷ WASM',
    'of cpu',
    '100k run, ms',
    'tables, ms',
  ]
  process.stdout.write(`${markdown([head, ...rows])}\n`)
  if (values.json !== undefined) {
    const machine = { cpu: cpus()[0]?.model, node: process.version }
    writeFileSync(values.json, `${JSON.stringify({ schema: 1, machine, encoder: figures }, undefined, 2)}\n`)
  }
}
