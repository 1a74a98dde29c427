/** The reference algorithm in Python on the same corpus: its time, and whether it wrote the same bytes. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Corpus } from '../corpus/index.ts'
import { runProcess } from './processes.ts'

const root = new URL('../../../', import.meta.url)
const script = fileURLToPath(new URL('bench/reference/sft_reference.py', root))

export interface ReferenceFigures {
  readonly seconds: number
  /** Seconds of each phase, as the program itself says. */
  readonly phases: Readonly<Record<string, number>>
}

/** A Python that has the packages: BENCH_PYTHON, else python3; undefined when neither does. */
export async function findPython(): Promise<string | undefined> {
  for (const python of [process.env['BENCH_PYTHON'], 'python3']) {
    if (python === undefined || python === '') continue
    try {
      await runProcess(python, ['-c', 'import tiktoken, numpy, pyarrow, datasets'])
      return python
    } catch {
      // the next one
    }
  }
  return undefined
}

/**
 * The environment in which Python's tiktoken finds its ranks without a download: those of the npm package, put into
 * `dir` as tiktoken's own cache, unless TIKTOKEN_CACHE_DIR names one.
 */
export async function withRanks(python: string, dir: string): Promise<NodeJS.ProcessEnv> {
  if (process.env['TIKTOKEN_CACHE_DIR']) return process.env
  const fill = fileURLToPath(new URL('bench/reference/tiktoken_cache.py', root))
  await runProcess(python, [fill, fileURLToPath(new URL('node_modules/tiktoken/encoders', root)), dir])
  return { ...process.env, TIKTOKEN_CACHE_DIR: dir }
}

export async function runReference(
  python: string,
  corpus: Corpus,
  out: string,
  env: NodeJS.ProcessEnv,
): Promise<ReferenceFigures> {
  const { hub, words, phrasebook, identity, simpleSpelling, spellingBee, mmluStop, gsm8kStop } = corpus
  const args = {
    hub,
    words,
    phrasebook,
    identity,
    out,
    tokenizer: 'gpt2',
    'max-seq-len': 2048,
    'shard-size': 10_000_000,
    'simple-spelling': simpleSpelling,
    'spelling-bee': spellingBee,
    'mmlu-stop': mmluStop,
    'gsm8k-stop': gsm8kStop,
  }
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])
  const { seconds, stderr } = await runProcess(python, [script, ...flags, '--timings'], env)
  const line = stderr.split('\n').findLast((text) => text.startsWith('{')) ?? '{}'
  return { seconds, phases: JSON.parse(line) as Record<string, number> }
}

/** Files of two output folders that differ; the manifest and what else only we write is left out. */
export async function differences(ours: string, theirs: string): Promise<string[]> {
  const names = (await readdir(theirs)).filter((name) => name.endsWith('.bin') || name === 'config.json')
  const differing: string[] = []
  for (const name of names) {
    const path = join(ours, name)
    if (!existsSync(path) || (await digest(path)) !== (await digest(join(theirs, name)))) differing.push(name)
  }
  return differing
}

async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
