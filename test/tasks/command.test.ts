/** `shardmill task`, as a user calls it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ok, run } from '../e2e/cli.ts'
import { type TestHub, tinyHub } from './hub.ts'
import { vectors } from './vectors.ts'

let hub: TestHub
beforeAll(async () => {
  hub = await tinyHub()
  writeFileSync(join(hub.folder, 'words.txt'), 'pear\nplum\n')
})
afterAll(() => hub.close())

const options = () => ({ cwd: hub.folder, env: { ...hub.context.env, SHARDMILL_STORE: hub.context.store } })
const shown = async (...args: string[]) => (await ok(['task', ...args], options())).stdout

test('a conversation, what is trained on between « and »', async () => {
  expect(await shown('gsm8k', '--split', 'train', '--index', '1')).toBe(`GSM8K 1 of 4, generative

user
g2

assistant
[text] «a »
[python] «2*2»
[python_output] 4
[text] «4
#### 4»
`)
  expect(await shown('ARC-Easy', '--index', '1')).toBe(`ARC-Easy 1 of 5, categorical

user
Multiple Choice question: Q2?
- a=1
- b=2

Respond only with the letter of the correct answer.

assistant
«2»

letters
1, 2
`)
})

test('how many there are, of a slice as well', async () => {
  expect(await shown('HumanEval', '--count')).toBe('3\n')
  expect(await shown('mmlu', '--start', '1', '--step', '2', '--count')).toBe('2\n')
  expect(JSON.parse(await shown('simple_spelling', '--words', 'words.txt', '--count', '--json'))).toEqual({
    schema: 1,
    task: 'simple_spelling',
    name: 'SimpleSpelling',
    evalType: 'generative',
    length: 1000,
  })
})

test('--json holds the conversation as the task has it', async () => {
  const { conversation, index, length } = JSON.parse(await shown('mmlu', '--index', '2', '--json')) as Record<
    string,
    unknown
  >
  expect([conversation, index, length]).toEqual([vectors.mmlu[2], 2, 4])
})

test('--render shows tokens and mask', async () => {
  const args = ['gsm8k', '--split', 'train', '--index', '1', '--render']
  expect(await shown(...args)).toBe(`GSM8K 1 of 4, generative
21 tokens, 12 trained

<|bos|><|user_start|>g2<|user_end|><|assistant_start|>«a <|python_start|>2*2<|python_end|>»<|output_start|>4<|output_end|>«4
#### 4<|assistant_end|>»
`)
  const { rendered } = JSON.parse(await shown(...args, '--json', '--max-tokens', '8')) as {
    rendered: {
      tokens: number
      trained: number
      full: boolean
      ids: number[]
      mask: number[]
      spans: object[]
    }
  }
  expect(rendered).toMatchObject({ tokens: 8, trained: 2, full: true, mask: [0, 0, 0, 0, 0, 0, 1, 1] })
  expect(rendered.ids.slice(0, 2)).toEqual([50257, 50258])
  const own = await shown(
    ...args,
    '--tokenizer',
    join(import.meta.dirname, '../fixtures/golden-sft/tokenizer.pkl'),
  )
  expect(own).toContain('<|assistant_start|>«a <|python_start|>2*2<|python_end|>»<|output_start|>4')
})

test('--render --completion shows the prompt, open for the answer', async () => {
  const args = ['ARC-Easy', '--index', '1', '--render']
  const prompt = `<|bos|><|user_start|>Multiple Choice question: Q2?
- a=1
- b=2

Respond only with the letter of the correct answer.<|user_end|><|assistant_start|>`
  const [head, tokens, , ...rest] = (await shown(...args, '--completion')).split('\n')
  expect(head).toBe('ARC-Easy 1 of 5, categorical')
  expect(tokens).toMatch(/^\d+ tokens, 0 trained$/)
  expect(rest.join('\n')).toBe(`${prompt}\n`)
  const idsOf = async (...more: string[]) =>
    (JSON.parse(await shown(...args, '--json', ...more)) as { rendered: { ids: number[]; mask: number[] } })
      .rendered
  const [whole, asked] = [await idsOf(), await idsOf('--completion')]
  // The whole goes on with the answer's one token and <|assistant_end|>.
  expect(asked.ids).toEqual(whole.ids.slice(0, -2))
  expect(asked.mask).toEqual(asked.ids.map(() => 0))
  // Cut before it is opened, as the reference does: one token more than the limit.
  expect((await idsOf('--completion', '--max-tokens', '8')).ids).toEqual([
    ...asked.ids.slice(0, 8),
    asked.ids.at(-1),
  ])
})

describe('what is wrong is one error', () => {
  const cases: [name: string, args: string[], code: number, says: string][] = [
    ['a misspelt task', ['gsm8'], 2, 'there is no task "gsm8"; did you mean gsm8k?'],
    ['an index past the end', ['mmlu', '--index', '4'], 2, 'MMLU: index 4 leads to row 4, there are 4 rows'],
    ['an index that is none', ['mmlu', '--index', '-1'], 2, '--index is "-1", expected a whole number'],
    ['a start past the end', ['mmlu', '--start', '9'], 2, 'MMLU: start 9 is past the end, there are 4 rows'],
    [
      'a stop before the start',
      ['mmlu', '--start', '3', '--stop', '2'],
      2,
      'stop is 2, expected a whole number of at least 3',
    ],
    ['--completion alone', ['mmlu', '--completion'], 2, '--completion needs --render'],
    ['an option of another task', ['mmlu', '--words', 'words.txt'], 2, 'mmlu has no option words'],
    ['a split that is not there', ['mmlu', '--split', 'tset'], 1, 'Did you mean "test"?'],
    ['a task that needs a file', ['custom_json'], 2, 'custom_json needs path'],
    [
      'a bad row',
      ['ARC-Challenge', '--seed', 'none'],
      1,
      'line 1: answerKey is "C", which is none of the labels',
    ],
    [
      'an unknown encoding',
      ['mmlu', '--render', '--encoding', 'gpt-2'],
      2,
      '--encoding is "gpt-2", expected one of gpt2,',
    ],
    [
      'a missing tokenizer',
      ['mmlu', '--render', '--tokenizer', 'none.pkl'],
      2,
      '--tokenizer none.pkl: there is no such file',
    ],
    ['a tokenizer that is none', ['mmlu', '--render', '--tokenizer', 'words.txt'], 1, 'words.txt'],
  ]
  test.each(cases)('%s', async (_name, args, code, says) => {
    const ran = await run(['task', ...args], options())
    expect(ran.stderr).toContain(says)
    expect(ran.stderr.split('\n').filter((line) => line.startsWith('error:'))).toHaveLength(1)
    expect([ran.code, ran.stdout]).toEqual([code, ''])
  })
})
