/** custom_json: every way in which a JSON-lines file of one's own can be wrong. */
import { describe, expect, test } from 'vitest'
import { conversation, customJson, goodLines, jsonLines, Lab, recipeOf, type Refusal } from './support.ts'

const badRow = (says: Refusal['says']): Refusal => ({ exit: 1, code: 'BAD_ROW', says, hint: /onBadRow/ })
const good = JSON.stringify(conversation('a', 'b'))

const bad: Record<string, { text: string | Uint8Array; refusal: Refusal }> = {
  'a line that is no JSON': { text: `${good}\n\n{oops}\n`, refusal: badRow(['a.jsonl, line 3: ', 'not JSON: at character 2']) },
  'a line cut short': { text: `${good}\n[{"role": "user", "content": "hel`, refusal: badRow(['a.jsonl, line 2: ', 'the line ends']) },
  'an object instead of a list': { text: '{"messages": []}\n', refusal: badRow(['line 1: ', 'expected a list of messages', 'object']) },
  'a number': { text: '7\n', refusal: badRow(['line 1: ', 'expected a list of messages, found a number']) },
  'null': { text: 'null\n', refusal: badRow(['line 1: ', 'found null']) },
  'an empty list': { text: '[]\n', refusal: badRow(['line 1: ', 'at least 2 messages, found 0']) },
  'one message': { text: jsonLines([conversation('a')]), refusal: badRow(['line 1: ', 'at least 2 messages, found 1']) },
  'a message that is a string': { text: '["a","b"]\n', refusal: badRow(['line 1: message 0 is a string']) },
  'a message without role': { text: '[{"content":"a"},{"role":"assistant","content":"b"}]\n', refusal: badRow('message 0 has no role') },
  'a message without content': { text: '[{"role":"user"},{"role":"assistant","content":"b"}]\n', refusal: badRow('message 0 has no content') },
  'content null': { text: jsonLines([conversation('a', null)]), refusal: badRow('content of message 1 is null, expected a string') },
  'content a list': { text: jsonLines([conversation('a', [{ type: 'text' }])]), refusal: badRow('content of message 1 is a list') },
  'two user turns': { text: jsonLines([[conversation('a')[0], conversation('b')[0]]]), refusal: badRow(['line 1: message 1 is from "user", expected "assistant"', 'alternate']) },
  'an unknown role': { text: jsonLines([[{ role: 'User', content: 'a' }, { role: 'assistant', content: 'b' }]]), refusal: badRow('message 0 is from "User", expected "user"') },
  'a role that is null': { text: jsonLines([[{ role: null, content: 'a' }, { role: 'assistant', content: 'b' }]]), refusal: badRow('message 0 is from null, expected "user"') },
  'only a system message': { text: jsonLines([[{ role: 'system', content: 'a' }, { role: 'user', content: 'b' }]]), refusal: badRow('message 0 is from "system", expected "user"') },
  'a line that is not UTF-8': { text: Buffer.concat([Buffer.from(`${good}\n`), Buffer.from([0x5b, 0x22, 0xff, 0xfe, 0x22, 0x5d, 0x0a])]), refusal: badRow(['line 2: ', 'UTF-8']) },
  'UTF-16': { text: Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(`${good}\n`, 'utf16le')]), refusal: badRow(['line 1: ', 'UTF-8']) },
  'NUL bytes': { text: `${good}\n\0\0\0\0\n`, refusal: badRow(['line 2: ', 'not JSON']) },
  'NaN': { text: '[NaN]\n', refusal: badRow(['line 1: ', 'not JSON']) },
  'deep nesting': { text: `${'['.repeat(200_000)}\n`, refusal: badRow(['line 1: ']) },
  'an empty file': { text: '', refusal: { exit: 1, code: 'BAD_FILE', says: ['a.jsonl: ', 'empty'], hint: true } },
  'a role with control codes': { text: jsonLines([[{ role: '\u001b[31muser\u0007\u009b', content: 'a' }, { role: 'assistant', content: 'b' }]]), refusal: badRow('message 0 is from "\\u001b[31muser') },
}

describe.concurrent('custom_json refuses', () => {
  for (const [name, { text, refusal }] of Object.entries(bad)) {
    test(name, async () => {
      const lab = new Lab()
      lab.write('a.jsonl', text)
      await lab.refuses(recipeOf(customJson), refusal)
      // Mended, the same store builds it.
      if (name === 'a line that is no JSON') {
        lab.write('a.jsonl', goodLines)
        expect((await lab.builds(recipeOf(customJson))).splits.train.conversations).toBe(2)
      }
    })
  }

  test('a file that is not there, unless it is optional', async () => {
    const lab = new Lab()
    await lab.refuses(recipeOf(customJson), { exit: 2, code: 'RECIPE', says: ['splits.train[0].path', 'no file a.jsonl'], hint: /recipe's folder/ })
    await lab.refuses(recipeOf({ ...customJson, path: '../../nowhere/a.jsonl' }), { exit: 2, code: 'RECIPE', says: 'no file' })
    await lab.refuses(recipeOf({ ...customJson, path: '.' }), { exit: 2, code: 'RECIPE', says: 'not a file' })
    lab.write('b.jsonl', goodLines)
    const report = await lab.builds(recipeOf([{ ...customJson, optional: true }, { ...customJson, path: 'b.jsonl', label: 'B' }]))
    expect(report.splits.train.sources.map(({ conversations }) => conversations)).toEqual([0, 2])
  })
})

describe.concurrent('custom_json takes', () => {
  const taken: Record<string, { text: string | Uint8Array; conversations: number }> = {
    'a byte order mark, CRLF, blank lines and no newline at the end': { text: `\ufeff${good}\r\n\r\n   \r\n${good}`, conversations: 2 },
    'a line of 10 MB': { text: jsonLines([conversation('x'.repeat(10_000_000), 'y')]), conversations: 1 },
    'extra fields': { text: jsonLines([conversation('a', 'b').map((message) => ({ ...message, id: 1 }))]), conversations: 1 },
    'empty contents': { text: jsonLines([conversation('', '')]), conversations: 1 },
    'NUL, U+2028, U+0085 and a byte order mark in contents': { text: jsonLines([conversation('a\0b\u2028c\u0085d', '\ufeffe')]), conversations: 1 },
    'a last turn from the user': { text: jsonLines([conversation('a', 'b', 'c')]), conversations: 1 },
  }
  for (const [name, { text, conversations }] of Object.entries(taken)) {
    test(name, async () => {
      const lab = new Lab()
      lab.write('a.jsonl', text)
      expect((await lab.builds(recipeOf(customJson))).splits.train.conversations).toBe(conversations)
    })
  }
})
