/** kind: chat-eval, through the command line: the reference's files, cached, verified, traced, refused. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import { vectors } from '../stages/chat-eval-vectors.ts'
import { chatEvalRecipe, hubOf, vectorTables } from './chat-eval-hub.ts'
import { expectClearError, json, ok, outputOf, run, serve } from './cli.ts'

interface Report {
  readonly published: string
  readonly stages: { readonly run: number; readonly cached: number }
  readonly tasks: readonly { readonly label: string; readonly examples: number; readonly skipped: number }[]
}

let hub: HubServer
let folder: string
let recipe: string

function args(command: string, out: string, ...more: string[]): string[] {
  return [command, recipe, '--out', join(folder, out), '--store', join(folder, 'store'), ...more]
}

const env = () => ({ HF_ENDPOINT: hub.url })

beforeAll(async () => {
  hub = await serve(hubOf())
  ;({ folder, recipe } = chatEvalRecipe())
})

describe('the vectors', () => {
  test.each(vectors.runs)('max_seq_len $max_seq_len: every byte', async ({ max_seq_len, files }) => {
    const out = `out-${max_seq_len}`
    const more = ['--set', `maxSeqLen=${max_seq_len}`]
    const report = await json<Report>(args('build', out, ...more), { env: env() })
    const { 'manifest.json': _, ...written } = outputOf(join(folder, out))
    const expected = Object.entries(files).map(([name, { sha256 }]) => [name, sha256])
    expect(written).toEqual(Object.fromEntries(expected))
    expect(readFileSync(join(folder, out, 'config.json'), 'utf8')).toBe(files['config.json']!.text)
    expect(report.tasks.map(({ label }) => label)).toEqual(['MMLU', 'ARC-Easy', 'ARC-Challenge'])
    expect(report.tasks.map(({ skipped }) => skipped)).toEqual(max_seq_len === 100 ? [1, 1, 0] : [0, 0, 0])
    await ok(['verify', join(folder, out)])
    const again = await json<Report>(args('build', out, ...more), { env: env() })
    expect(again).toMatchObject({ stages: { run: 0 }, published: 'unchanged' })
  })

  test('another length renders no prompt again', async () => {
    const { stages } = await json<Report>(args('build', 'out-300', '--set', 'maxSeqLen=300'), { env: env() })
    expect(stages.run).toBeLessThanOrEqual(6)
  })

  test('plan knows what a build will do', async () => {
    const planned = await json<{ stages: object; unknown: object[] }>(
      ['plan', recipe, '--store', join(folder, 'store')],
      { env: env() },
    )
    expect(planned).toMatchObject({ stages: { run: 0 }, unknown: [] })
    const fresh = await ok(['plan', recipe, '--store', join(folder, 'no-store')], { env: env() })
    expect(fresh.stdout).toMatch(/problems .* known once it was scanned/)
  })

  test('trace leads from a file to its table', async () => {
    const { stdout } = await ok(['trace', join(folder, 'out-2048', 'ARC-Easy.pt')])
    for (const word of ['task', 'problems', 'format', 'scan', 'tokenizer', 'ARC-Easy/test.jsonl'])
      expect(stdout).toContain(word)
  })

  test('inspect shows prompt, letters and the right one', async () => {
    const store = ['--store', join(folder, 'store')]
    const { stdout } = await ok(['inspect', join(folder, 'out-2048', 'ARC-Easy.pt'), ...store])
    expect(stdout).toContain(
      'Respond only with the letter of the correct answer.<|user_end|><|assistant_start|>',
    )
    const shown = await json<{ problems: { gold: number; letters: string[] }[] }>([
      ...['inspect', join(folder, 'out-2048', 'ARC-Easy.pt'), '--conversations', '9'],
      ...store,
    ])
    const { sequences } = vectors.runs[1]!.files['ARC-Easy.pt']!.content!
    expect(shown.problems).toEqual(
      sequences.map((sequence) => expect.objectContaining({ ...sequence, letters: expect.any(Array) })),
    )
    expect(shown.problems.map(({ letters, gold }) => letters[gold]).sort()).toEqual(['3', 'A', 'A', 'B', 'E'])
  })
})

test('JSON lines hold the same problems', async () => {
  const { recipe, folder } = chatEvalRecipe({ output: 'jsonl' })
  const out = join(folder, 'out')
  await ok(['build', recipe, '--out', out, '--store', join(folder, 'store')], { env: env() })
  const { files } = vectors.runs[1]!
  for (const label of ['MMLU', 'ARC-Easy', 'ARC-Challenge']) {
    const lines = readFileSync(join(out, `${label}.jsonl`), 'utf8')
      .trimEnd()
      .split('\n')
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual(files[`${label}.pt`]!.content!.sequences)
    expect(lines[0]).toMatch(
      /^\{"tokens": \[\d+, .*\], "answer_pos": \d+, "letter_token_ids": \[.*\], "gold": \d, "example_idx": \d+\}$/,
    )
  }
  await ok(['verify', out])
})

test('Parquet holds the same problems; what is changed in it is found', async () => {
  const { recipe, folder } = chatEvalRecipe({ output: 'parquet' })
  const out = join(folder, 'out')
  const store = ['--store', join(folder, 'store')]
  await ok(['build', recipe, '--out', out, ...store], { env: env() })
  const { files } = vectors.runs[1]!
  for (const label of ['MMLU', 'ARC-Easy', 'ARC-Challenge']) {
    const rows = await parquetReadObjects({ file: sliceOf(readFileSync(join(out, `${label}.parquet`))) })
    expect(rows).toEqual(files[`${label}.pt`]!.content!.sequences)
  }
  await ok(['verify', out])
  const shown = await json<{ problems: object[] }>([
    ...['inspect', join(out, 'ARC-Easy.parquet'), '--conversations', '9'],
    ...store,
  ])
  expect(shown.problems).toMatchObject(files['ARC-Easy.pt']!.content!.sequences)
  const file = join(out, 'MMLU.parquet')
  const bytes = readFileSync(file)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(file, bytes)
  const { code, stderr } = await run(['verify', out])
  expect(code).toBe(3)
  expect(stderr).toContain('MMLU.parquet')
})

const sliceOf = (bytes: Buffer) =>
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer

test('slices, seeds and labels are the recipe’s', async () => {
  const tasks = [
    { task: 'arc', subset: 'ARC-Easy', split: 'test', seed: null, start: 1, step: 2, label: 'odd' },
  ]
  const { recipe, folder } = chatEvalRecipe({ tasks, output: 'jsonl' })
  const out = join(folder, 'out')
  await ok(['build', recipe, '--out', out, '--store', join(folder, 'store')], { env: env() })
  const problems = readFileSync(join(out, 'odd.jsonl'), 'utf8').trimEnd().split('\n')
  expect(problems.map((line) => JSON.parse(line) as object)).toMatchObject([
    { gold: 2, example_idx: 0 },
    { gold: 4, example_idx: 1 },
  ])
})

test('a letter that is not one token is named, with the tokenizer', async () => {
  const rows = [
    ...vectorTables['allenai/ai2_arc/ARC-Easy/test']!,
    { id: 'x', question: 'Long?', choices: { text: ['a', 'b'], label: ['A', 'ZQ'] }, answerKey: 'ZQ' },
  ]
  const server = await serve(hubOf({ 'allenai/ai2_arc/ARC-Easy/test': rows }))
  const tasks = [{ task: 'arc', subset: 'ARC-Easy', split: 'test' }]
  const { recipe, folder } = chatEvalRecipe({ tasks })
  const out = join(folder, 'out')
  const failed = await run(['build', recipe, '--out', out, '--store', join(folder, 'store')], {
    env: { HF_ENDPOINT: server.url },
  })
  expectClearError(failed)
  expect(failed.stderr).toMatch(/the letter "ZQ" of ARC-Easy is 2 tokens \(\d+, \d+\) of tokenizer\.pkl/)
  expect(existsSync(out)).toBe(false)
})

test('a bad row stops the build', async () => {
  const rows = [{ id: 'x', question: 'Q', choices: { text: ['a'], label: ['A'] }, answerKey: 'B' }]
  const server = await serve(hubOf({ 'allenai/ai2_arc/ARC-Easy/test': rows }))
  const { recipe, folder } = chatEvalRecipe({ tasks: [{ task: 'arc', subset: 'ARC-Easy', split: 'test' }] })
  const failed = await run(
    ['build', recipe, '--out', join(folder, 'out'), '--store', join(folder, 'store')],
    {
      env: { HF_ENDPOINT: server.url },
    },
  )
  expectClearError(failed)
  expect(failed.stderr).toContain('answerKey is "B", which is none of the labels')
})

describe('verify finds', () => {
  const damaged = async (name: string, change: (bytes: Buffer) => Buffer) => {
    const out = join(folder, `damaged-${Math.random()}`)
    await ok(args('build', out.slice(folder.length + 1)), { env: env() })
    const file = join(out, name)
    writeFileSync(file, change(readFileSync(file)))
    return run(['verify', out])
  }
  const flip = (at: number) => (bytes: Buffer) => {
    bytes[at]! ^= 1
    return bytes
  }
  test.each<[string, string, (bytes: Buffer) => Buffer, RegExp]>([
    ['a changed id', 'MMLU.pt', flip(300), /MMLU\.pt: has sha256|MMLU\.pt: (problem|has byte)/],
    [
      'a file cut short',
      'ARC-Easy.pt',
      (bytes) => bytes.subarray(0, 500),
      /ARC-Easy\.pt: .*(ends early|bytes long)/,
    ],
    ['a changed directory', 'ARC-Easy.pt', flip(2119 + 64 + 900), /ARC-Easy\.pt: has sha256/],
    ['another config', 'config.json', () => Buffer.from('{"bos_id": 1}'), /config\.json: says bos_id 1/],
  ])('%s', async (_, name, change, message) => {
    const { code, stderr } = await damaged(name, change)
    expect(code).toBe(3)
    expect(stderr).toMatch(message)
  })
})

test.each([
  ['kind: chat-eval\nname: x\n', /tokenizer: is missing/],
  [
    'kind: chat-eval\nname: x\ntokenizer: { kind: tiktoken, encoding: gpt2 }\noutput: bin\n',
    /output: is "bin", expected one of pt, jsonl, parquet/,
  ],
  [
    'kind: chat-eval\nname: x\ntokenizer: { kind: tiktoken, encoding: gpt2 }\nshardTokens: 5\n',
    /shardTokens: unknown field/,
  ],
  [
    'kind: chat-eval\nname: x\ntokenizer: { kind: tiktoken, encoding: gpt2 }\ntasks: [{ task: gsm8k, split: test }]\n',
    /tasks\[0\]\.task: is "gsm8k", expected one of mmlu, arc|expected one of arc, mmlu/,
  ],
  [
    'kind: chat-eval\nname: x\ntokenizer: { kind: tiktoken, encoding: gpt2 }\ntasks: [{ task: mmlu, split: test }, { task: mmlu, split: dev }]\n',
    /tasks\[1\]: has the label MMLU/,
  ],
  ...['provenance', 'Rejected'].map((label): [string, RegExp] => [
    `kind: chat-eval\nname: x\ntokenizer: { kind: tiktoken, encoding: gpt2 }\noutput: jsonl\ntasks: [{ task: mmlu, split: test, label: ${label} }]\n`,
    new RegExp(
      `tasks\\[0\\]: has the label ${label}, and ${label}\\.jsonl is a file that every output folder may have`,
    ),
  ]),
  [
    'kind: chateval\nname: x\n',
    /kind: is "chateval", expected one of .*chat-eval.*; did you mean `chat-eval`\?/,
  ],
])('recipe %#', async (text, message) => {
  writeFileSync(join(folder, 'bad.yaml'), text)
  const { code, stderr } = await run(['plan', join(folder, 'bad.yaml'), '--store', join(folder, 'store')])
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
})
