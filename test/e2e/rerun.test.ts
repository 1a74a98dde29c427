/** What a second build does: nothing, or exactly what a change calls for; and `plan` says so beforehand. */

import { cpSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  type BuildReport,
  bench,
  blobPath,
  buildOn,
  copyHub,
  countByStage,
  digestsOf,
  filesUnder,
  fixtures,
  goldenRecipe,
  json,
  newRecords,
  ok,
  outputOf,
  recordsOf,
  type StoredRecord,
  serve,
  shardsOf,
  temporaryFolder,
  writeRecipe,
} from './cli.ts'
import { buildHere } from './in-process.ts'

let hub: HubServer
let hubFolder: string
let at: Bench
let first: BuildReport
let base: Map<string, StoredRecord>

beforeAll(async () => {
  hubFolder = copyHub()
  hub = await serve(hubFolder)
  at = bench(goldenRecipe(), hub, temporaryFolder(), 1)
  first = await buildOn(at)
  base = recordsOf(at.store)
})

interface PlanReport {
  readonly stages: { readonly run: number; readonly cached: number }
  readonly calls: readonly {
    readonly stage: string
    readonly title: string
    readonly state: 'cached' | 'run'
    readonly key?: string
    readonly why?: string
  }[]
  readonly unknown: readonly { readonly stage: string; readonly why: string }[]
}

/** A copy of the finished bench, so that each change starts from the same store. */
function copyOfBench(server: HubServer = hub): Bench {
  const folder = join(temporaryFolder(), 'moved')
  cpSync(at.folder, folder, { recursive: true })
  const moved = (path: string) => path.replace(at.folder, folder)
  return {
    folder,
    recipe: moved(at.recipe),
    store: moved(at.store),
    out: moved(at.out),
    env: { HF_ENDPOINT: server.url },
    args: at.args.map(moved),
  }
}

/** Plans, then builds, and holds the one against the other. Returns what ran. */
async function planAndBuild(
  on: Bench,
  more: readonly string[] = [],
): Promise<{ report: BuildReport; plan: PlanReport; ran: StoredRecord[] }> {
  const before = recordsOf(on.store)
  const untouched = digestsOf(join(on.store, 'v1'))
  const [, ...paths] = on.args
  const plan = await json<PlanReport>(['plan', paths[0]!, '--store', on.store, ...more], { env: on.env })
  expect(digestsOf(join(on.store, 'v1')), 'plan changes nothing in the store').toEqual(untouched)
  const report = await buildOn(on, more)
  const ran = newRecords(before, recordsOf(on.store))
  expect(report.stages.run).toBe(ran.length)

  const ranKeys = new Set(ran.map(({ key }) => key))
  const saidToRun = plan.calls.filter(({ state }) => state === 'run')
  const open = new Set(
    [...saidToRun.filter(({ key }) => key === undefined), ...plan.unknown].map(({ stage }) => stage),
  )
  for (const call of [...saidToRun, ...plan.unknown])
    expect(call.why, `${call.stage}: a reason`).toMatch(/\w/)
  for (const { state, key, stage } of plan.calls) {
    if (key !== undefined)
      expect(ranKeys.has(key), `${stage} ${key} was planned as '${state}'`).toBe(state === 'run')
  }
  const foretold = new Set(saidToRun.flatMap(({ key }) => key ?? []))
  for (const { key, stage } of ran)
    if (!foretold.has(key)) expect([...open], `${stage} ran unforeseen`).toContain(stage)
  expect(plan.stages).toEqual({ run: saidToRun.length, cached: plan.calls.length - saidToRun.length })
  if (ran.length === 0) expect([saidToRun, plan.unknown]).toEqual([[], []])
  return { report, plan, ran }
}

describe('nothing has changed', () => {
  test('no stage runs and no file is touched', async () => {
    const facts = () =>
      filesUnder(at.out).map((path) => [
        path,
        statSync(join(at.out, path)).ino,
        statSync(join(at.out, path)).ctimeMs,
      ])
    const before = facts()
    const { report, ran } = await planAndBuild(at)
    expect(ran).toEqual([])
    expect(report).toMatchObject({ published: 'unchanged', stages: { run: 0, cached: first.stages.run } })
    expect({ ...report, seconds: 0, published: '', stages: '' }).toEqual({
      ...first,
      seconds: 0,
      published: '',
      stages: '',
    })
    expect(facts()).toEqual(before)
  })

  test('for people: everything was cached, the files are already there', async () => {
    const { stdout } = await ok(at.args, { env: at.env })
    expect(stdout).toContain('everything was cached')
    expect(stdout).toContain('unchanged')
  })

  test('the recipe written another way', async () => {
    const text = readFileSync(at.recipe, 'utf8')
    const yaml = `# the same\n${text.replaceAll('\n', '\r\n')}`
    writeFileSync(join(at.folder, 'same.yaml'), yaml)
    expect(
      await buildOn({
        ...at,
        args: at.args.map((arg) => (arg === at.recipe ? join(at.folder, 'same.yaml') : arg)),
      }),
    ).toMatchObject({
      published: 'unchanged',
      stages: { run: 0 },
    })
  })

  test('store, output and recipe moved to another place, and the store named by SHARDMILL_STORE', async () => {
    const moved = copyOfBench()
    renameSync(moved.store, join(moved.folder, 'the store'))
    renameSync(moved.out, join(moved.folder, 'the output'))
    const report = await json<BuildReport>(
      ['build', moved.recipe, '--out', join(moved.folder, 'the output')],
      {
        env: { ...moved.env, SHARDMILL_STORE: join(moved.folder, 'the store') },
      },
    )
    expect(report).toMatchObject({ published: 'unchanged', stages: { run: 0 } })
  })

  test('another hub on another port, other repository names and revisions, the same bytes', async () => {
    const mirror = copyHub()
    const datasets = join(mirror, 'datasets')
    cpSync(join(datasets, 'openai', 'gsm8k'), join(datasets, 'mirror', 'sums'), { recursive: true })
    cpSync(join(datasets, 'openai', 'gsm8k'), join(datasets, 'mirror', 'sums@v2'), { recursive: true })
    rmSync(join(datasets, 'openai'), { recursive: true })
    const moved = copyOfBench(await serve(mirror))
    const elsewhere = { repo: 'mirror/sums', revision: 'v2' }
    const recipe = goldenRecipe()
    recipe.splits.val[2] = { ...recipe.splits.val[2], ...elsewhere }
    recipe.splits.train[2] = { ...recipe.splits.train[2], ...elsewhere }
    writeRecipe(moved.folder, recipe)
    const { ran } = await planAndBuild(moved)
    expect(ran).toEqual([])
    expect(shardsOf(moved.out)).toEqual(shardsOf(at.out))
  })

  test('the hub is not asked for a file that is in the store', async () => {
    const requests: string[] = []
    const other = await serve(hubFolder, (line) => requests.push(line))
    expect(await buildOn({ ...at, env: { HF_ENDPOINT: other.url } })).toMatchObject({ stages: { run: 0 } })
    expect(requests.length).toBeGreaterThan(0)
    expect(requests.filter((line) => line.includes('.parquet') && !line.includes('/api/'))).toEqual([])
  })
})

describe('a change runs what it must and nothing more', () => {
  const afterTokens = ['shuffle', 'shard', 'verify']
  const cases: readonly {
    readonly name: string
    readonly set: readonly string[]
    readonly stages: readonly string[]
    readonly maybe?: readonly string[]
  }[] = [
    { name: 'stop', set: ['splits.train[1].stop=3'], stages: afterTokens, maybe: ['overlap'] },
    { name: 'start', set: ['splits.val[0].start=1'], stages: afterTokens, maybe: ['overlap'] },
    { name: 'repeat', set: ['splits.train[2].repeat=3'], stages: afterTokens },
    { name: 'the seed of the shuffle', set: ['shuffle.seed=43'], stages: afterTokens },
    { name: 'the kind of shuffle', set: ['shuffle={kind: numpy, seed: 42}'], stages: afterTokens },
    { name: 'the seed of a source', set: ['splits.train[0].seed=7'], stages: afterTokens },
    { name: 'the tokens in a shard', set: ['shardTokens=401'], stages: afterTokens },
    { name: 'dtype', set: ['dtype=uint32'], stages: ['shard', 'verify'] },
    { name: 'maxSeqLen', set: ['maxSeqLen=100'], stages: ['tokenize', ...afterTokens], maybe: ['overlap'] },
    {
      name: 'the size of a generated source',
      set: ['splits.train[4].size=13'],
      stages: ['format', 'tokenize', ...afterTokens],
      maybe: ['overlap'],
    },
  ]
  for (const { name, set, stages, maybe = [] } of cases) {
    test(name, async () => {
      const moved = copyOfBench()
      const { report, ran, plan } = await planAndBuild(
        moved,
        set.flatMap((setting) => ['--set', setting]),
      )
      const names = new Set(ran.map(({ stage }) => stage))
      for (const stage of maybe) names.delete(stage)
      expect([...names].sort()).toEqual([...stages].sort())
      expect(report.published).toBe('written')
      expect(shardsOf(moved.out)).not.toEqual(shardsOf(at.out))
      // And the reason names the field.
      const field = set[0]!.split('=')[0]!.split('.').at(-1)!
      const firstToRun = plan.calls.find(({ state }) => state === 'run')
      if (field !== 'size') expect(`${firstToRun?.why}`).toContain(field)
      // Back again: all of it is still there.
      expect(await buildHere(moved)).toMatchObject({ run: 0, published: 'written' })
      expect(outputOf(moved.out)).toEqual(outputOf(at.out))
    })
  }

  test('only the split that a change is in', async () => {
    const { ran } = await planAndBuild(copyOfBench(), [
      '--set',
      'splits.train[2].repeat=1',
      '--set',
      'shardTokens=400',
    ])
    expect(countByStage(ran)['shuffle']).toBe(1)
    expect(
      ran.filter(({ stage }) => stage === 'shuffle').map(({ inputs }) => Object.keys(inputs).length),
    ).toEqual([6])
  })

  test('another tokenizer: from the tokenizer on', async () => {
    const moved = copyOfBench()
    cpSync(join(fixtures, 'tokenizers', 'rustbpe-2048.protocol4.pkl'), join(moved.folder, 'tokenizer.pkl'))
    const { ran } = await planAndBuild(moved)
    expect(Object.keys(countByStage(ran)).sort()).toEqual([
      'overlap',
      'shard',
      'shuffle',
      'tokenize',
      'tokenizer',
      'verify',
    ])
    expect(countByStage(ran)['tokenize']).toBe(countByStage(base.values())['tokenize'])
  })

  test('one changed file of the hub: its own partitions and what follows', async () => {
    const changed = copyHub()
    const rows = {
      question: ['What is 1 + 1?', 'What is 2 + 3?'],
      answer: ['It is <<1+1=2>>2.\n#### 2', '#### 5'],
    }
    const columnData = Object.entries(rows).map(([name, data]) => ({ name, data, type: 'STRING' as const }))
    const path = join(changed, 'datasets', 'openai', 'gsm8k', 'main', 'train-00000-of-00001.parquet')
    writeFileSync(path, new Uint8Array(parquetWriteBuffer({ columnData })))
    const { ran } = await planAndBuild(copyOfBench(await serve(changed)))
    const { shard = 0, verify = 0, ...counts } = countByStage(ran)
    expect(counts).toEqual({ download: 1, scan: 1, format: 1, tokenize: 1, shuffle: 1, overlap: 1 })
    expect(shard).toBe(verify)
  })

  test('a file that takes the content of another one is known already', async () => {
    const changed = copyHub()
    const data = join(changed, 'datasets', 'HuggingFaceTB', 'smol-smoltalk', 'data')
    cpSync(join(data, 'test-00000-of-00001.parquet'), join(data, 'train-00001-of-00002.parquet'))
    const { ran, report } = await planAndBuild(copyOfBench(await serve(changed)))
    expect(Object.keys(countByStage(ran)).sort()).toEqual(['overlap', 'shard', 'shuffle', 'verify'])
    // Validation rows in train: said, not hidden.
    expect(report.overlap).toBe(3)
  })

  test('one changed local file: its own partition and what follows', async () => {
    const moved = copyOfBench()
    const path = join(moved.folder, 'identity_conversations.jsonl')
    writeFileSync(
      path,
      `${readFileSync(path, 'utf8').trimEnd()}\n[{"role":"user","content":"one more"},{"role":"assistant","content":"yes"}]\n`,
    )
    const { ran } = await planAndBuild(moved)
    const counts = countByStage(ran)
    expect({ ...counts, shard: 0, verify: 0 }).toEqual({
      scan: 1,
      format: 1,
      tokenize: 1,
      shuffle: 1,
      shard: 0,
      verify: 0,
      overlap: 1,
    })
  })

  test('a blob that is gone is made anew, and what was made from it stays', async () => {
    const moved = copyOfBench()
    const format = [...base.values()].find(({ stage }) => stage === 'format')!
    rmSync(blobPath(moved.store, format.outputs['conversations']!.digest))
    const before = recordsOf(moved.store)
    const report = await buildOn(moved)
    expect(report).toMatchObject({ stages: { run: 1 }, published: 'unchanged' })
    const after = recordsOf(moved.store)
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort())
    expect(
      [...after.values()]
        .filter(
          ({ key, circumstances }) => circumstances.startedAt !== before.get(key)?.circumstances.startedAt,
        )
        .map(({ key }) => key),
    ).toEqual([format.key])
  })
})
