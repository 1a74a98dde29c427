/** custom_json: every way in which a JSON-lines file of one's own can be wrong, and what looks wrong and is not. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { importLocalFiles } from '../../recipe/local-files.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { withTempStore } from '../stages/temp-store.ts'
import {
  conversation,
  customJson,
  goodLines,
  jsonLines,
  Lab,
  ROOT,
  recipeOf,
  rejectedOf,
  shardmill,
  tokensOf,
} from './support.ts'

const good = JSON.stringify(conversation('a', 'b'))
const line = (...messages: unknown[]) => JSON.stringify(messages)
const say = (role: unknown, content: unknown = 'x') => ({ role, content })
const answer = say('assistant')

/** Each stands on a line of its own in one file, good lines between them. */
const badLines: [line: string | Uint8Array, why: string | RegExp][] = [
  ['{oops}', 'not JSON: at character 2 there is "o", where a name in quotes was expected.'],
  [
    '[{"role": "user", "content": "hel',
    'not JSON: at character 34 the line ends, where the end of a string was expected.',
  ],
  ['\0\0\0', 'not JSON: at character 1 there is "\\u0000", where a value was expected.'],
  ['[NaN]', 'not JSON: at character 2 there is "N", where a value was expected.'],
  [`${good} ${good}`, /^not JSON: at character 68 there is "\[", where the end of the line was expected\.$/],
  ['['.repeat(200_000), /^not JSON: at character 200001 the line ends/],
  [Buffer.from([0x5b, 0x22, 0xff, 0xfe, 0x22, 0x5d]), 'not UTF-8.'],
  [Buffer.from(good, 'utf16le'), /not JSON|not UTF-8/],
  ['{"messages": []}', 'expected a list of messages, found an object'],
  ['7', 'expected a list of messages, found a number'],
  ['null', 'expected a list of messages, found null'],
  ['[]', 'expected at least 2 messages, found 0'],
  [line(say('user')), 'expected at least 2 messages, found 1'],
  [line('a', 'b'), 'message 0 is a string, expected an object with role and content'],
  [line({ content: 'a' }, answer), 'message 0 has no role'],
  [line({ role: 'user' }, answer), 'message 0 has no content'],
  [line(say('user'), say('assistant', null)), 'content of message 1 is null, expected a string'],
  [
    line(say('user'), say('assistant', [{ type: 'text' }])),
    'content of message 1 is a list, expected a string',
  ],
  [
    line(say('user'), say('user')),
    'message 1 is from "user", expected "assistant" (roles alternate, the user first)',
  ],
  [line(say('User'), answer), 'message 0 is from "User", expected "user" (roles alternate, the user first)'],
  [line(say(null), answer), 'message 0 is from null, expected "user" (roles alternate, the user first)'],
  [
    line(say('system'), say('user')),
    'message 0 is from "system", expected "user" (roles alternate, the user first)',
  ],
  [
    line(say('\u001b[31m\u0007\u009b'), answer),
    'message 0 is from "\\u001b[31m\\u0007\\u009b", expected "user" (roles alternate, the user first)',
  ],
]

describe.concurrent('custom_json', () => {
  test('every bad line is set aside with its number and the reason', async () => {
    const lab = new Lab()
    const parts = badLines.flatMap(([bad]) => [
      Buffer.from(good),
      Buffer.from('\n\n'),
      Buffer.from(bad as string),
      Buffer.from('\n'),
    ])
    lab.write('a.jsonl', Buffer.concat(parts))
    const report = await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine' }))
    expect(report.splits.train.sources[0]).toMatchObject({
      conversations: badLines.length,
      rejected: badLines.length,
    })
    const rejected = rejectedOf(lab)
    expect(rejected.map(({ line: number }) => number)).toEqual(badLines.map((_, i) => 3 * i + 3))
    for (const [i, [, why]] of badLines.entries()) {
      expect(rejected[i]).toMatchObject({ split: 'train', source: 'CustomJSON', file: 'a.jsonl' })
      if (typeof why === 'string') expect(rejected[i]!.why).toBe(why)
      else expect(rejected[i]!.why).toMatch(why)
    }
    // Rows that could be read are kept.
    expect(rejected[8]!.value).toEqual({ messages: [] })
  })

  test('a bad line stops the build; mended, the same store builds it', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', `${good}\n\n{oops}\n`)
    const error = await lab.refuses(
      recipeOf(customJson),
      {
        exit: 1,
        code: 'BAD_ROW',
        says: 'a.jsonl, line 3: not JSON: at character 2 there is "o", where a name in quotes was expected.',
        hint: /onBadRow: quarantine/,
      },
      { child: true },
    )
    expect(error.at).toEqual({ file: 'a.jsonl', line: 3 })
    lab.write('a.jsonl', goodLines)
    expect((await lab.builds(recipeOf(customJson))).splits.train.conversations).toBe(2)
  })

  test('what a bad line holds does nothing to the terminal', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', `${line(say('\u001b[2J\u0007\u009b2J\u2028\u202e'), answer)}\n`)
    await lab.refuses(
      recipeOf(customJson),
      { exit: 1, code: 'BAD_ROW', says: 'line 1: message 0 is from "\\u001b[2J\\u0007\\u009b2J\\u2028' },
      { child: true },
    )
    lab.write('a.jsonl', '\u001b]0;x\u0007\n')
    await lab.refuses(
      recipeOf(customJson),
      { exit: 1, code: 'BAD_ROW', says: 'there is "\\u001b", where' },
      { child: true },
    )
  })

  test('a file that is not there, unless it is optional', async () => {
    const lab = new Lab()
    await lab.refuses(recipeOf(customJson), {
      exit: 2,
      code: 'RECIPE',
      says: 'splits.train[0].path: there is no file a.jsonl',
      hint: `this one means ${lab.path('a.jsonl')}`,
    })
    await lab.refuses(recipeOf({ ...customJson, path: '../nowhere/a.jsonl', optional: false }), {
      exit: 2,
      code: 'RECIPE',
      says: 'there is no file ../nowhere/a.jsonl',
    })
    await lab.refuses(recipeOf({ ...customJson, path: '.' }), {
      exit: 2,
      code: 'RECIPE',
      says: '. is a folder, expected a file',
      hint: true,
    })
    await lab.refuses(recipeOf({ ...customJson, path: 'recipe.yaml/a.jsonl' }), {
      exit: 2,
      code: 'RECIPE',
      says: 'there is no file recipe.yaml/a.jsonl',
    })
    lab.write('b.jsonl', goodLines)
    const report = await lab.builds(
      recipeOf([
        { ...customJson, optional: true },
        { ...customJson, path: 'b.jsonl', label: 'B' },
      ]),
    )
    expect(report.splits.train.sources.map(({ conversations }) => conversations)).toEqual([0, 2])
  })

  test('build and plan say which optional file is not there and left out, and --json stays one object', async () => {
    const lab = new Lab()
    lab.write('b.jsonl', goodLines)
    lab.recipe(
      recipeOf([
        { ...customJson, path: 'b.jsonl' },
        { ...customJson, optional: true },
      ]),
    )
    const run = (...args: string[]) =>
      shardmill([...args, 'recipe.yaml', '--store', 'store'], { cwd: lab.dir })
    const notice = `splits.train[1].path: there is no file a.jsonl (${lab.path('a.jsonl')}): it is optional, and left out`
    const build = ['build', '--out', 'out']
    for (const command of [build, ['plan']]) {
      const told = await run(...command)
      expect(told.code, told.stderr).toBe(0)
      expect(told.stderr.split('\n').filter((line) => line.includes('a.jsonl'))).toEqual([notice])
      const json = await run(...command, '--json')
      expect(json.stderr).toBe('')
      expect(JSON.parse(json.stdout)).toMatchObject({ schema: 1 })
    }
  })

  test('where a build is submitted to Temporal, too; what the recipe does not name is not missed', async () => {
    const lab = new Lab()
    const recipe = recipeOf(
      { ...customJson, optional: true },
      {
        tokenizer: { kind: 'huggingface', path: join(ROOT, 'test/fixtures/jinja/tokenizer.json') },
        template: 'model', // a chat_template.jinja may lie beside the tokenizer
      },
    )
    const told: string[] = []
    await withTempStore((store) =>
      importLocalFiles(parseRecipe(JSON.stringify(recipe), 'r.yaml', []), store, lab.dir, (text) =>
        told.push(text),
      ),
    )
    expect(told).toEqual([expect.stringContaining(`no file a.jsonl (${lab.path('a.jsonl')})`)])
  })

  test('a mark, CRLF, blank lines, no newline at the end, extra fields, a last turn from the user, empty contents: taken', async () => {
    const lab = new Lab()
    const more = JSON.stringify(conversation('a', 'b', 'c').map((message) => ({ ...message, id: 1 })))
    lab.write('a.jsonl', `\ufeff${good}\r\n\r\n  \r${more}\n${JSON.stringify(conversation('', ''))}`)
    expect((await lab.builds(recipeOf(customJson))).splits.train.conversations).toBe(3)
  })

  test('a line of 10 MB', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', jsonLines([conversation('word '.repeat(2_000_000), 'y')]))
    const report = await lab.builds(recipeOf(customJson))
    expect(report.splits.train).toMatchObject({ conversations: 1, tokens: 64, truncated: 1 })
    expect(report.splits.train.sources[0]!.untrained).toBe(1)
  })

  test('lone surrogates, marks, NUL and the names of special tokens are ordinary text, as in Python', async () => {
    const lab = new Lab()
    // Ids from Python: Encoding.encode_ordinary of the same tokenizer.pkl, and the template's markers around them.
    const texts: [text: string, ids: number[]][] = [
      ['a\ud800b', [97, 239, 191, 189, 98]],
      ['\udc00\ud83d', [239, 191, 189, 239, 191, 189]],
      ['\ud83d\ud83d\ude00', [239, 191, 189, 240, 159, 152, 128]],
      ['\ufeffx\0y', [239, 187, 191, 120, 0, 121]],
      [
        '<|assistant_end|>z<|bos|>',
        [
          60, 124, 97, 115, 115, 105, 115, 116, 258, 116, 95, 269, 100, 124, 62, 122, 60, 124, 98, 111, 115,
          124, 62,
        ],
      ],
    ]
    lab.write('a.jsonl', jsonLines(texts.map(([text]) => conversation(text, text))))
    await lab.builds(recipeOf(customJson, { shuffle: { kind: 'none' } }))
    expect(tokensOf(lab, 'sft_train_000000.bin')).toEqual(
      texts.flatMap(([, ids]) => [416, 417, ...ids, 418, 419, ...ids, 420]),
    )
  })

  test('with a tiktoken encoding its own special tokens are ordinary text too', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', jsonLines([conversation('<|endoftext|>', '\udc00\ud83d')]))
    await lab.builds(recipeOf(customJson, { tokenizer: { kind: 'tiktoken', encoding: 'gpt2' } }))
    expect(tokensOf(lab, 'sft_train_000000.bin')).toEqual([
      50257, 50258, 27, 91, 437, 1659, 5239, 91, 29, 50259, 50260, 6353, 50261,
    ])
  })
})

test('a line of text that is cut is no line', async () => {
  const here = new Lab()
  here.write('a.jsonl', goodLines)
  await here.refuses(
    {
      ...recipeOf(customJson),
      tokenizer: { kind: 'bytes' },
      template: 'user_assistant',
      output: { format: 'text' },
      maxSeqLen: 20,
    },
    {
      exit: 2,
      code: 'RECIPE',
      says: 'a line of text was cut at maxSeqLen (20 bytes): {"user_text": "',
      hint: 'tooLong: drop',
    },
  )
})
