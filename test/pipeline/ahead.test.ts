/** What a build begins with before its tokenizer is read. */
import { expect, test } from 'vitest'
import { buildDataset } from '../../pipeline/build.ts'
import type { LockedSource, SftLock } from '../../pipeline/lock.ts'
import { keyOf, LocalRunner, type Runner, type StageCall, type StageResult } from '../../pipeline/stage.ts'
import type { Digest, Json } from '../../store/types.ts'

const digestOf = (letter: string) => letter.repeat(64) as Digest

/** Runs nothing; the tokenizer is read only once all that was begun ahead is done. */
class Waiting extends LocalRunner {
  readonly begun: StageCall[] = []
  readonly asked: StageCall[] = []
  private work: Promise<unknown> | undefined

  override ahead(work: (run: Runner) => Promise<unknown>): void {
    const begin = Object.create(this) as Waiting
    begin.stage = async (call) => {
      this.begun.push(call)
      return this.answer(call)
    }
    this.work = work(begin)
  }

  async stage(call: StageCall): Promise<StageResult> {
    this.asked.push(call)
    if (call.stage === 'tokenizer') await this.work
    return this.answer(call)
  }

  async list(): Promise<Digest> {
    return digestOf('1')
  }

  note(): void {}

  private answer(call: StageCall): StageResult {
    const file = (call.params as { sha256?: Digest }).sha256 ?? digestOf('0')
    const names = ['partitions', 'vocabulary', 'conversations', 'tokens', 'index', 'mask', 'fingerprints']
    const outputs = Object.fromEntries(names.map((name) => [name, { digest: digestOf('2'), bytes: 1 }]))
    const stats: Record<string, Json> = {
      ...{ partitions: 1, vocabularySize: 9, bosId: 0, rejected: 0, overlap: 0, sources: [{}, {}, {}] },
      ...{ conversations: 1, tokens: 1, trainedTokens: 1, truncated: 0 },
    }
    return { key: keyOf(call), outputs: { ...outputs, file: { digest: file, bytes: 1 } }, stats }
  }
}

const rest = { task: 'x', format: {}, seed: null, start: 0, stop: null, step: 1, repeat: 1, aux: {} }

function ofFiles(label: string, letters: string): LockedSource {
  const files = [...letters].map((letter) => ({
    path: `${letter}.parquet`,
    bytes: 1,
    sha256: digestOf(letter),
    ...(letter === 'c'
      ? { hub: { repo: 'org/data', revision: 'main', commit: digestOf('f').slice(0, 40) } }
      : {}),
  }))
  return { ...rest, label, origin: { kind: 'local', path: label }, reader: 'parquet', files }
}

const generated: LockedSource = {
  ...rest,
  label: 'Spelling',
  origin: { kind: 'generated', items: 3 },
  reader: 'none',
  files: [],
}

const lock = (splits: SftLock['splits']): SftLock => ({
  ...{ schema: 1, kind: 'sft', name: 'x', maxSeqLen: 8, shardTokens: 8, dtype: 'uint16' },
  tokenizer: { kind: 'tiktoken', name: 'gpt2', file: { path: 'gpt2', bytes: 1, sha256: digestOf('9') } },
  template: { name: 'nanochat', version: 1, specials: ['<s>'] },
  onBadRow: { policy: 'fail', limit: 0 },
  shuffle: { kind: 'none', seed: 0 },
  splits,
})

test('the files of the first split are fetched and scanned beside the tokenizer, in stages that are asked for later', async () => {
  const run = new Waiting()
  await buildDataset(lock({ val: [ofFiles('A', 'abc'), generated], train: [ofFiles('B', 'd')] }), run)
  const scans = run.begun.filter(({ stage }) => stage === 'scan')
  expect(scans.map(({ inputs }) => inputs['file'])).toEqual(['a', 'b', 'c'].map(digestOf))
  expect(run.begun.length).toBe(4) // and one download
  const asked = new Map(run.asked.map((call) => [keyOf(call), call.title]))
  expect(run.begun.map((call) => asked.get(keyOf(call)))).toEqual(run.begun.map(({ title }) => title))
})

test('a split without sources is not the first', async () => {
  const run = new Waiting()
  await buildDataset(lock({ val: [], train: [ofFiles('B', 'd')] }), run)
  expect(run.begun.map(({ inputs }) => inputs['file'])).toEqual([digestOf('d')])
})

test('of many files only the first few', async () => {
  const run = new Waiting()
  await buildDataset(lock({ val: [], train: [ofFiles('B', 'abdefabdefab')] }), run)
  expect(run.begun.length).toBe(8)
})
