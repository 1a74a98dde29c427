/** Tokenizers that are none, that lack something, or that would do harm. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { startHubServer } from '../../hub/server/index.ts'
import { customJson, GOLDEN, goodLines, Lab, parquetOf, type Recipe, recipeOf, shardmill } from './support.ts'

const pickle = readFileSync(join(GOLDEN, 'tokenizer.pkl'))
const nanochat = { kind: 'nanochat', path: 'tokenizer.pkl' }
const lab = (content?: string | Uint8Array) => {
  const made = new Lab()
  made.write('a.jsonl', goodLines)
  if (content !== undefined) made.write('tokenizer.pkl', content)
  return made
}
const withTokenizer = (tokenizer: Recipe, more: Recipe = {}) => recipeOf(customJson, { tokenizer, ...more })

describe.concurrent('a tokenizer.pkl that is', () => {
  const cases: [name: string, content: string | Uint8Array, says: string | RegExp][] = [
    ['text', 'hello\n', /^tokenizer\.pkl: /],
    ['empty', '', /^tokenizer\.pkl: /],
    ['cut short', pickle.subarray(0, 2000), /^tokenizer\.pkl: /],
    ['compressed', gzipSync(pickle), /^tokenizer\.pkl: /],
    [
      'a tokenizer.json',
      JSON.stringify({ version: '1.0', model: { type: 'BPE', vocab: {}, merges: [] } }),
      /^tokenizer\.pkl: .*tokenizer\.json/,
    ],
    ['another object', Buffer.from('\x80\x04}\x94.', 'latin1'), /^tokenizer\.pkl: /],
    [
      'without one of the special tokens',
      Buffer.from(pickle.toString('latin1').replaceAll('<|python_start|>', '<|python_stxrt|>'), 'latin1'),
      /^tokenizer\.pkl: .*no special token <\|python_start\|>/,
    ],
    ['a program', "cos\nsystem\n(S'touch hacked'\ntR.", /^tokenizer\.pkl: /],
  ]
  for (const [name, content, says] of cases) {
    test(name, async () => {
      const spoilt = lab(content)
      await spoilt.refuses(
        withTokenizer(nanochat),
        { exit: 1, code: 'BAD_TOKENIZER', says, hint: true },
        name === 'a program' ? { child: true } : {},
      )
      expect(existsSync(spoilt.path('hacked'))).toBe(false)
      spoilt.write('tokenizer.pkl', pickle)
      await spoilt.builds(withTokenizer(nanochat))
    })
  }
})

describe.concurrent('a tokenizer in the recipe that is', () => {
  test('not there, a folder, or named by half', async () => {
    const here = lab()
    const recipe = { exit: 2, code: 'RECIPE' }
    await here.refuses(withTokenizer(nanochat), {
      ...recipe,
      says: 'tokenizer.path: there is no file tokenizer.pkl',
      hint: here.path('tokenizer.pkl'),
    })
    await here.refuses(withTokenizer({ kind: 'nanochat', path: '.' }), {
      ...recipe,
      says: 'tokenizer.path: . is a folder, expected a file',
    })
    await here.refuses(withTokenizer({ kind: 'nanochat', path: 'a\0b' }), {
      ...recipe,
      says: 'tokenizer.path: ',
    })
    for (const half of [{}, { repo: 'a/b' }, { file: 'x' }, { path: 'x', repo: 'a/b', file: 'y' }]) {
      await here.refuses(withTokenizer({ kind: 'nanochat', ...half }), {
        ...recipe,
        says: 'tokenizer: kind nanochat needs path (a local file), or repo and file (on the hub)',
      })
    }
  })

  test('not in its repository', async () => {
    const hub = new Lab()
    hub.write('datasets/some/tokens/README.md', '# tokens\n')
    const server = await startHubServer(hub.dir)
    try {
      await lab().refuses(
        withTokenizer({ kind: 'nanochat', repo: 'some/tokens', file: 'tokenizer.pkl' }),
        {
          exit: 1,
          code: 'NOT_FOUND',
          says: 'tokenizer.file: dataset some/tokens has no file "tokenizer.pkl" at revision main',
          hint: 'README.md',
        },
        { env: { HF_ENDPOINT: server.url } },
      )
    } finally {
      await server.close()
    }
  })
})

describe.concurrent('uint16 and uint32', () => {
  test('uint16 for a larger vocabulary: an error before anything is fetched', async () => {
    const hub = new Lab()
    hub.write(
      'datasets/openai/gsm8k/main/train.parquet',
      parquetOf({ question: { type: 'string', data: ['q'] }, answer: { type: 'string', data: ['a'] } }),
    )
    const requests: string[] = []
    const server = await startHubServer(hub.dir, { log: (line) => requests.push(line) })
    try {
      const recipe = recipeOf(
        { task: 'gsm8k', subset: 'default', split: 'train' },
        { tokenizer: { kind: 'tiktoken', encoding: 'o200k_base' }, dtype: 'uint16' },
      )
      await lab().refuses(
        recipe,
        {
          exit: 2,
          code: 'RECIPE',
          says: 'dtype is uint16, but the tokenizer has 200028 ids, more than uint16 can hold (65536)',
          hint: 'dtype',
        },
        { env: { HF_ENDPOINT: server.url } },
      )
      expect(requests.filter((line) => line.includes('.parquet'))).toEqual([])
    } finally {
      await server.close()
    }
  })

  test('uint32 may be forced', async () => {
    const here = lab(pickle)
    const report = await here.builds(withTokenizer(nanochat, { dtype: 'uint32' }))
    expect(report.dtype).toBe('uint32')
    expect(report.vocabularySize).toBe(425)
    const verified = await shardmill(['verify', here.out, '--json'])
    expect(verified.code, verified.stderr).toBe(0)
  })
})
