/** Datasets of the hub: what is not there, columns of another kind, rows that are no problems or conversations. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import {
  conversation,
  Lab,
  messageList,
  type ParquetType,
  parquetOf,
  type Recipe,
  recipeOf,
  rejectedOf,
} from './support.ts'

const strings = (...data: unknown[]) => ({ type: 'string' as const, data })
const messagesOf = (...data: unknown[]) => parquetOf({ messages: { type: messageList, data } })
const good = conversation('hi', 'hello')

const mmluType = {
  question: 'string',
  subject: 'string',
  choices: { list: 'string' },
  answer: 'int',
} as const satisfies Record<string, ParquetType>
const problem = (more: Recipe = {}) => ({
  question: 'Q?',
  subject: 's',
  choices: ['a', 'b', 'c', 'd'],
  answer: 2n,
  ...more,
})
const mmluOf = (...rows: Record<string, unknown>[]) =>
  parquetOf(
    Object.fromEntries(
      Object.entries(mmluType).map(([name, type]) => [name, { type, data: rows.map((row) => row[name]) }]),
    ),
  )
const nestedOf = (...rows: unknown[]) => parquetOf({ train: { type: { struct: mmluType }, data: rows } })

/** Everything that is served: dataset and path → content. */
const files: Record<string, string | Uint8Array> = {
  'openai/gsm8k/main/train-00000-of-00001.parquet': parquetOf({
    question: strings('1+1?', '2+2?'),
    answer: strings('<<1+1=2>>2\n#### 2', '4\n#### 4'),
  }),
  'openai/gsm8k/README.md':
    '---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: main/train-*}\n---\n',
  'some/columns/train.parquet': parquetOf({ query: strings('1'), answer: strings('2') }),
  'some/types/train.parquet': parquetOf({ question: strings('1'), answer: { type: 'int', data: [2n] } }),
  'some/nulls/train.parquet': parquetOf({
    question: strings('1', null, '3'),
    answer: strings(null, '2', '4'),
  }),
  'some/two/one/train.parquet': messagesOf(good),
  'some/two/README.md':
    '---\nconfigs:\n- config_name: one\n  data_files: one/*\n- config_name: two\n  data_files: two/*\n---\n',
  'some/two/two/train.parquet': messagesOf(good),
  'some/csv/train.csv': 'a,b\n1,2\n',
  'some/script/script.py': 'print(1)\n',
  'some/empty/README.md': '# nothing\n',
  'some/card/README.md': '---\nconfigs:\n- config_name: [1\n---\n',
  'some/card/train.parquet': messagesOf(good),
  'cais/mmlu/README.md':
    '---\nconfigs:\n- config_name: all\n  data_files: [{split: test, path: all/*}]\n- config_name: auxiliary_train\n  data_files: [{split: train, path: auxiliary_train/*}]\n---\n',
  'cais/mmlu/all/test.parquet': mmluOf(
    problem(),
    problem({ choices: ['a', 'b', 'c'] }),
    problem({ choices: ['a', 'b', 'c', 'd', 'e'] }),
    problem({ choices: [] }),
    problem({ choices: null }),
    problem({ choices: ['a', null, 'c', 'd'] }),
    problem({ answer: -1n }),
    problem({ answer: 4n }),
    problem({ answer: null }),
    problem({ question: null }),
  ),
  'cais/mmlu/auxiliary_train/train.parquet': nestedOf(problem(), null),
  'HuggingFaceTB/smol-smoltalk/test.parquet': messagesOf(
    good,
    [],
    null,
    conversation('one'),
    [{ role: 'system', content: 's' }],
    [
      { role: 'system', content: 's' },
      { role: 'user', content: 'a' },
    ],
    [
      { role: 'user', content: 'a' },
      { role: 'user', content: 'b' },
    ],
    [
      { role: 'assistant', content: 'a' },
      { role: 'user', content: 'b' },
    ],
    [
      { role: 'tool', content: 'a' },
      { role: 'user', content: 'b' },
    ],
    [
      { role: 'user', content: 'a' },
      { role: 'system', content: 'b' },
    ],
    [
      { role: 'user', content: null },
      { role: 'assistant', content: 'b' },
    ],
    [
      { role: null, content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
    [null, { role: 'assistant', content: 'b' }],
    [
      { role: 'us\u001b[31mer\u0007', content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
  ),
}

let server: HubServer
beforeAll(async () => {
  const hub = new Lab()
  for (const [path, content] of Object.entries(files)) hub.write(`datasets/${path}`, content)
  server = await startHubServer(hub.dir)
})
afterAll(() => server.close())

const env = () => ({ env: { HF_ENDPOINT: server.url } })
const gsm8k = { task: 'gsm8k', split: 'train', subset: 'main' }

describe.concurrent('what is not there', () => {
  const cases: [
    name: string,
    source: Recipe,
    code: string,
    exit: number,
    says: string | RegExp,
    hint: string | RegExp | true,
  ][] = [
    [
      'a dataset',
      { ...gsm8k, repo: 'openai/gsm9k' },
      'NOT_FOUND',
      1,
      /there is no dataset openai\/gsm9k on http:\/\/127/,
      /spelling.*HF_TOKEN/,
    ],
    ['a dataset’s name without owner', { ...gsm8k, repo: 'gsm8k' }, 'NOT_FOUND', 1, /gsm8k/, true],
    ['a name that is no dataset’s', { ...gsm8k, repo: '../../etc/passwd' }, 'RECIPE', 2, /passwd/, true],
    [
      'a subset',
      { ...gsm8k, subset: 'mian' },
      'NOT_FOUND',
      1,
      'dataset openai/gsm8k has no subset "mian"',
      'Did you mean "main"? Its subsets are "main".',
    ],
    [
      'a split',
      { ...gsm8k, split: 'trian' },
      'NOT_FOUND',
      1,
      'subset "main" of dataset openai/gsm8k has no split "trian"',
      'Did you mean "train"?',
    ],
    ['a revision', { ...gsm8k, revision: 'v9' }, 'NOT_FOUND', 1, /openai\/gsm8k.*revision "v9"/, true],
    [
      'files',
      { ...gsm8k, files: '*.arrow' },
      'NOT_FOUND',
      1,
      'no file of dataset openai/gsm8k matches "*.arrow"',
      'Its files are',
    ],
    [
      'a column',
      { ...gsm8k, repo: 'some/columns', subset: 'default' },
      'NOT_FOUND',
      1,
      'some/columns/train.parquet: column "question" (string) is missing. There are: query, answer.',
      true,
    ],
    [
      'a default subset',
      { task: 'messages', repo: 'some/two', split: 'train' },
      'RECIPE',
      2,
      'dataset some/two has several subsets, and none is its default',
      'Name one of them as `subset`: "one", "two".',
    ],
    [
      'anything in a dataset',
      { task: 'messages', repo: 'some/empty', split: 'train' },
      'NOT_FOUND',
      1,
      'some/empty',
      true,
    ],
  ]
  for (const [name, source, code, exit, says, hint] of cases) {
    test(name, async () => {
      await new Lab().refuses(recipeOf(source), { exit, code, says, hint }, env())
    })
  }
})

describe.concurrent('what is of another kind', () => {
  const cases: [name: string, source: Recipe, says: string | RegExp, code?: string][] = [
    [
      'a column',
      { ...gsm8k, repo: 'some/types', subset: 'default' },
      'some/types/train.parquet: column "answer" is int64, but string was expected.',
    ],
    [
      'rows of another shape',
      { task: 'messages', repo: 'openai/gsm8k', split: 'train' },
      'openai/gsm8k/main/train-00000-of-00001.parquet: column "messages" (list<struct<role: string, content: string>>) is missing. There are: question, answer.',
      'NOT_FOUND',
    ],
    ['CSV', { task: 'messages', repo: 'some/csv', split: 'train' }, /some\/csv.*"csv"/],
    [
      'a dataset with a loading script',
      { task: 'messages', repo: 'some/script', split: 'train' },
      'dataset some/script is made by a loading script, which is never run',
    ],
    [
      'a README that is no YAML',
      { task: 'messages', repo: 'some/card', split: 'train' },
      'dataset some/card: its YAML header cannot be parsed: ',
    ],
    [
      'flat MMLU rows taken for nested ones',
      { task: 'mmlu', subset: 'all', split: 'test', nested: true },
      'cais/mmlu/all/test.parquet: column "train" (struct<question: string, choices: list<string>, answer: int>) is missing. There are: question, subject, choices, answer.',
      'NOT_FOUND',
    ],
    [
      'nested MMLU rows taken for flat ones',
      { task: 'mmlu', subset: 'auxiliary_train', split: 'train', nested: false },
      'cais/mmlu/auxiliary_train/train.parquet: column "question" (string) is missing. There are: train.',
      'NOT_FOUND',
    ],
  ]
  for (const [name, source, says, code = 'BAD_FILE'] of cases) {
    test(name, async () => {
      await new Lab().refuses(recipeOf(source), { exit: 1, code, says, hint: true }, env())
    })
  }
})

describe.concurrent('rows that are wrong', () => {
  test('MMLU: four choices and an answer of 0 to 3', async () => {
    const lab = new Lab()
    const source = { task: 'mmlu', subset: 'all', split: 'test' }
    await lab.refuses(
      recipeOf(source),
      {
        exit: 1,
        code: 'BAD_ROW',
        says: 'cais/mmlu/all/test.parquet, row 1: choices has 3 entries, expected exactly 4',
        hint: 'onBadRow',
      },
      env(),
    )
    const report = await lab.builds(recipeOf(source, { onBadRow: 'quarantine' }), env())
    expect(report.splits.train).toMatchObject({ conversations: 1 })
    expect(rejectedOf(lab).map(({ row, why }) => `${row}: ${why}`)).toEqual([
      '1: choices has 3 entries, expected exactly 4',
      '2: choices has 5 entries, expected exactly 4',
      '3: choices has 0 entries, expected exactly 4',
      '4: choices has no value, expected exactly 4',
      '5: choice 1 is null, expected a string',
      '6: answer is -1, expected 0, 1, 2 or 3',
      '7: answer is 4, expected 0, 1, 2 or 3',
      '8: answer is null, expected 0, 1, 2 or 3',
      '9: question is null, expected a string',
    ])
  })

  test('nested MMLU', async () => {
    const lab = new Lab()
    await lab.refuses(
      recipeOf({ task: 'mmlu', subset: 'auxiliary_train', split: 'train' }),
      {
        exit: 1,
        code: 'BAD_ROW',
        says: 'cais/mmlu/auxiliary_train/train.parquet, row 1: train is null, expected a problem',
      },
      env(),
    )
  })

  test('GSM8K without question or answer', async () => {
    const lab = new Lab()
    await lab.builds(
      recipeOf({ ...gsm8k, repo: 'some/nulls', subset: 'default' }, { onBadRow: 'quarantine' }),
      env(),
    )
    expect(rejectedOf(lab).map(({ row, why }) => `${row}: ${why}`)).toEqual([
      '0: answer is null, expected a string',
      '1: question is null, expected a string',
    ])
  })

  test('SmolTalk: the user first, then in turn, and an answer', async () => {
    const lab = new Lab()
    const source = { task: 'smoltalk', split: 'test' }
    await lab.refuses(
      recipeOf(source),
      {
        exit: 1,
        code: 'BAD_ROW',
        says: 'HuggingFaceTB/smol-smoltalk/test.parquet, row 1: messages is empty, expected at least a user message and an answer',
        hint: 'onBadRow',
      },
      env(),
    )
    const report = await lab.builds(recipeOf(source, { onBadRow: 'quarantine' }), env())
    expect(report.splits.train.conversations).toBe(1)
    const turns = '(roles alternate, the user first, after an optional system message)'
    expect(rejectedOf(lab).map(({ row, why }) => `${row}: ${why}`)).toEqual([
      '1: messages is empty, expected at least a user message and an answer',
      '2: messages is null, expected a list of messages',
      '3: one message, expected at least a user message and an answer',
      '4: only a system message, expected at least a user message and an answer',
      '5: one message, expected at least a user message and an answer',
      `6: message 1 is from "user", expected "assistant" ${turns}`,
      `7: message 0 is from "assistant", expected "user" ${turns}`,
      `8: message 0 is from "tool", expected "user" ${turns}`,
      `9: message 1 is from "system", expected "assistant" ${turns}`,
      '10: message 0 has no content (null), expected a string',
      `11: message 0 is from null, expected "user" ${turns}`,
      `12: message 0 is from null, expected "user" ${turns}`,
      `13: message 0 is from "us\\u001b[31mer\\u0007", expected "user" ${turns}`,
    ])
  })
})
