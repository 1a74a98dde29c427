/** The `messages` source: three shapes, over parquet and JSON lines, with every wrong mapping. */
import { describe, expect, test } from 'vitest'
import {
  jsonLines,
  Lab,
  type ParquetType,
  parquetRows,
  type Recipe,
  recipeOf,
  rejectedOf,
  tokensOf,
} from './support.ts'

const from = { list: { struct: { from: 'string', value: 'string' } } } as const satisfies ParquetType
const shapes = {
  messages: {
    row: {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    },
    columns: { messages: { list: { struct: { role: 'string', content: 'string' } } } },
  },
  sharegpt: {
    row: {
      conversations: [
        { from: 'human', value: 'a' },
        { from: 'gpt', value: 'b' },
      ],
    },
    columns: { conversations: from },
  },
  alpaca: {
    row: { instruction: 'a', input: '', output: 'b' },
    columns: { instruction: 'string', input: 'string', output: 'string' },
  },
} as const

const jsonl = (more: Recipe = {}) => ({ task: 'messages', path: 'a.jsonl', ...more })
const row = (more: Recipe) =>
  ({ exit: 1, code: 'BAD_ROW', hint: 'onBadRow', ...more }) as {
    exit: number
    code: string
    says: string
    hint: string
  }

describe.concurrent('messages', () => {
  test('the same conversation in three shapes and two formats has the same tokens', async () => {
    const lab = new Lab()
    const sources = Object.entries(shapes).flatMap(([shape, { row, columns }]) => {
      lab.write(`${shape}.jsonl`, jsonLines([row]))
      lab.write(`${shape}.parquet`, parquetRows(columns, [row]))
      return [
        { task: 'messages', shape, path: `${shape}.jsonl` },
        { task: 'messages', shape, path: `${shape}.parquet` },
      ]
    })
    await lab.builds(recipeOf(sources, { shuffle: { kind: 'none' } }))
    const one = [416, 417, 97, 418, 419, 98, 420]
    expect(tokensOf(lab, 'sft_train_000000.bin')).toEqual(Array(6).fill(one).flat())
  })

  const recipes: [name: string, source: Recipe, says: string | RegExp][] = [
    [
      'neither repo nor path',
      { task: 'messages' },
      'splits.train[0]: needs repo (a dataset on the hub) or path (a local file)',
    ],
    ['both', jsonl({ repo: 'a/b', split: 'train' }), 'splits.train[0]: give repo or path, not both'],
    ['repo without split', { task: 'messages', repo: 'a/b' }, 'splits.train[0]: needs split'],
    [
      'a column of another shape',
      jsonl({ columns: { instruction: 'q' } }),
      'splits.train[0]: columns.instruction: shape messages has the columns messages, role, content',
    ],
    [
      'a column that is misspelt',
      jsonl({ shape: 'alpaca', columns: { instrution: 'q' } }),
      'splits.train[0]: columns.instrution: shape alpaca has the columns instruction, input, output, system; did you mean instruction?',
    ],
    [
      'roles for Alpaca, which has none',
      jsonl({ shape: 'alpaca', roles: { human: 'user' } }),
      'splits.train[0]: roles: shape alpaca has no roles',
    ],
    [
      'roles without an assistant',
      jsonl({ roles: { human: 'user' } }),
      'splits.train[0]: roles: no name stands for assistant',
    ],
    [
      'one column for two fields',
      jsonl({ columns: { role: 'x', content: 'x' } }),
      'splits.train[0]: columns: role and content are both "x"',
    ],
    [
      'an empty column name',
      jsonl({ columns: { role: '' } }),
      /columns\.role: is "", expected a string \(not empty\)/,
    ],
    ['no roles at all', jsonl({ roles: {} }), 'splits.train[0]: roles: no name stands for user'],
    [
      'files of a local file',
      jsonl({ subset: 'x' }),
      'splits.train[0]: subset is for datasets of the hub (repo), and path is a local file',
    ],
  ]
  for (const [name, source, says] of recipes) {
    test(`recipe: ${name}`, async () => {
      const lab = new Lab()
      lab.write('a.jsonl', jsonLines([shapes.messages.row]))
      await lab.refuses(recipeOf(source), { exit: 2, code: 'RECIPE', says })
    })
  }

  const rows: [name: string, source: Recipe, row: unknown, says: string][] = [
    ['another field', jsonl(), { chat: [] }, 'a.jsonl, line 1: no field "messages"; there are: chat'],
    [
      'a mapped field that is not there',
      jsonl({ columns: { messages: 'chat' } }),
      shapes.messages.row,
      'a.jsonl, line 1: no field "chat"; there are: messages',
    ],
    [
      'ShareGPT taken for messages',
      jsonl(),
      shapes.sharegpt.row,
      'no field "messages"; there are: conversations',
    ],
    [
      'messages taken for ShareGPT',
      jsonl({ shape: 'sharegpt' }),
      shapes.messages.row,
      'no field "conversations"; there are: messages',
    ],
    [
      'other fields inside a message',
      jsonl({ columns: { messages: 'conversations' } }),
      shapes.sharegpt.row,
      'line 1: an entry of conversations has no field "role"; there are: from, value',
    ],
    [
      'a list instead of an object',
      jsonl(),
      shapes.messages.row.messages,
      'line 1: expected an object, found a list',
    ],
    ['messages that are text', jsonl(), { messages: 'hi' }, 'line 1: messages is a string, expected a list'],
    [
      'a message that is text',
      jsonl(),
      { messages: ['hi', 'ho'] },
      'line 1: an entry of messages is a string, expected an object',
    ],
    [
      'content that is a number',
      jsonl(),
      {
        messages: [
          { role: 'user', content: 3 },
          { role: 'assistant', content: 'b' },
        ],
      },
      'line 1: content of an entry of messages is a number, expected a string',
    ],
    [
      'content in parts',
      jsonl(),
      {
        messages: [
          { role: 'user', content: [{ type: 'text', text: 'x' }] },
          { role: 'assistant', content: 'b' },
        ],
      },
      'line 1: content of an entry of messages is a list, expected a string',
    ],
    [
      'content null',
      jsonl(),
      {
        messages: [
          { role: 'user', content: null },
          { role: 'assistant', content: 'b' },
        ],
      },
      'line 1: message 0 has no content (null), expected a string',
    ],
    [
      'a message null',
      jsonl(),
      { messages: [null, { role: 'assistant', content: 'b' }] },
      'line 1: message 0 is from null, expected "user"',
    ],
    [
      'no messages',
      jsonl(),
      { messages: [] },
      'line 1: messages is empty, expected at least a user message and an answer',
    ],
    ['messages null', jsonl(), { messages: null }, 'line 1: messages is null, expected a list of messages'],
    [
      'an unknown role',
      jsonl({ shape: 'sharegpt' }),
      {
        conversations: [
          { from: 'bing', value: 'a' },
          { from: 'gpt', value: 'b' },
        ],
      },
      'line 1: message 0 is from "bing", expected "human" or "user" (roles',
    ],
    [
      'roles mapped away',
      jsonl({ roles: { human: 'user', bot: 'assistant' } }),
      shapes.messages.row,
      'line 1: message 0 is from "user", expected "human" (roles',
    ],
    [
      'Alpaca without output',
      jsonl({ shape: 'alpaca' }),
      { instruction: 'a', input: '' },
      'line 1: no field "output"; there are: instruction, input',
    ],
    [
      'Alpaca with output null',
      jsonl({ shape: 'alpaca' }),
      { ...shapes.alpaca.row, output: null },
      'line 1: output is null, expected a string',
    ],
    [
      'Alpaca with a number',
      jsonl({ shape: 'alpaca' }),
      { ...shapes.alpaca.row, instruction: 1 },
      'line 1: instruction is a number, expected a string',
    ],
    ['no JSON', jsonl(), undefined, 'line 1: not JSON'],
  ]
  for (const [name, source, value, says] of rows) {
    test(`JSON lines: ${name}`, async () => {
      const lab = new Lab()
      lab.write('a.jsonl', value === undefined ? 'oops\n' : jsonLines([value]))
      await lab.refuses(recipeOf(source), row({ says }))
    })
  }

  const parquets: [
    name: string,
    columns: Record<string, ParquetType>,
    source: Recipe,
    code: string,
    says: string,
  ][] = [
    [
      'a text column',
      { messages: 'string' },
      {},
      'BAD_FILE',
      'a.parquet: column "messages" is string, but list<struct<role: string, content: string>> was expected.',
    ],
    [
      'other fields inside',
      { messages: from },
      {},
      'NOT_FOUND',
      'a.parquet: column "messages" has no field "role"',
    ],
    [
      'another column',
      { chat: from },
      {},
      'NOT_FOUND',
      'a.parquet: column "messages" (list<struct<role: string, content: string>>) is missing. There are: chat.',
    ],
    [
      'Alpaca without output',
      { instruction: 'string', input: 'string' },
      { shape: 'alpaca' },
      'NOT_FOUND',
      'a.parquet: column "output" (string) is missing. There are: instruction, input.',
    ],
    [
      'content that is a number',
      { messages: { list: { struct: { role: 'string', content: 'int' } } } },
      {},
      'BAD_FILE',
      'content',
    ],
  ]
  for (const [name, columns, more, code, says] of parquets) {
    test(`parquet: ${name}`, async () => {
      const lab = new Lab()
      const value = (type: ParquetType): unknown =>
        type === 'string'
          ? 'x'
          : type === 'int'
            ? 1n
            : typeof type === 'object' && 'list' in type
              ? [value(type.list)]
              : typeof type === 'object'
                ? Object.fromEntries(
                    Object.entries(type.struct).map(([field, inner]) => [field, value(inner)]),
                  )
                : 1
      lab.write(
        'a.parquet',
        parquetRows(columns, [
          Object.fromEntries(Object.entries(columns).map(([column, type]) => [column, value(type)])),
        ]),
      )
      await lab.refuses(recipeOf({ task: 'messages', path: 'a.parquet', ...more }), {
        exit: 1,
        code,
        says,
        hint: true,
      })
    })
  }

  test('bad rows of a table of JSON lines are set aside under their line numbers', async () => {
    const lab = new Lab()
    lab.write(
      'a.jsonl',
      `${JSON.stringify(shapes.messages.row)}\n\noops\n[1]\n{"messages": 3}\n${JSON.stringify(shapes.messages.row)}\n`,
    )
    const report = await lab.builds(recipeOf(jsonl(), { onBadRow: 'quarantine' }))
    expect(report.splits.train.conversations).toBe(2)
    expect(rejectedOf(lab).map(({ line, why }) => [line, why])).toEqual([
      [3, 'not JSON: at character 1 there is "o", where a value was expected.'],
      [4, 'expected an object, found a list'],
      [5, 'messages is a number, expected a list'],
    ])
  })
})
