/**
 * The benchmark's corpus: the nanochat SFT mixture at its true shape and, with scale 1, at its true size (460,000
 * conversations, 1.4 GB of text beside the rest), as a folder in the hub's layout with a recipe. Made from nothing but
 * packages of this project, the same on every machine.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import wordListPath from 'word-list'
import { Random } from './random.ts'
import { type TableTask, writeTable } from './tables.ts'
import { TextSampler } from './text.ts'
import { loadWords } from './words.ts'

/** Raise when the same scale would now give another corpus. */
const version = 1

export interface Corpus {
  readonly dir: string
  readonly hub: string
  readonly recipe: string
  readonly words: string
  readonly phrasebook: string
  readonly identity: string
  readonly scale: number
  /** Bytes of text in the parquet files. */
  readonly textBytes: number
  readonly simpleSpelling: number
  readonly spellingBee: number
  readonly mmluStop: number
  readonly gsm8kStop: number
}

/** Makes the corpus in a folder, or finds it there. */
export async function makeCorpus(dir: string, scale: number, threads: number): Promise<Corpus> {
  const done = join(dir, 'corpus.json')
  if (existsSync(done)) {
    const known = JSON.parse(readFileSync(done, 'utf8')) as Corpus & { version: number }
    if (known.version === version && known.scale === scale) return { ...known, ...places(dir) }
  }
  rmSync(dir, { recursive: true, force: true })
  const corpus = { ...sizes(scale), ...places(dir), scale }
  const tasks = tablesOf(corpus)
  for (const { path } of tasks) mkdirSync(dirname(path), { recursive: true })
  const textBytes = await inThreads(tasks, threads)
  for (const [name, text] of Object.entries(readmes))
    writeFileSync(join(corpus.hub, 'datasets', name, 'README.md'), text)
  writeFileSync(corpus.words, readFileSync(wordListPath))
  writeFileSync(
    corpus.phrasebook,
    readFileSync(
      fileURLToPath(new URL('../../../test/fixtures/golden-sft/phrasebook.json', import.meta.url)),
    ),
  )
  writeFileSync(corpus.identity, identityLines())
  writeFileSync(corpus.recipe, recipeOf(corpus))
  const made = { ...corpus, textBytes }
  writeFileSync(`${done}.part`, JSON.stringify({ version, ...made }))
  renameSync(`${done}.part`, done)
  return made
}

function places(dir: string) {
  return {
    dir,
    hub: join(dir, 'hub'),
    recipe: join(dir, 'recipe.yaml'),
    words: join(dir, 'words.txt'),
    phrasebook: join(dir, 'phrasebook.json'),
    identity: join(dir, 'identity_conversations.jsonl'),
  }
}

function sizes(scale: number) {
  const of = (count: number) => Math.max(20, Math.round(count * scale))
  return { simpleSpelling: of(200_000), spellingBee: of(80_000), mmluStop: of(5200), gsm8kStop: of(420) }
}

function tablesOf({ hub, scale }: { hub: string; scale: number }): TableTask[] {
  const of = (count: number) => Math.max(30, Math.round(count * scale))
  const at = (path: string) => join(hub, 'datasets', path)
  const smoltalk = Array.from({ length: 4 }, (_, i) => ({
    path: at(`HuggingFaceTB/smol-smoltalk/data/train-0000${i}-of-00004.parquet`),
    table: 'smoltalk' as const,
    rows: of(115_000),
    seed: 100 + i,
  }))
  return [
    ...smoltalk,
    {
      path: at('HuggingFaceTB/smol-smoltalk/data/test-00000-of-00001.parquet'),
      table: 'smoltalk',
      rows: of(24_200),
      seed: 110,
    },
    {
      path: at('cais/mmlu/auxiliary_train/train-00000-of-00001.parquet'),
      table: 'mmlu-nested',
      rows: of(99_842),
      seed: 120,
    },
    { path: at('cais/mmlu/all/test-00000-of-00001.parquet'), table: 'mmlu', rows: of(14_042), seed: 121 },
    { path: at('openai/gsm8k/main/train-00000-of-00001.parquet'), table: 'gsm8k', rows: of(7473), seed: 130 },
    { path: at('openai/gsm8k/main/test-00000-of-00001.parquet'), table: 'gsm8k', rows: of(1319), seed: 131 },
  ]
}

const configs = (entries: Readonly<Record<string, Readonly<Record<string, string>>>>) =>
  `---\nconfigs:\n${Object.entries(entries)
    .map(
      ([name, files]) =>
        `- config_name: ${name}\n  data_files:\n${Object.entries(files)
          .map(([split, path]) => `  - split: ${split}\n    path: ${path}\n`)
          .join('')}`,
    )
    .join('')}---\n`

const readmes: Readonly<Record<string, string>> = {
  'HuggingFaceTB/smol-smoltalk': configs({ default: { train: 'data/train-*', test: 'data/test-*' } }),
  'cais/mmlu': configs({
    all: { test: 'all/test-*' },
    auxiliary_train: { train: 'auxiliary_train/train-*' },
  }),
  'openai/gsm8k': configs({ main: { train: 'main/train-*', test: 'main/test-*' } }),
}

function identityLines(): string {
  const text = new TextSampler(loadWords(), new Random(140))
  const said = (size: number) => {
    text.clear()
    text.line(size)
    return Buffer.from(text.bytes.subarray(0, text.length)).toString('utf8')
  }
  return Array.from(
    { length: 1000 },
    () =>
      `${JSON.stringify([
        { role: 'user', content: said(40) },
        { role: 'assistant', content: said(300) },
      ])}\n`,
  ).join('')
}

function recipeOf({ simpleSpelling, spellingBee, mmluStop, gsm8kStop }: ReturnType<typeof sizes>): string {
  return `kind: sft
name: bench
tokenizer: { kind: tiktoken, encoding: gpt2 }
template: nanochat
maxSeqLen: 2048
shardTokens: 10000000
shuffle: { kind: python, seed: 42 }
splits:
  val:
    - { task: smoltalk, split: test }
    - { task: mmlu, subset: all, split: test, stop: ${mmluStop} }
    - { task: gsm8k, subset: main, split: test, stop: ${gsm8kStop} }
  train:
    - { task: smoltalk, split: train }
    - { task: mmlu, subset: auxiliary_train, split: train }
    - { task: gsm8k, subset: main, split: train, repeat: 2 }
    - { task: custom_json, path: identity_conversations.jsonl, repeat: 2 }
    - { task: simple_spelling, size: ${simpleSpelling}, words: words.txt }
    - { task: spelling_bee, size: ${spellingBee}, words: words.txt, phrasebook: phrasebook.json }
`
}

/** Largest first, so that the threads end together. */
async function inThreads(tasks: readonly TableTask[], threads: number): Promise<number> {
  const queue = [...tasks].sort((a, b) => b.rows - a.rows)
  let bytes = 0
  await Promise.all(
    Array.from({ length: Math.min(threads, queue.length) }, async () => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
        const written = await inThread(task)
        bytes += written
      }
    }),
  )
  return bytes
}

function inThread(task: TableTask): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { corpusTable: task } })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

const asked = (workerData as { corpusTable?: TableTask } | null)?.corpusTable
if (!isMainThread && asked !== undefined) parentPort!.postMessage(writeTable(asked, loadWords()))
