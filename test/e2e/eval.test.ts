/** `shardmill eval` against a server with fixed logits: every answer as computed from them, and every way to fail. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createDecoder } from '../../bpe/index.ts'
import { templateOf } from '../../stages/templates/index.ts'
import { readTokenizer } from '../../stages/tokenizers/index.ts'
import { type ProblemFile, vectors } from '../stages/chat-eval-vectors.ts'
import { chatEvalRecipe, hubOf } from './chat-eval-hub.ts'
import { expectClearError, filesUnder, golden, json, ok, run, serve, temporaryFolder } from './cli.ts'
import {
  type CompletionsServer,
  completionsServer,
  type Fault,
  logitsAfter,
  modelName,
} from './completions-server.ts'

interface Report {
  readonly tasks: readonly {
    readonly label: string
    readonly examples: number
    readonly correct: number
    readonly accuracy: number
    readonly interval: readonly [number, number]
    readonly centered: number
    readonly unanswered: number
    readonly partial: number
  }[]
  readonly chatCore: { readonly mean: number; readonly interval: readonly [number, number] }
  readonly run: number
  readonly cached: number
}

interface Detail {
  readonly task: string
  readonly example_idx: number
  readonly gold: number
  readonly answer: number | null
  readonly correct: boolean
  readonly logprobs: readonly (number | null)[]
}

const tokenizer = readTokenizer(
  'nanochat',
  readFileSync(join(golden, 'tokenizer.pkl')),
  'tokenizer.pkl',
  templateOf('nanochat').specials,
)
const decoder = createDecoder(tokenizer)
const names = new Map([...tokenizer.specials].map(([name, id]) => [id, name]))
const textOf = (id: number) =>
  names.get(id) ?? Buffer.from(decoder.decode(Uint32Array.of(id))).toString('utf8')
const secret = 'sk-secret-1234567890'

let server: CompletionsServer
let out: string
let built: string

beforeAll(async () => {
  server = await completionsServer(tokenizer.vocabularySize, textOf)
  const hub = await serve(hubOf())
  const { recipe, folder } = chatEvalRecipe()
  out = join(folder, 'out')
  built = join(folder, 'store')
  await ok(['build', recipe, '--out', out, '--store', built], { env: { HF_ENDPOINT: hub.url } })
})

beforeEach(() => {
  server.faults.length = 0
  server.requests.length = 0
  server.form = 'ids'
  server.strict = false
  server.salt = ''
})

afterAll(() => server.close())

/** Store with the vocabulary, fresh but for that. */
function freshStore(): string {
  const store = join(temporaryFolder(), 'store')
  cpSync(built, store, { recursive: true })
  return store
}

function evalArgs(store: string, ...more: string[]): string[] {
  return ['eval', out, '--endpoint', server.url, '--model', modelName, '--store', store, ...more]
}

const env = { OPENAI_API_KEY: secret, SHARDMILL_EVAL_TRIES: '3' }

const files = ['MMLU', 'ARC-Easy', 'ARC-Challenge'].map(
  (label) => vectors.runs[1]!.files[`${label}.pt`]!.content!,
)

/** The answer, straight from the logits. */
function direct({ tokens, letter_token_ids: letters, gold }: ProblemFile['sequences'][number], salt = '') {
  const logits = logitsAfter(tokens, tokenizer.vocabularySize, salt)
  let best = 0
  letters.forEach((id, i) => {
    if (logits[id]! > logits[letters[best]!]!) best = i
  })
  return { answer: best, gold, correct: best === gold }
}

async function detailed(store: string, ...more: string[]) {
  const file = join(temporaryFolder(), 'details.jsonl')
  const report = await json<Report>(evalArgs(store, '--details', file, ...more), { env })
  const details = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Detail)
  return { report, details }
}

const all = String(tokenizer.vocabularySize)

describe.each(['ids', 'texts', 'content'] as const)('log-probabilities told by %s', (form) => {
  test('every problem’s answer is that of the logits', async () => {
    server.form = form
    const { report, details } = await detailed(freshStore(), '--top-logprobs', all)
    const expected = files.flatMap(({ label, sequences }) =>
      sequences.map((sequence) => ({ task: label, example_idx: sequence.example_idx, ...direct(sequence) })),
    )
    expect(details.map(({ logprobs: _, ...detail }) => detail)).toEqual(expected)
    expect(report.tasks.map(({ label, correct, examples }) => ({ label, correct, examples }))).toEqual(
      files.map(({ label, sequences }) => ({
        label,
        correct: sequences.filter((sequence) => direct(sequence).correct).length,
        examples: sequences.length,
      })),
    )
    report.tasks.forEach(({ accuracy, centered, correct, examples }, i) => {
      const { random_baseline: baseline } = files[i]!
      expect(accuracy).toBe(correct / examples)
      expect(centered).toBe((accuracy - baseline) / (1 - baseline))
    })
    const mean = report.tasks.reduce((sum, { centered }) => sum + centered, 0) / report.tasks.length
    expect(report.chatCore.mean).toBeCloseTo(mean, 12)
  })
})

test('what was answered is not asked again, and a key is nowhere', async () => {
  const store = freshStore()
  const first = await detailed(store, '--batch', '2', '--concurrency', '2')
  expect(first.report).toMatchObject({ run: 3, cached: 0 })
  expect(Math.max(...server.requests.map(({ prompt }) => prompt.length))).toBe(2)
  server.requests.length = 0
  const again = await detailed(store, '--batch', '5')
  expect(again.report).toEqual({ ...first.report, run: 0, cached: 3 })
  expect(again.details).toEqual(first.details)
  expect(server.requests).toEqual([])
  expect(server.keys).toContain(`Bearer ${secret}`)
  for (const file of filesUnder(store))
    expect(readFileSync(join(store, file), 'latin1')).not.toContain(secret)
  // Another length, another number of log-probabilities, another revision: asked anew.
  expect((await detailed(store, '--top-logprobs', '3')).report.run).toBe(3)
  expect((await detailed(store, '--revision', 'step-2000')).report.run).toBe(3)
  expect((await detailed(store, '--limit', '1')).report).toMatchObject({
    run: 3,
    tasks: [{ examples: 1 }, {}, {}],
  })
})

test('letters outside the top rank below all others; none at all is wrong, and counted', async () => {
  const { report, details } = await detailed(freshStore(), '--top-logprobs', '40')
  const seen = { unanswered: 0, partial: 0 }
  const problems = files.flatMap(({ sequences }) => sequences)
  details.forEach(({ answer, logprobs, correct }, i) => {
    const returned = logprobs.filter((value) => value !== null)
    if (returned.length === 0) {
      seen.unanswered++
      expect([answer, correct]).toEqual([null, false])
    } else {
      if (returned.length < logprobs.length) seen.partial++
      // The likeliest letter is never the one that was cut off.
      expect(answer).toBe(direct(problems[i]!).answer)
    }
  })
  const sum = (name: 'unanswered' | 'partial') => report.tasks.reduce((total, task) => total + task[name], 0)
  expect({ unanswered: sum('unanswered'), partial: sum('partial') }).toEqual(seen)
  expect(seen.unanswered).toBeGreaterThan(0)
  expect(seen.partial).toBeGreaterThan(0)
  const { stdout } = await ok(evalArgs(freshStore(), '--top-logprobs', '40'), { env })
  expect(stdout).toContain(
    `${seen.unanswered} problems had no letter among the top 40 tokens and count as wrong`,
  )
})

describe('passing trouble', () => {
  const again = (answer: { choices: object[] }) => ({
    ...answer,
    choices: [answer.choices[0], answer.choices[0]],
  })
  test.each<[string, Fault]>([
    ['429 with Retry-After', { status: 429, headers: { 'retry-after': '0' } }],
    ['500', { status: 500 }],
    ['503', { status: 503 }],
    ['a reset connection', 'reset'],
    ['half an answer', 'half'],
    ['silence', 'silence'],
    ['what is not JSON', 'not-json'],
    ['the same index twice', again],
    ['an answer without choices', () => ({ ok: true })],
    ['choices of another number', (answer) => ({ ...answer, choices: answer.choices.slice(1) })],
    [
      'no log-probabilities',
      (answer) => ({ ...answer, choices: answer.choices.map(({ index }) => ({ index })) }),
    ],
  ])('%s: asked again', async (_, fault) => {
    server.faults.push(fault)
    const { report, details } = await detailed(freshStore(), '--top-logprobs', all, '--timeout', '2')
    expect(report.run).toBe(3)
    const problems = files.flatMap(({ sequences }) => sequences)
    expect(details.map(({ answer }) => answer)).toEqual(problems.map((problem) => direct(problem).answer))
  })

  test('a server that knows only OpenAI’s fields gets only those', async () => {
    server.strict = true
    server.form = 'texts'
    const { report } = await detailed(freshStore())
    expect(report.run).toBe(3)
  })
})

describe('lasting trouble', () => {
  const always = (fault: Fault) => server.faults.push(...Array.from({ length: 40 }, () => fault))

  test.each<[string, Fault, number, RegExp]>([
    ['500', { status: 500 }, 5, /answered 500 \(tried 3 times\)/],
    ['a reset connection', 'reset', 5, /cannot be reached/],
    [
      'another model',
      (answer) => ({ ...answer, model: 'other' }),
      1,
      /it is of model "other", not "tiny\/model"/,
    ],
    ['valid JSON of the wrong shape', () => [1, 2], 1, /it has no choices/],
    ['a refusal', { status: 400 }, 1, /answered 400/],
    ['a wrong key', { status: 401 }, 1, /answered 401/],
  ])('%s', async (_, fault, code, message) => {
    always(fault)
    const failed = await run(evalArgs(freshStore()), { env })
    expectClearError(failed, [code])
    expect(failed.stderr).toMatch(message)
    expect(failed.stderr).not.toContain(secret)
  })

  test('what was answered before is kept', async () => {
    const store = freshStore()
    // One chunk after the other: the first is answered, then the server is gone.
    const answered: Fault = (answer) => answer
    server.faults.push(answered)
    always({ status: 500 })
    const args = evalArgs(store, '--concurrency', '1')
    const details = join(temporaryFolder(), 'details.jsonl')
    writeFileSync(details, 'of an earlier run\n')
    expect((await run([...args, '--details', details], { env })).code).toBe(5)
    expect(readFileSync(details, 'utf8')).toBe('of an earlier run\n')
    server.faults.length = 0
    expect(await json<Report>([...args, '--details', details], { env })).toMatchObject({ run: 2, cached: 1 })
    expect(readFileSync(details, 'utf8')).toMatch(/^(\{"task":.*\}\n)+$/)
  })
})

test('a server that changes under way is told', async () => {
  const other: Fault = (answer) => ({ ...answer, system_fingerprint: 'fp_other' })
  server.faults.push(other)
  const { stdout } = await ok(evalArgs(freshStore()), { env })
  expect(stdout).toContain('The endpoint gave 2 fingerprints: it changed under way.')
})

describe('refused before anything is asked', () => {
  const store = () => freshStore()
  test.each<[string, () => string[], number, RegExp]>([
    [
      'an unknown model',
      () => evalArgs(store()).map((arg) => (arg === modelName ? 'nope' : arg)),
      1,
      /has no model "nope"/,
    ],
    [
      'a key in the address',
      () => ['eval', out, '--endpoint', 'http://u:p@127.0.0.1:1/v1', '--model', 'm'],
      2,
      /without user, password and query/,
    ],
    [
      'an address without its /v1',
      () => evalArgs(store()).map((arg) => (arg === server.url ? arg.replace('/v1', '') : arg)),
      1,
      /answered 404.*\n.*with its \/v1\?/,
    ],
    [
      'a port that no client connects to: not tried again',
      () => ['eval', out, '--endpoint', 'http://localhost:1/v1', '--model', 'm'],
      5,
      /^error: http:\/\/localhost:1\/v1 .* port that belongs to another protocol/,
    ],
    ['no address', () => ['eval', out, '--model', 'm'], 2, /there is no endpoint/],
    [
      'no such folder',
      () => evalArgs(store()).map((arg) => (arg === out ? '/nowhere' : arg)),
      1,
      /no folder of evaluation problems/,
    ],
  ])('%s', async (_, args, code, message) => {
    const failed = await run(args(), { env })
    expectClearError(failed, [code])
    expect(failed.stderr).toMatch(message)
    expect(server.requests).toEqual([])
  })

  test('a folder without problems', async () => {
    const hub = await serve(hubOf())
    const { recipe, folder } = chatEvalRecipe({ maxSeqLen: 1 })
    const empty = join(folder, 'out')
    await ok(['build', recipe, '--out', empty, '--store', built], { env: { HF_ENDPOINT: hub.url } })
    const failed = await run(
      evalArgs(store()).map((arg) => (arg === out ? empty : arg)),
      { env },
    )
    expectClearError(failed)
    expect(failed.stderr).toContain('has no problems')
    expect(server.requests).toEqual([])
  })

  test('a damaged file', async () => {
    const copy = join(temporaryFolder(), 'out')
    cpSync(out, copy, { recursive: true })
    const file = join(copy, 'MMLU.pt')
    const bytes = readFileSync(file)
    bytes[bytes.length - 90]! ^= 1
    writeFileSync(file, bytes)
    const failed = await run(
      evalArgs(freshStore()).map((arg) => (arg === out ? copy : arg)),
      { env },
    )
    expectClearError(failed, [3])
    expect(failed.stderr).toContain('MMLU.pt')
    expect(existsSync(copy) && readdirSync(copy).length).toBeGreaterThan(0)
  })
})
