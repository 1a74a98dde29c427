/**
 * Every field of the recipe, one at a time: which stages run anew, and that the shards' bytes change exactly when
 * keys do. The fields are read from the recipe's own JSON Schema, so that a new one cannot be forgotten here.
 */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  bench,
  buildOn,
  copyHub,
  type Fields,
  fixtures,
  golden,
  goldenRecipe,
  newRecords,
  ok,
  projectRoot,
  type RecipeObject,
  recordsOf,
  serve,
  shardsOf,
  temporaryFolder,
} from './cli.ts'

/** Sources of every kind in train; the index is the source's place. */
const train = [
  { task: 'smoltalk', split: 'train' },
  { task: 'mmlu', split: 'test' },
  { task: 'gsm8k', split: 'train' },
  { task: 'custom_json', path: 'identity_conversations.jsonl' },
  { task: 'simple_spelling', size: 6, words: 'words.txt' },
  { task: 'spelling_bee', size: 4, words: 'words.txt', phrasebook: 'phrasebook.json' },
  { task: 'messages', repo: 'HuggingFaceTB/smol-smoltalk', split: 'test' },
  { task: 'messages', path: 'shared.jsonl', shape: 'sharegpt' },
  { task: 'arc', subset: 'ARC-Easy', split: 'test' },
  { task: 'humaneval' },
] as const satisfies Fields[]

function everything(): RecipeObject {
  return {
    ...goldenRecipe({ name: 'fields', maxSeqLen: 64 }),
    splits: { val: [{ task: 'gsm8k', split: 'test' }], train: structuredClone(train) as unknown as Fields[] },
  }
}

type Change = (recipe: RecipeObject, folder: string) => void

interface Case {
  readonly change: Change
  /** Stages of which a new key must appear, overlap (which depends on what the rest gave) aside. */
  readonly runs: readonly string[]
}

const order = ['shuffle', 'shard', 'verify']
const tokens = ['tokenize', ...order]
const rows = ['format', ...tokens]
/** Rows that another source has formatted alike: the conversations are known, so tokenize has nothing to do. */
const sameText = ['format', ...order]
const files = ['download', 'scan', ...rows]
const nothing: readonly string[] = []

const set =
  (path: string, value: unknown): Change =>
  (recipe) => {
    const steps = path.split('.')
    const holder = steps.slice(0, -1).reduce<Fields>((at, step) => at[step] as Fields, recipe)
    holder[steps.at(-1)!] = value
  }
const inTrain =
  (place: number, fields: Fields): Change =>
  (recipe) => {
    Object.assign(recipe.splits.train[place]!, fields)
  }
const both =
  (...changes: Change[]): Change =>
  (recipe, folder) => {
    for (const change of changes) change(recipe, folder)
  }

/** Fields of every source, as the schema names them. */
const slice: Readonly<Record<string, unknown>> = { start: 1, stop: 1, step: 2, repeat: 2 }
const slices = (task: string, place: number): [string, Case][] => [
  ...Object.entries(slice).map(([field, value]): [string, Case] => [
    `${task}.${field}`,
    { change: inTrain(place, { [field]: value }), runs: order },
  ]),
  // So short that every row of the source is one of those left out.
  [
    `${task}.onUntrained`,
    { change: both(set('maxSeqLen', 1), inTrain(place, { onUntrained: 'drop' })), runs: tokens },
  ],
  [
    `${task}.tooLong`,
    { change: both(set('maxSeqLen', 8), inTrain(place, { tooLong: 'drop' })), runs: tokens },
  ],
]

/** ChatML has no tool calls, so only a source without them. */
const inChatml: Change = (recipe) => {
  recipe['template'] = 'chatml'
  recipe['tokenizer'] = { kind: 'huggingface', path: 'tokenizer.json' }
  recipe.splits = { train: [recipe.splits.train[3]!] } as RecipeObject['splits']
}

/** A model's own template, with a tokenizer that has its tokens. */
const inJinja =
  (template: Fields): Change =>
  (recipe) => {
    recipe['template'] = template
    recipe['tokenizer'] = { kind: 'huggingface', path: 'own/tokenizer.json' }
    recipe.splits = { train: [recipe.splits.train[3]!] } as RecipeObject['splits']
  }
const ofModel = { model: 'own/model', file: 'chat_template.jinja' }
const ofLists = { repo: 'words/lists', file: 'tokenizer_config.json' }
const templates: [string, Case][] = ['jinja', 'config'].flatMap((role): [string, Case][] => {
  const local = role === 'jinja' ? 'own/chat_template.jinja' : 'own/tokenizer_config.json'
  const model = { ...ofModel, file: local.slice('own/'.length) }
  const there = ['tokenizer', ...tokens]
  return [
    [`template.${role}`, { change: inJinja({ [role]: local }), runs: there }],
    [`template.${role}.model`, { change: inJinja({ [role]: model }), runs: ['download', ...there] }],
    [`template.${role}.repo`, { change: inJinja({ config: ofLists }), runs: ['download', ...there] }],
    [
      `template.${role}.file`,
      {
        change: inJinja({ [role]: { ...model, file: `other-${model.file}` } }),
        runs: ['download', ...there],
      },
    ],
    [
      `template.${role}.revision`,
      { change: inJinja({ config: { ...ofLists, revision: 'v2' } }), runs: ['download', ...there] },
    ],
  ]
})

const wordsOnHub = (place: number, more: Fields = {}) =>
  inTrain(place, { words: { repo: 'words/lists', file: 'other.txt', ...more } })
const spelling = (task: string, place: number): [string, Case][] => [
  [`${task}.size`, { change: inTrain(place, { size: 9 }), runs: rows }],
  [`${task}.split`, { change: inTrain(place, { split: 'test' }), runs: rows }],
  [`${task}.words`, { change: inTrain(place, { words: 'other.txt' }), runs: rows }],
  [`${task}.words.repo`, { change: wordsOnHub(place), runs: ['download', ...rows] }],
  [`${task}.words.file`, { change: wordsOnHub(place, { file: 'words.txt' }), runs: ['download'] }],
  [
    `${task}.words.revision`,
    { change: wordsOnHub(place, { file: 'words.txt', revision: 'v2' }), runs: ['download'] },
  ],
  ...slices(task, place),
]

/** The one case per field. The mirror has the same bytes under other names, `changed` has others. */
const cases = new Map<string, Case>([
  ['$schema', { change: set('$schema', './recipe.schema.json'), runs: nothing }],
  ['name', { change: set('name', 'renamed'), runs: nothing }],
  [
    'tokenizer.kind',
    { change: set('tokenizer', { kind: 'tiktoken', encoding: 'gpt2' }), runs: ['tokenizer', ...tokens] },
  ],
  [
    'tokenizer.encoding',
    { change: set('tokenizer', { kind: 'tiktoken', encoding: 'p50k_base' }), runs: ['tokenizer', ...tokens] },
  ],
  ['tokenizer.path', { change: set('tokenizer.path', 'other.pkl'), runs: ['tokenizer', ...tokens] }],
  [
    'tokenizer.repo',
    {
      change: set('tokenizer', { kind: 'nanochat', repo: 'words/lists', file: 'tokenizer.pkl' }),
      runs: ['download'],
    },
  ],
  [
    'tokenizer.file',
    {
      change: set('tokenizer', { kind: 'nanochat', repo: 'words/lists', file: 'other.pkl' }),
      runs: ['download', 'tokenizer', ...tokens],
    },
  ],
  [
    'tokenizer.revision',
    {
      change: set('tokenizer', {
        kind: 'nanochat',
        repo: 'words/lists',
        file: 'tokenizer.pkl',
        revision: 'v2',
      }),
      runs: ['download'],
    },
  ],
  [
    'tokenizer.addedTokens',
    {
      change: set('tokenizer', { kind: 'huggingface', path: 'tokenizer.json', addedTokens: 'recognise' }),
      runs: ['tokenizer', ...tokens],
    },
  ],
  [
    'tokenizer.model',
    {
      change: set('tokenizer', { kind: 'huggingface', model: 'own/model' }),
      runs: ['download', 'tokenizer', ...tokens],
    },
  ],
  ['template', { change: inChatml, runs: ['tokenizer', ...tokens] }],
  [
    'template model',
    {
      change: (recipe, folder) => {
        inJinja({})(recipe, folder)
        recipe['template'] = 'model'
      },
      runs: ['tokenizer', ...tokens],
    },
  ],
  [
    'template.variables',
    { change: inJinja({ variables: { thinking: false } }), runs: ['tokenizer', ...tokens] },
  ],
  ...templates,
  [
    'maskAssistantHeader',
    { change: both(inChatml, set('maskAssistantHeader', true)), runs: ['tokenizer', ...tokens] },
  ],
  ['output.names', { change: set('output', { format: 'jsonl', names: 'x_{split}' }), runs: order }],
  ['output.rowTokens', { change: set('output', { format: 'packed', rowTokens: 64 }), runs: order }],
  ['output.buffer', { change: set('output', { format: 'packed', buffer: 2 }), runs: order }],
  ['output.format', { change: set('output', { format: 'jsonl' }), runs: order }],
  ['maxSeqLen', { change: set('maxSeqLen', 30), runs: tokens }],
  ['tooLong', { change: set('tooLong', 'drop'), runs: tokens }],
  ['onUntrained', { change: set('onUntrained', 'drop'), runs: order }],
  ['shardTokens', { change: set('shardTokens', 350), runs: order }],
  ['dtype', { change: set('dtype', 'uint32'), runs: ['shard', 'verify'] }],
  ['shuffle.kind', { change: set('shuffle', { kind: 'none' }), runs: order }],
  ['shuffle.kind numpy', { change: set('shuffle', { kind: 'numpy', seed: 42 }), runs: order }],
  ['shuffle.kind seedrandom', { change: set('shuffle', { kind: 'seedrandom', seed: 42 }), runs: order }],
  ['shuffle.seed', { change: set('shuffle.seed', 43), runs: order }],
  ['order', { change: both((recipe) => delete recipe['shuffle'], set('order', 'sequence')), runs: order }],
  ['onBadRow', { change: set('onBadRow', 'quarantine'), runs: nothing }],
  ['badRowLimit', { change: both(set('onBadRow', 'quarantine'), set('badRowLimit', 7)), runs: nothing }],

  ['smoltalk.repo', { change: inTrain(0, { repo: 'mirror/talk' }), runs: nothing }],
  ['smoltalk.subset', { change: inTrain(0, { repo: 'mirror/talk', subset: 'second' }), runs: files }],
  ['smoltalk.split', { change: inTrain(0, { split: 'test' }), runs: sameText }],
  ['smoltalk.revision', { change: inTrain(0, { repo: 'mirror/talk', revision: 'v2' }), runs: nothing }],
  ['smoltalk.files', { change: inTrain(0, { files: 'data/train-00000-*' }), runs: order }],
  ['smoltalk.seed', { change: inTrain(0, { seed: 1 }), runs: order }],
  ...slices('smoltalk', 0),

  ['mmlu.repo', { change: inTrain(1, { repo: 'mirror/quiz' }), runs: nothing }],
  ['mmlu.subset', { change: inTrain(1, { subset: 'auxiliary_train', split: 'train' }), runs: files }],
  ['mmlu.split', { change: inTrain(1, { repo: 'mirror/quiz', split: 'again' }), runs: nothing }],
  ['mmlu.revision', { change: inTrain(1, { repo: 'mirror/quiz', revision: 'v2' }), runs: nothing }],
  ['mmlu.files', { change: inTrain(1, { files: 'all/*' }), runs: nothing }],
  [
    'mmlu.nested',
    { change: inTrain(1, { subset: 'auxiliary_train', split: 'train', nested: true }), runs: files },
  ],
  ['mmlu.seed', { change: inTrain(1, { seed: null }), runs: order }],
  ...slices('mmlu', 1),

  ['gsm8k.repo', { change: inTrain(2, { repo: 'mirror/sums' }), runs: nothing }],
  ['gsm8k.subset', { change: inTrain(2, { subset: 'main' }), runs: nothing }],
  ['gsm8k.split', { change: inTrain(2, { split: 'test' }), runs: order }],
  ['gsm8k.revision', { change: inTrain(2, { repo: 'mirror/sums', revision: 'v2' }), runs: nothing }],
  ['gsm8k.files', { change: inTrain(2, { files: '**/train-*.parquet' }), runs: nothing }],
  ['gsm8k.seed', { change: inTrain(2, { seed: 0 }), runs: order }],
  ...slices('gsm8k', 2),

  ['custom_json.path', { change: inTrain(3, { path: 'other.jsonl' }), runs: ['scan', ...rows] }],
  ['custom_json.optional', { change: inTrain(3, { optional: true }), runs: nothing }],
  ['custom_json.label', { change: inTrain(3, { label: 'Identity' }), runs: nothing }],
  ...slices('custom_json', 3),

  ...spelling('simple_spelling', 4),
  ...spelling('spelling_bee', 5),
  [
    'spelling_bee.phrasebook',
    { change: (recipe) => delete recipe.splits.train[5]!['phrasebook'], runs: rows },
  ],

  ['messages.repo', { change: inTrain(6, { repo: 'mirror/talk' }), runs: nothing }],
  [
    'messages.subset',
    { change: inTrain(6, { repo: 'mirror/talk', subset: 'second', split: 'train' }), runs: files },
  ],
  ['messages.split', { change: inTrain(6, { split: 'train' }), runs: sameText }],
  ['messages.revision', { change: inTrain(6, { repo: 'mirror/talk', revision: 'v2' }), runs: nothing }],
  ['messages.files', { change: inTrain(6, { split: 'train', files: 'data/train-00001-*' }), runs: sameText }],
  ['messages.seed', { change: inTrain(6, { seed: null }), runs: order }],
  ['messages.path', { change: inTrain(7, { path: 'other-shared.jsonl' }), runs: ['scan', ...rows] }],
  [
    'messages.shape',
    { change: inTrain(7, { path: 'alpaca.jsonl', shape: 'alpaca' }), runs: ['scan', ...rows] },
  ],
  ['messages.columns', { change: inTrain(7, { columns: { messages: 'backwards' } }), runs: rows }],
  [
    'messages.roles',
    {
      change: inTrain(7, { roles: { gpt: 'user', human: 'assistant' }, columns: { messages: 'swapped' } }),
      runs: rows,
    },
  ],
  ['messages.label', { change: inTrain(7, { label: 'Shared' }), runs: nothing }],
  ...slices('messages', 7),

  ['arc.repo', { change: inTrain(8, { repo: 'mirror/science' }), runs: nothing }],
  ['arc.subset', { change: inTrain(8, { subset: 'ARC-Challenge' }), runs: files }],
  ['arc.split', { change: inTrain(8, { repo: 'mirror/science', split: 'again' }), runs: nothing }],
  ['arc.revision', { change: inTrain(8, { repo: 'mirror/science', revision: 'v2' }), runs: nothing }],
  ['arc.files', { change: inTrain(8, { files: 'ARC-Easy/*' }), runs: nothing }],
  ['arc.seed', { change: inTrain(8, { seed: null }), runs: order }],
  ...slices('arc', 8),

  ['humaneval.repo', { change: inTrain(9, { repo: 'mirror/code' }), runs: nothing }],
  ['humaneval.subset', { change: inTrain(9, { repo: 'mirror/code', subset: 'second' }), runs: files }],
  ['humaneval.split', { change: inTrain(9, { repo: 'mirror/code', split: 'again' }), runs: nothing }],
  ['humaneval.revision', { change: inTrain(9, { repo: 'mirror/code', revision: 'v2' }), runs: nothing }],
  ['humaneval.files', { change: inTrain(9, { files: 'openai_humaneval/*' }), runs: nothing }],
  ['humaneval.seed', { change: inTrain(9, { seed: null }), runs: order }],
  ...slices('humaneval', 9),
])

/** The field that has one value only: nothing to flip. */
const fixed = ['kind']

function writeMore(folder: string): void {
  const say = (from: string, value: string) => ({ from, value })
  const talk = (i: number) => [say('human', `Say ${i}.`), say('gpt', `I say ${i}.`)]
  const swapped = (i: number) => [say('gpt', `Say ${i}.`), say('human', `I say ${i}.`)]
  const line = (i: number) =>
    JSON.stringify({ conversations: talk(i), backwards: talk(10 - i), swapped: swapped(i + 20) })
  writeFileSync(join(folder, 'shared.jsonl'), `${[1, 2, 3].map(line).join('\n')}\n`)
  writeFileSync(join(folder, 'other-shared.jsonl'), `${[4, 5].map(line).join('\n')}\n`)
  writeFileSync(
    join(folder, 'alpaca.jsonl'),
    `${JSON.stringify({ instruction: 'Add.', input: '1 and 1', output: '2' })}\n`,
  )
  writeFileSync(
    join(folder, 'other.jsonl'),
    '[{"role":"user","content":"hello"},{"role":"assistant","content":"good day"}]\n',
  )
  writeFileSync(join(folder, 'other.txt'), 'pear\nplum\nquince\n')
  cpSync(join(fixtures, 'tokenizers', 'rustbpe-2048.protocol4.pkl'), join(folder, 'other.pkl'))
  const { tokenizers } = JSON.parse(
    readFileSync(join(fixtures, 'tokenizers', 'huggingface.json'), 'utf8'),
  ) as {
    tokenizers: { name: string; tokenizer: unknown }[]
  }
  const { tokenizer } = tokenizers.find(({ name }) => name === 'qwen')!
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  writeModel(join(folder, 'own'))
}

/** A tokenizer with its template, as a model's folder has them. */
function writeModel(folder: string): void {
  mkdirSync(folder, { recursive: true })
  const template = readFileSync(join(fixtures, 'jinja', 'chatml.jinja'), 'utf8')
  const config = { eos_token: '</s>', chat_template: template }
  cpSync(join(fixtures, 'jinja', 'tokenizer.json'), join(folder, 'tokenizer.json'))
  writeFileSync(join(folder, 'chat_template.jinja'), template)
  writeFileSync(join(folder, 'other-chat_template.jinja'), `{# another #}${template}`)
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'other-tokenizer_config.json'), JSON.stringify({ ...config, bos_token: '<s>' }))
}

/** Tables that the golden hub has not: three rows each, with and without a second set of rows. */
function writeProblems(datasets: string): void {
  const write = (path: string, rows: readonly object[]) => {
    mkdirSync(dirname(join(datasets, path)), { recursive: true })
    writeFileSync(join(datasets, path), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  }
  const science = (i: number) => ({
    question: `What is ${i}?`,
    choices: { text: ['odd', 'even'], label: ['1', '2'] },
    answerKey: String(2 - (i % 2)),
  })
  const code = (i: number) => ({ prompt: `def f${i}(x):\n`, canonical_solution: `    return x + ${i}\n` })
  write('allenai/ai2_arc/ARC-Easy/test.jsonl', [1, 2, 3].map(science))
  write('allenai/ai2_arc/ARC-Challenge/test.jsonl', [4, 5, 6].map(science))
  write('openai/openai_humaneval/openai_humaneval/test.jsonl', [1, 2, 3].map(code))
  write('openai/openai_humaneval/second/test.jsonl', [4, 5, 6].map(code))
  for (const [repo, configs] of [
    ['allenai/ai2_arc', ['ARC-Easy', 'ARC-Challenge']],
    ['openai/openai_humaneval', ['openai_humaneval', 'second']],
  ] as const) {
    writeFileSync(
      join(datasets, repo, 'README.md'),
      card(
        configs
          .map((name) => config(name, { test: `${name}/test.jsonl`, again: `${name}/test.jsonl` }))
          .join(''),
      ),
    )
  }
}

const card = (configs: string) => `---\nconfigs:\n${configs}---\n`
const config = (name: string, splits: Record<string, string>) =>
  `- config_name: ${name}\n  data_files:\n${Object.entries(splits)
    .map(([split, path]) => `  - split: ${split}\n    path: ${path}\n`)
    .join('')}`

/** The golden hub with mirrors of its datasets under other names and at a second revision. */
function mirrored(): string {
  const hub = copyHub()
  const datasets = join(hub, 'datasets')
  writeProblems(datasets)
  for (const [from, to] of [
    ['HuggingFaceTB/smol-smoltalk', 'mirror/talk'],
    ['cais/mmlu', 'mirror/quiz'],
    ['openai/gsm8k', 'mirror/sums'],
    ['allenai/ai2_arc', 'mirror/science'],
    ['openai/openai_humaneval', 'mirror/code'],
  ] as const) {
    for (const name of [to, `${to}@v2`])
      cpSync(join(datasets, from), join(datasets, name), { recursive: true })
  }
  const talk = join(datasets, 'mirror', 'talk')
  cpSync(
    join(
      projectRoot,
      'demo',
      'hub',
      'datasets',
      'HuggingFaceTB',
      'smol-smoltalk',
      'data',
      'test-00000-of-00001.parquet',
    ),
    join(talk, 'second', 'train.parquet'),
  )
  writeFileSync(
    join(talk, 'README.md'),
    card(
      config('default', { train: 'data/train-*', test: 'data/test-*' }) +
        config('second', { train: 'second/*' }),
    ),
  )
  writeFileSync(
    join(datasets, 'mirror', 'quiz', 'README.md'),
    card(config('all', { test: 'all/test-*', again: 'all/test-*' })),
  )
  const lists = join(datasets, 'words', 'lists')
  for (const folder of [lists, `${lists}@v2`]) {
    for (const file of ['words.txt', 'tokenizer.pkl']) cpSync(join(golden, file), join(folder, file))
    writeFileSync(join(folder, 'other.txt'), 'pear\nplum\nquince\n')
    cpSync(join(fixtures, 'tokenizers', 'rustbpe-2048.protocol4.pkl'), join(folder, 'other.pkl'))
    writeModel(folder)
  }
  writeModel(join(hub, 'models', 'own', 'model'))
  return hub
}

let hub: HubServer
let at: Bench
let shards: Record<string, string>

beforeAll(async () => {
  hub = await serve(mirrored())
  const folder = temporaryFolder()
  writeMore(folder)
  at = bench(everything(), hub, folder, 1)
  await buildOn(at)
  shards = shardsOf(at.out)
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly const?: string
}

/** The names of all fields: `maxSeqLen`, `shuffle.seed`, `gsm8k.repeat`, `spelling_bee.words.file`. */
function fieldsOf(schema: Schema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    if (path === 'splits')
      return (field.items?.oneOf ?? []).flatMap((source) =>
        fieldsOf(source, source.properties?.['task']?.const ?? '?'),
      )
    if (name === 'splits') return fieldsOf(field, 'splits')
    const full = path === '' ? name : `${path}.${name}`
    const inner = (field.oneOf ?? field.anyOf ?? [field]).flatMap((branch) => fieldsOf(branch, full))
    return inner.length === 0 || field.anyOf?.some(({ properties }) => properties === undefined)
      ? [full, ...inner]
      : inner
  })
}

test('every field of the schema is flipped below', async () => {
  const { oneOf = [] } = JSON.parse((await ok(['schema'])).stdout) as Schema
  const schema = oneOf.find(({ properties }) => properties?.['kind']?.const === 'sft')!
  const fields = [...new Set(fieldsOf(schema, ''))].filter((field) => !field.endsWith('.task'))
  expect(fields.length).toBeGreaterThan(60)
  expect(fields.filter((field) => !cases.has(field) && !fixed.includes(field))).toEqual([])
  expect([...cases.keys()].filter((name) => !fields.includes(name.split(' ')[0]!))).toEqual([])
})

describe('one field at a time', () => {
  for (const [field, { change, runs }] of cases) {
    test(`${field}: ${runs.length === 0 ? 'nothing runs' : runs.join(', ')}`, async () => {
      const folder = join(temporaryFolder(), 'b')
      cpSync(at.folder, folder, { recursive: true })
      const recipe = everything()
      change(recipe, folder)
      const moved = bench(recipe, hub, folder, 1)
      expect(readFileSync(moved.recipe, 'utf8')).not.toBe(readFileSync(at.recipe, 'utf8'))
      const before = recordsOf(at.store)
      await buildOn(moved)
      const ran = new Set(newRecords(before, recordsOf(moved.store)).map(({ stage }) => stage))
      ran.delete('overlap')
      expect([...ran].sort()).toEqual([...runs].sort())
      if (runs.some((stage) => order.includes(stage))) expect(shardsOf(moved.out)).not.toEqual(shards)
      else expect(shardsOf(moved.out)).toEqual(shards)
      rmSync(folder, { recursive: true })
    })
  }

  test('the template’s version and a source’s version are part of the keys', () => {
    // Not fields of the recipe, and yet they change bytes: each stands in the params of the stages it matters to.
    const records = [...recordsOf(at.store).values()]
    for (const { stage, params } of records) {
      if (stage === 'tokenize')
        expect(params).toMatchObject({ template: { name: 'nanochat', version: expect.any(Number) } })
      if (stage === 'format')
        expect(params).toMatchObject({ source: { task: expect.any(String), version: expect.any(Number) } })
    }
    expect(records.filter(({ stage }) => stage === 'format').length).toBeGreaterThanOrEqual(train.length)
  })
})
