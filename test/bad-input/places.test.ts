/** Rows that one stage or another refuses long after they were read: still by their file and row, or line. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import { conversation, customJson, jsonLines, Lab, messageList, parquetOf, recipeOf } from './support.ts'

const short = conversation('a', 'b')
const long = conversation('a', 'b'.repeat(100))
const table = (...rows: unknown[]) => parquetOf({ messages: { type: messageList, data: rows } })
const blank = '\n'
const tooLong = { exit: 1, code: 'BAD_ROW', hint: 'Set tooLong: drop' }
const fails = { tooLong: 'fail' }

describe.concurrent('a row that is too long', () => {
  let server: HubServer
  beforeAll(async () => {
    const hub = new Lab()
    hub.write('datasets/some/tables/train-0.parquet', table(short, short))
    hub.write('datasets/some/tables/train-1.parquet', table())
    hub.write('datasets/some/tables/train-2.parquet', table(short, long))
    hub.write('datasets/some/lines/train-0.jsonl', jsonLines([{ messages: short }, { messages: short }]))
    hub.write('datasets/some/lines/train-1.jsonl', jsonLines([{ messages: short }, { messages: long }]))
    for (let i = 0; i < 120; i++)
      hub.write(
        `datasets/some/many/train-${String(i).padStart(3, '0')}.jsonl`,
        jsonLines([{ messages: i === 7 ? long : short }]),
      )
    server = await startHubServer(hub.dir)
  })
  afterAll(() => server.close())

  const ofHub = (repo: string) => ({ task: 'messages', repo, split: 'train', label: 'it', seed: null })

  test('of JSON lines is told by its line', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', `${jsonLines([short])}${blank}${jsonLines([long])}`)
    lab.write('b.jsonl', jsonLines([{ messages: short }, { messages: long }]))
    await lab.refuses(recipeOf(customJson, fails), {
      ...tooLong,
      says: /^a\.jsonl, line 3: splits\.train\[0\] \(CustomJSON\): the row has more tokens than maxSeqLen$/,
    })
    const second = [
      { ...customJson, tooLong: 'drop' },
      { task: 'messages', path: 'b.jsonl' },
    ]
    await lab.refuses(recipeOf(second, fails), { ...tooLong, says: /^b\.jsonl, line 2: splits\.train\[1\]/ })
  })

  test('of parquet by its row', async () => {
    const lab = new Lab()
    lab.write('a.parquet', table(short, long))
    await lab.refuses(recipeOf({ task: 'messages', path: 'a.parquet' }, fails), {
      ...tooLong,
      says: /^a\.parquet, row 1: splits\.train\[0\] \(a\.parquet\): the row/,
    })
  })

  const repos: [repo: string, says: RegExp][] = [
    ['some/tables', /^some\/tables\/train-2\.parquet, row 1: splits\.train\[0\] \(it\): the row/],
    ['some/lines', /^some\/lines\/train-1\.jsonl, line 2: splits\.train\[0\] \(it\): the row/],
    // Too many names for a message.
    ['some/many', /^line 1: splits\.train\[0\] \(it\): the row/],
  ]
  for (const [repo, says] of repos) {
    test(`of the hub: ${repo}`, async () => {
      await new Lab().refuses(
        recipeOf(ofHub(repo), fails),
        { ...tooLong, says },
        {
          env: { HF_ENDPOINT: server.url },
        },
      )
    })
  }
})

test('a row without a trained token is told by its file and line', async () => {
  const lab = new Lab()
  lab.write('a.jsonl', `${blank}${jsonLines([short, conversation('a'.repeat(100), 'b')])}`)
  await lab.refuses(recipeOf(customJson, { onUntrained: 'fail' }), {
    exit: 1,
    code: 'BAD_ROW',
    says: /^a\.jsonl, line 3: splits\.train\[0\] \(CustomJSON\): the row has no trained token$/,
    hint: 'Set onUntrained: drop',
  })
})

describe.concurrent('a row that the template has no form for', () => {
  const text = {
    tokenizer: { kind: 'bytes' },
    template: 'user_assistant',
    output: { format: 'text' },
    maxSeqLen: 1000,
  }
  const refusal = { exit: 2, code: 'RECIPE', hint: 'Use it for sources like arc' } as const
  const dialogue = conversation('a', 'b', 'c', 'd')
  const says = 'template user_assistant writes one question and its answer, and this row is something else'

  test('of JSON lines', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', `${jsonLines([short])}${blank}${jsonLines([dialogue])}`)
    await lab.refuses(recipeOf(customJson, text), { ...refusal, says: `a.jsonl, line 3: ${says}` })
  })

  test('of parquet', async () => {
    const lab = new Lab()
    lab.write('a.parquet', table(short, dialogue))
    const source = { task: 'messages', path: 'a.parquet' }
    const error = await lab.refuses(recipeOf(source, text), { ...refusal, says: `a.parquet, row 1: ${says}` })
    expect(error.at).toEqual({ file: 'a.parquet', row: 1 })
  })

  test('chatml: a tool call', async () => {
    const lab = new Lab()
    lab.write('words.txt', 'abc\n')
    const source = { task: 'spelling_bee', size: 1, words: 'words.txt' }
    const chatml = { template: 'chatml', tokenizer: { kind: 'tiktoken', encoding: 'gpt2' }, maxSeqLen: 1000 }
    await lab.refuses(recipeOf(source, chatml), {
      exit: 2,
      code: 'RECIPE',
      says: /^SpellingBee, row 0: template chatml has no form for a part of type python, which this row has$/,
      hint: 'template: nanochat',
    })
  })
})
