/**
 * The encoder against tiktoken on as much text as wanted: every id of every message, in each vocabulary.
 *
 *   node dist/bench/exactness.js [--megabytes 200] [--folder DIR …] [--tokenizer FILE.pkl …] [--seed 1]
 *                                [--json FILE] [--no-python]
 *
 * The oracle is Python's tiktoken where one is found (BENCH_PYTHON, else python3), which is faster, else the WASM
 * build. Texts: strings made to break scanners, the datasets of ../shared/hub, the files of the installed packages and
 * of each --folder (a Python's site-packages, for one), none twice, and generated text of many kinds; text that the
 * oracle takes hours for, as 100,000 equal characters, is in the tests. Exit code 1 when an id differs.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { buildTables, createEncoder, type Encoder, type Vocabulary } from '../bpe/index.ts'
import { readPickle } from '../stages/tokenizers/pickle.ts'
import { tiktokenOf } from '../test/bpe/vocabularies.ts'
import { fixed, markdown } from './build/table.ts'
import { findTiktoken } from './encoder/python.ts'
import { vocabularies } from './encoder/vocabularies.ts'
import { sources } from './exactness/messages.ts'
import { type Oracle, type OracleVocabulary, pythonOracle, wasmOracle } from './exactness/oracle.ts'

interface Subject extends OracleVocabulary {
  readonly vocabulary: Vocabulary
}

export interface ExactnessFigures {
  readonly vocabulary: string
  readonly engine: Encoder['engine']
  bytes: number
  messages: number
  ids: number
  differences: number
}

const CHUNK = 1 << 20
const utf8 = new TextEncoder()
let out = new Int32Array(4 * CHUNK)

function pickled(file: string): Subject {
  const vocabulary = readPickle(readFileSync(file), file)
  return { name: file, vocabulary, tiktoken: () => tiktokenOf(vocabulary), python: { pickle: file } }
}

function digest(encoder: Encoder, texts: readonly Uint8Array[]): { ids: number; sha256: string } {
  const hash = createHash('sha256')
  let ids = 0
  for (const text of texts) {
    if (out.length <= text.length) out = new Int32Array(2 * text.length)
    const end = encoder.encode(text, 0, text.length, out, 1)
    out[0] = end - 1
    hash.update(out.subarray(0, end))
    ids += end - 1
  }
  return { ids, sha256: hash.digest('hex') }
}

/** Encodes about `megabytes` MB; `say` gets the differences. */
export async function checkExactness(
  subjects: readonly Subject[],
  oracle: Oracle,
  options: { megabytes: number; folders: readonly string[]; seed: number },
  say: (line: string) => void,
): Promise<{ vocabularies: ExactnessFigures[]; texts: { source: string; bytes: number }[] }> {
  const encoders = subjects.map(({ vocabulary }) => createEncoder(buildTables(vocabulary)))
  const figures = subjects.map(
    ({ name }, i): ExactnessFigures => ({
      vocabulary: name,
      engine: encoders[i]!.engine,
      bytes: 0,
      messages: 0,
      ids: 0,
      differences: 0,
    }),
  )
  let texts: string[] = []
  let encoded: Uint8Array[] = []
  let size = 0
  const flush = async () => {
    const asked = oracle.digests(texts) // a Python works meanwhile
    const ours = encoders.map((encoder) => digest(encoder, encoded))
    const theirs = await asked
    for (const [i, figure] of figures.entries()) {
      figure.bytes += size
      figure.messages += texts.length
      figure.ids += ours[i]!.ids
      if (ours[i]!.sha256 === theirs[i]!.sha256) continue
      for (const text of texts) {
        const expected = await oracle.ids(i, text)
        const found = Array.from(encoders[i]!.encodeString(text))
        if (found.join() === expected.join()) continue
        if (figure.differences++ < 5) say(`${figure.vocabulary}: ${JSON.stringify(text.slice(0, 300))}`)
      }
      // the message alone came out right, so it is what was encoded before it that matters: worse
      if (figure.differences === 0) {
        figure.differences++
        say(`${figure.vocabulary}: ids depend on the messages before`)
      }
    }
    texts = []
    encoded = []
    size = 0
  }
  const counts: { source: string; bytes: number }[] = []
  let left = options.megabytes * 1e6
  for (const { name, share, messages } of sources(options.folders, options.seed)) {
    const most = Math.min(left, share * options.megabytes * 1e6)
    let bytes = 0
    for await (const text of messages) {
      const utf8Text = utf8.encode(text)
      texts.push(text)
      encoded.push(utf8Text)
      size += utf8Text.length
      bytes += utf8Text.length
      if (size >= CHUNK) await flush()
      if (bytes >= most) break
    }
    left -= bytes
    counts.push({ source: name, bytes })
    say(`${name}: ${fixed(bytes / 1e6)} MB`)
    if (left <= 0) break
  }
  if (texts.length > 0) await flush()
  return { vocabularies: figures, texts: counts }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      megabytes: { type: 'string', default: '200' },
      folder: { type: 'string', multiple: true, default: [] },
      tokenizer: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string', default: '1' },
      json: { type: 'string' },
      python: { type: 'boolean', default: true },
    },
    allowNegative: true,
  })
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const own = 'test/fixtures/tokenizers/rustbpe-2048.protocol4.pkl'
  const subjects = [...vocabularies(), ...[own, ...values.tokenizer].map(pickled)]
  const python = values.python ? await findTiktoken() : undefined
  const oracle = python === undefined ? wasmOracle(subjects) : await pythonOracle(python, subjects)
  say(`against ${oracle.name}`)
  const result = await checkExactness(
    subjects,
    oracle,
    { megabytes: Number(values.megabytes), folders: values.folder, seed: Number(values.seed) },
    say,
  )
  oracle.stop()
  const head = ['vocabulary', 'engine', 'bytes', 'messages', 'ids', 'differences']
  const rows = result.vocabularies.map((f) => [
    f.vocabulary,
    f.engine,
    String(f.bytes),
    String(f.messages),
    String(f.ids),
    String(f.differences),
  ])
  process.stdout.write(`${markdown([head, ...rows])}\n`)
  if (values.json !== undefined) {
    const report = { schema: 1, oracle: oracle.name, node: process.version, ...result }
    writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
  }
  if (result.vocabularies.some(({ differences }) => differences > 0)) process.exitCode = 1
}
