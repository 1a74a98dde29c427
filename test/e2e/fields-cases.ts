/** What test/e2e/fields.test.ts flips: a recipe with sources of every kind, and for each field one change of it. */
import { type Fields, goldenRecipe, type RecipeObject } from './cli.ts'

/** Sources of every kind in train; the index is the source's place. */
export const train = [
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

export function everything(): RecipeObject {
  return {
    ...goldenRecipe({ name: 'fields', maxSeqLen: 64 }),
    splits: { val: [{ task: 'gsm8k', split: 'test' }], train: structuredClone(train) as unknown as Fields[] },
  }
}

type Change = (recipe: RecipeObject) => void

export interface Case {
  readonly change: Change
  /** Stages of which a new key must appear, overlap (which depends on what the rest gave) aside. */
  readonly runs: readonly string[]
}

/** The stages of the order and all behind it. */
export const order = ['shuffle', 'shard', 'verify']
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
  (recipe) => {
    for (const change of changes) change(recipe)
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
export const cases = new Map<string, Case>([
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
      change: (recipe) => {
        inJinja({})(recipe)
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
export const fixed = ['kind']
