/** Word lists and phrasebooks. */

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GOLDEN, Lab, type Recipe, recipeOf } from './support.ts'

const spelling = (more: Recipe) => recipeOf({ task: 'simple_spelling', size: 3, ...more })
const bee = (more: Recipe) => recipeOf({ task: 'spelling_bee', size: 3, words: 'w.txt', ...more })
const phrases = JSON.parse(readFileSync(join(GOLDEN, 'phrasebook.json'), 'utf8')) as Record<string, unknown>

describe.concurrent('a word list', () => {
  const cases: [name: string, content: string | Uint8Array, says: string | RegExp][] = [
    ['that is empty', '', 'w.txt: the word list holds no words'],
    ['of blank lines', '\n \r\n\t\n\u00a0\n', 'w.txt: the word list holds no words'],
    ['in Latin-1', Buffer.from('abc\ncaf\xe9\n', 'latin1'), 'w.txt, line 2: the word list is not UTF-8 text'],
    [
      'in UTF-16',
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('abc\n', 'utf16le')]),
      'w.txt, line 1: the word list is not UTF-8 text',
    ],
  ]
  for (const [name, content, says] of cases) {
    test(name, async () => {
      const lab = new Lab()
      lab.write('w.txt', content)
      await lab.refuses(spelling({ words: 'w.txt' }), { exit: 1, code: 'BAD_FILE', says, hint: true })
      await lab.refuses(bee({}), { exit: 1, code: 'BAD_FILE', says, hint: true })
      lab.write('w.txt', 'abc\n')
      expect((await lab.builds(spelling({ words: 'w.txt' }))).splits.train.conversations).toBe(3)
    })
  }

  test('that is not there', async () => {
    const lab = new Lab()
    await lab.refuses(spelling({ words: 'w.txt' }), {
      exit: 2,
      code: 'RECIPE',
      says: 'splits.train[0].words: there is no file w.txt',
      hint: lab.path('w.txt'),
    })
    await lab.refuses(spelling({ words: '.' }), {
      exit: 2,
      code: 'RECIPE',
      says: 'splits.train[0].words: . is a folder, expected a file',
    })
    await lab.refuses(
      spelling({ words: { repo: 'no/where', file: 'w.txt' } }),
      { exit: 5, code: 'HUB_UNREACHABLE', says: /no\/where|127\.0\.0\.1/, hint: true },
      { env: { SHARDMILL_HUB_RETRIES: '0' } },
    )
  })

  test('of words without any letter, or of one word', async () => {
    const lab = new Lab()
    lab.write('w.txt', '12\n')
    expect((await lab.builds(bee({}))).splits.train.conversations).toBe(3)
  })
})

describe.concurrent('a word list from a URL', () => {
  let url = ''
  const asked: Record<string, number> = {}
  const server = createServer((request, response) => {
    const path = request.url!.replace(/\?.*/, '')
    asked[path] = (asked[path] ?? 0) + 1
    if (path === '/good') response.end('abc\n')
    else if (path === '/second' && asked[path] === 2) response.end('abc\n')
    else if (path === '/second') response.writeHead(503, { 'retry-after': '0' }).end()
    else if (path === '/busy') response.writeHead(500).end()
    else if (path === '/short') {
      response.writeHead(200, { 'content-length': '100' }).write('abc')
      setTimeout(() => response.destroy(), 20)
    } else if (path === '/hang') return
    else if (path === '/loop') response.writeHead(302, { location: '/loop' }).end()
    else response.writeHead(404).end('not here')
  })
  beforeAll(async () => {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    server.close()
    server.closeAllConnections()
  })
  const env = { SHARDMILL_HUB_RETRIES: '1', SHARDMILL_HUB_TIMEOUT_MS: '500' }

  test('that is there, at the second try', async () => {
    const lab = new Lab()
    expect((await lab.builds(spelling({ words: `${url}/good` }), { env })).splits.train.conversations).toBe(3)
    expect((await lab.builds(spelling({ words: `${url}/second` }), { env })).splits.train.conversations).toBe(
      3,
    )
    expect(asked['/second']).toBe(2)
  })

  const cases: [path: string, exit: number, code: string, says: RegExp][] = [
    [
      '/missing?secret=1',
      1,
      'NOT_FOUND',
      /splits\.train\[0\]\.words: http:\/\/127\.0\.0\.1:\d+\/missing answered 404$/,
    ],
    ['/busy', 5, 'HUB_UNREACHABLE', /\/busy answered 500 \(tried 2 times\)/],
    ['/short', 5, 'HUB_UNREACHABLE', /\/short cannot be reached \(tried 2 times\)/],
    ['/hang', 5, 'HUB_UNREACHABLE', /\/hang fell silent \(tried 2 times\)/],
    ['/loop', 5, 'HUB_UNREACHABLE', /\/loop cannot be reached/],
  ]
  for (const [path, exit, code, says] of cases) {
    test(path, async () => {
      const error = await new Lab().refuses(
        spelling({ words: `${url}${path}` }),
        { exit, code, says, hint: true },
        { env },
      )
      expect(JSON.stringify(error)).not.toContain('secret')
    })
  }

  test('with a password in it', async () => {
    const error = await new Lab().refuses(
      spelling({ words: url.replace('//', '//me:hunter2@') }),
      { exit: 2, code: 'RECIPE', says: 'holds a user name or password', hint: true },
      { env, child: true },
    )
    expect(JSON.stringify(error)).not.toContain('hunter2')
  })

  test('of a host that is not there', async () => {
    await new Lab().refuses(
      spelling({ words: 'http://127.0.0.1:10/w.txt' }),
      { exit: 5, code: 'HUB_UNREACHABLE', says: 'http://127.0.0.1:10/w.txt cannot be reached', hint: true },
      { env },
    )
  })

  test('at a port that no client connects to: not tried again', async () => {
    await new Lab().refuses(
      spelling({ words: 'http://127.0.0.1:9/w.txt' }),
      {
        exit: 2,
        code: 'RECIPE',
        says: /words: http:\/\/127\.0\.0\.1:9\/w\.txt .* port that belongs to another protocol/,
        hint: true,
      },
      { env },
    )
  })
})

describe.concurrent('a phrasebook', () => {
  const change = (more: Record<string, unknown>) => JSON.stringify({ ...phrases, ...more })
  const cases: [name: string, content: string | Uint8Array, says: string | RegExp][] = [
    ['that is empty', '', 'p.json: the phrasebook is not JSON'],
    ['that is no JSON', '{oops}', 'p.json: the phrasebook is not JSON'],
    ['that is a list', '[]', 'p.json: the phrasebook is wrong'],
    ['that is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'p.json: the phrasebook is not UTF-8 text'],
    ['without a field', change({ final: undefined }), /p\.json: the phrasebook is wrong at final: /],
    ['with a field that is misspelt', change({ finale: 'x' }), /p\.json: the phrasebook is wrong: .*finale/],
    [
      'with a field that is a number',
      change({ miss_line: 3 }),
      /p\.json: the phrasebook is wrong at miss_line: /,
    ],
    [
      'without questions',
      change({ question_templates: [] }),
      /p\.json: the phrasebook is wrong at question_templates: /,
    ],
    [
      'with a question that is null',
      change({ question_templates: [null] }),
      /p\.json: the phrasebook is wrong at question_templates\[0\]: /,
    ],
    [
      'with a question that asks for no letter',
      change({ question_templates: ['Spell {word}'] }),
      'p.json: question_templates[0] lacks {letter}',
    ],
    [
      'with a placeholder that is not known',
      change({ final: 'It is {total}.' }),
      'p.json: final holds the placeholder {total}, which has no value there',
    ],
    ['with a control code', change({ final: '\u001b[2J{total\u001b}' }), ''],
  ]
  for (const [name, content, says] of cases) {
    test(name, async () => {
      const lab = new Lab()
      lab.write('w.txt', 'abc\n')
      lab.write('p.json', content)
      if (says === '') return void (await lab.builds(bee({ phrasebook: 'p.json' })))
      await lab.refuses(bee({ phrasebook: 'p.json' }), {
        exit: 1,
        code: 'BAD_FILE',
        says,
        hint: 'A phrasebook is a JSON object with the fields question_templates',
      })
    })
  }

  test('that is not there', async () => {
    const lab = new Lab()
    lab.write('w.txt', 'abc\n')
    await lab.refuses(bee({ phrasebook: 'p.json' }), {
      exit: 2,
      code: 'RECIPE',
      says: 'splits.train[0].phrasebook: there is no file p.json',
    })
  })
})
