/** What a message holds beside its content (tool calls, reasoning): no template renders it, so the row is bad. */
import { describe, expect, test } from 'vitest'
import { jsonLines, Lab, type ParquetType, parquetRows, recipeOf } from './support.ts'

const question = [
  { role: 'user', content: 'a' },
  { role: 'assistant', content: 'b' },
]

/** As JSON has it, which knows no bigint. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? Number(one) : one)))

const badRow = (more: { readonly says: string; readonly hint: string }) => ({
  exit: 1,
  code: 'BAD_ROW',
  ...more,
})

describe.concurrent('beside the content', () => {
  const more: [name: string, value: unknown, type: ParquetType][] = [
    [
      'tool_calls',
      [{ id: 'c1', function: { name: 'f', arguments: '{}' } }],
      { list: { struct: { id: 'string', function: { struct: { name: 'string', arguments: 'string' } } } } },
    ],
    ['tool_calls', '[{"name": "f"}]', 'string'],
    ['function_call', { name: 'f', arguments: '{}' }, { struct: { name: 'string', arguments: 'string' } }],
    ['function_calls', [{ n: 1n }], { list: { struct: { n: 'int' } } }],
    ['reasoning_content', 'Let me think.', 'string'],
    ['reasoning', 'Let me think.', 'string'],
    ['thinking', 'Let me think.', 'string'],
  ]
  for (const [name, value, type] of more) {
    const message = (role: string, content: string, held: unknown) => ({ role, content, [name]: held })
    const good = { messages: [message('user', 'a', null), message('assistant', 'b', null)] }
    const bad = { messages: [message('user', 'a', null), message('assistant', 'b', value)] }
    const kind = typeof type === 'string' ? type : Object.keys(type)[0]!
    const files: [format: string, file: string, place: string, bytes: () => string | Uint8Array][] = [
      ['JSON lines', 'a.jsonl', 'line 2', () => jsonLines(plain([good, bad]) as unknown[])],
      [
        'parquet',
        'a.parquet',
        'row 1',
        () =>
          parquetRows(
            { messages: { list: { struct: { role: 'string', content: 'string', [name]: type } } } },
            [good, bad],
          ),
      ],
    ]
    for (const [format, file, place, bytes] of files) {
      test(`${format}: a message with ${name} (${kind}) beside its content`, async () => {
        const lab = new Lab()
        lab.write(file, bytes())
        await lab.refuses(
          recipeOf({ task: 'messages', path: file }),
          badRow({
            says: `${file}, ${place}: message 1 has ${name} beside its content, expected all of it in the content (no template renders ${name})`,
            hint: 'Prepare the data so that each message is its role and content',
          }),
        )
        const report = await lab.builds(
          recipeOf({ task: 'messages', path: file }, { onBadRow: 'quarantine' }),
        )
        expect(report.splits.train.sources[0]).toMatchObject({ conversations: 1, rejected: 1 })
      })
    }
  }

  const nothing: [value: unknown, type: ParquetType][] = [
    [null, 'string'],
    ['', 'string'],
    ['[]', 'string'],
    ['{}', 'string'],
    ['null', 'string'],
    [[], { list: { struct: { name: 'string' } } }],
    [{ name: null }, { struct: { name: 'string', flags: { list: 'string' } } }],
    [false, 'bool'],
    [0n, 'int'],
  ]
  test('what is null or empty beside a content, or used as the content, is no matter', async () => {
    const lab = new Lab()
    const sources = nothing.flatMap(([held, type], i) => {
      const messages = question.map((message) => ({ ...message, tool_calls: held }))
      lab.write(`${i}.jsonl`, jsonLines(plain([{ messages }]) as unknown[]))
      lab.write(
        `${i}.parquet`,
        parquetRows(
          { messages: { list: { struct: { role: 'string', content: 'string', tool_calls: type } } } },
          [{ messages }],
        ),
      )
      return [`${i}.jsonl`, `${i}.parquet`].map((path) => ({ task: 'messages', path }))
    })
    const thought = question.map(({ role, content }) => ({ role, thinking: content }))
    lab.write('thought.jsonl', jsonLines([{ messages: thought, tools: [{ name: 'f' }] }]))
    sources.push({ task: 'messages', path: 'thought.jsonl', columns: { content: 'thinking' } } as never)
    const report = await lab.builds(recipeOf(sources))
    expect(report.splits.train.conversations).toBe(2 * nothing.length + 1)
  })
})
