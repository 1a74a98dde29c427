/**
 * Fixed inputs against fixed outputs, for every stage: the golden recipe is built and each stage record held against
 * stages.json. When this fails and the bytes were meant to change, raise the stage's version in pipeline/stage.ts (or
 * the source's or template's) and write stages.json anew: UPDATE_GOLDEN=1 npx vitest run test/golden
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { startHubServer } from '../../hub/server/index.ts'
import { canonicalJson } from '../../pipeline/keys.ts'
import type { StageCall } from '../../pipeline/stage.ts'
import { stages } from '../../pipeline/stage.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import type { Json, StageRecord } from '../../store/types.ts'

const golden = join(import.meta.dirname, '../fixtures/golden-sft')
const file = join(import.meta.dirname, 'stages.json')

const recipe = `
kind: sft
name: golden
tokenizer: { kind: nanochat, path: tokenizer.pkl }
template: nanochat
maxSeqLen: 64
shardTokens: 400
onBadRow: quarantine
splits:
  val:
    - { task: smoltalk, split: test }
    - { task: mmlu, subset: all, split: test, stop: 4 }
    - { task: gsm8k, subset: main, split: test, stop: 2 }
  train:
    - { task: smoltalk, split: train }
    - { task: mmlu, subset: auxiliary_train, split: train }
    - { task: gsm8k, subset: main, split: train, repeat: 2 }
    - { task: custom_json, path: identity_conversations.jsonl, repeat: 2 }
    - { task: simple_spelling, size: 12, words: words.txt }
    - { task: spelling_bee, size: 8, words: words.txt, phrasebook: phrasebook.json }
    - { task: messages, repo: HuggingFaceTB/smol-smoltalk, split: test, label: again }
`

const evalRecipe = `
kind: chat-eval
name: golden-eval
tokenizer: { kind: nanochat, path: tokenizer.pkl }
maxSeqLen: 100
tasks:
  - { task: mmlu, subset: all, split: test }
`

/** Of the first recipe's output folder. */
const mixRecipe = `
kind: mix
name: golden-mix
shardTokens: 300
splits:
  mixed:
    - { from: out-0, split: train, step: 3 }
    - { from: out-0, split: val, repeat: 2 }
`

/** A split in another output format; `text` is for tokens that are bytes. */
const formatRecipe = (format: string) => `
kind: sft
name: golden-${format}
${
  format === 'text'
    ? 'tokenizer: { kind: bytes }\ntemplate: user_assistant\nmaxSeqLen: 4096'
    : 'tokenizer: { kind: nanochat, path: tokenizer.pkl }\ntemplate: nanochat\nmaxSeqLen: 64'
}
shardTokens: 100000
output: { format: ${format} }
splits:
  ${format}:
    - { task: simple_spelling, size: 12, words: words.txt }
`

const otherFormats = outputFormats.slice(1).map(({ name }) => name)
/** Of their builds only what the format decides about. */
const ofFormats = new Set(
  otherFormats.flatMap((name) => [
    `shuffle: ${name}: order`,
    `shard: ${name} shard 1/1`,
    `verify: ${name} shard 1/1`,
  ]),
)

type Golden = Record<string, { version: number; params: Json; outputs: Record<string, string>; stats: Json }>

const found: Golden = {}
const dir = mkdtempSync(join(tmpdir(), 'shardmill-golden-'))

beforeAll(async () => {
  const server = await startHubServer(join(golden, 'hub'), {})
  const keep = (call: StageCall, { version, params, outputs, stats }: StageRecord) => {
    const digests = Object.fromEntries(
      Object.entries(outputs).map(([name, { digest, bytes }]) => [name, `${digest} ${bytes}`]),
    )
    found[`${call.stage}: ${call.title}`] = { version, params, outputs: digests, stats: stats as Json }
  }
  const keepOfFormat = (call: StageCall, record: StageRecord) => {
    if (ofFormats.has(`${call.stage}: ${call.title}`)) keep(call, record)
  }
  try {
    const recipes = [recipe, evalRecipe, ...otherFormats.map(formatRecipe), mixRecipe]
    for (const [i, text] of recipes.entries()) {
      const kept = i < 2 || text === mixRecipe ? keep : keepOfFormat
      await build({
        recipe: { text, file: join(text === mixRecipe ? dir : golden, 'recipe.yaml'), settings: [] },
        out: join(dir, `out-${i}`),
        store: join(dir, 'store'),
        threads: 2,
        env: { HF_ENDPOINT: server.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
        signal: new AbortController().signal,
        observer: { ...silentObserver, finished: kept, cached: kept },
      })
    }
  } finally {
    await server.close()
  }
  if (process.env['UPDATE_GOLDEN'] === '1') {
    const sorted = Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
    writeFileSync(file, `${JSON.stringify(sorted, null, 1)}\n`)
  }
})

afterAll(() => rmSync(dir, { recursive: true, force: true }))

const expected = JSON.parse(readFileSync(file, 'utf8')) as Golden

// What an endpoint answers is no fixed output.
describe.each(Object.keys(stages).filter((stage) => stage !== 'score'))('%s', (stage) => {
  const names = Object.keys(expected).filter((name) => name.startsWith(`${stage}: `))

  test('is in the golden file', () => {
    expect(names.length).toBeGreaterThan(0)
  })

  test('answers the same questions with the same bytes', () => {
    for (const name of names) {
      expect(found[name], `${name} is gone`).toBeDefined()
      expect(
        canonicalJson(found[name] as unknown as Json),
        `${name}: raise a version, see the head of this file`,
      ).toBe(canonicalJson(expected[name] as unknown as Json))
    }
  })
})

test('every output format is in the golden file', () => {
  expect(Object.keys(expected)).toEqual(expect.arrayContaining([...ofFormats]))
})

test('no stage call is missing in the golden file', () => {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
})
