/** The hub's client: revisions, listings, cards, ranges, what it asks again for, and its errors. */
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../errors/index.ts'
import { listNames, nearest } from '../../errors/nearest.ts'
import { createHub } from '../../hub/client/hub.ts'
import { CARD, failure, GSM, hubAt, open, serve } from './client-fixture.ts'
import { bytesOf, COMMIT, type Fault, gitOid, type Logged, sha256, startFaultServer } from './fault-server.ts'

describe('the hub', () => {
  test('resolves a revision to its commit, with any kind of token, and a commit without asking', async () => {
    const [server, hub] = await serve({ files: GSM })
    expect(await hub.resolveRevision('openai/gsm8k')).toBe(COMMIT)
    expect(await hub.resolveRevision('openai/gsm8k', 'refs/convert/parquet')).toBe(COMMIT)
    expect(server.log[0]!.headers.authorization).toBe('Bearer not-an-hf-token')
    expect(server.log[1]!.path).toContain('/api/datasets/openai/gsm8k/revision/refs/convert/parquet?')
    const other = 'ab'.repeat(20)
    expect(await hub.resolveRevision('openai/gsm8k', other)).toBe(other)
    expect(server.log).toHaveLength(2)
  })

  test('keeps a revision at one commit though it moves meanwhile, and asks again after a failure', async () => {
    let asked = 0
    const plan = (): Fault => {
      asked++
      return asked === 1 ? { status: 404 } : { body: JSON.stringify({ sha: `${asked}`.repeat(40) }) }
    }
    const [server, hub] = await serve({ plan })
    expect(await failure(hub.resolveRevision('a/b'))).toMatchObject({ code: 'NOT_FOUND' })
    const both = await Promise.all([hub.resolveRevision('a/b'), hub.resolveRevision('a/b', 'main')])
    expect([...both, await hub.resolveRevision('a/b')]).toEqual(Array(3).fill('2'.repeat(40)))
    expect(server.log).toHaveLength(2)
  })

  test('lists all pages, sorted, with the digests it knows', async () => {
    const [server, hub] = await serve({ files: GSM, page: 2 })
    const files = await hub.listFiles('openai/gsm8k', COMMIT)
    expect(files.map(({ path }) => path)).toEqual([
      'README.md',
      'extra/more.jsonl',
      'main/test-00000-of-00001.parquet',
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
      'socratic/train-00000-of-00001.parquet',
    ])
    expect(files[0]).toEqual({
      repo: 'openai/gsm8k',
      commit: COMMIT,
      path: 'README.md',
      bytes: CARD.length,
      gitOid: gitOid(Buffer.from(CARD)),
    })
    expect(files[2]).toMatchObject({ bytes: 500, sha256: sha256(bytesOf(500, 1)) })
    expect(server.log).toHaveLength(3)
  })

  test('reads the card and a small file', async () => {
    const [, hub] = await serve({ files: GSM })
    expect(await hub.readme('openai/gsm8k', COMMIT)).toBe(CARD)
    const file = (await hub.listFiles('openai/gsm8k', COMMIT))[2]!
    const content = bytesOf(500, 1)
    expect(content.equals(await hub.readFile(file, 500))).toBe(true)
    expect(await failure(hub.readFile(file, 499))).toMatchObject({ code: 'BAD_FILE' })
  })

  test.each([
    '<TARGET>;rel=next',
    '<TARGET>; rel="next"; title="a, b"',
    '</api/datasets/openai/gsm8k/tree/x?cursor=2>; REL="Next"',
    '<http://other.invalid/first>; rel="first", <TARGET>; rel="prefetch next"',
  ])('follows the next page, written as %s', async (link) => {
    const plan = ({ path, headers }: Logged): Fault | undefined => {
      if (!path.includes('/tree/') || path.includes('cursor=')) return undefined
      const target = `http://${headers.host}/api/datasets/openai/gsm8k/tree/x?cursor=2`
      return { headers: { link: link.replace('TARGET', target) } }
    }
    const [, hub] = await serve({ files: GSM, page: 2, plan })
    expect(await hub.listFiles('openai/gsm8k', COMMIT)).toHaveLength(6)
  })

  test('refuses wrong bytes of a small file', async () => {
    const [, hub] = await serve({
      files: GSM,
      plan: ({ path }) => (path.includes('/resolve/') ? { wrongBytes: true } : undefined),
    })
    expect(await failure(hub.readme('openai/gsm8k', COMMIT))).toMatchObject({ code: 'HUB_ANSWER' })
  })

  test.each<[string, Fault]>([
    ['503', { status: 503 }],
    ['429', { status: 429, headers: { 'retry-after': '0' } }],
    ['a reset in the middle of the list', { resetAfter: 30 }],
    ['a page that is no JSON', { body: '<html>' }],
    ['half a JSON', { shortAfter: 50 }],
    ['silence', { hangAfter: 40 }],
  ])('lists all the same after %s', async (_, fault) => {
    const [, hub] = await serve({ files: GSM, page: 3, plan: (_, nth) => (nth === 0 ? fault : undefined) })
    expect(await hub.listFiles('openai/gsm8k', COMMIT)).toHaveLength(6)
  })

  const broken: [string, Fault, ErrorCode, RegExp][] = [
    ['always 500', { status: 500 }, 'HUB_UNREACHABLE', /answered 500 \(tried 3 times\)/],
    ['always a login page', { body: '<html>' }, 'HUB_ANSWER', /not JSON/],
    ['an object for a list', { body: '{"x":1}' }, 'HUB_ANSWER', /another shape/],
    ['null', { body: 'null' }, 'HUB_ANSWER', /another shape/],
    ['an entry without a path', { body: '[{"type":"file","size":1}]' }, 'HUB_ANSWER', /another shape/],
    ['a negative size', { body: `[{"type":"file","path":"a","size":-1}]` }, 'HUB_ANSWER', /another shape/],
    [
      'a digest that is none',
      { body: `[{"type":"file","path":"a","size":1,"oid":"xyz"}]` },
      'HUB_ANSWER',
      /another shape/,
    ],
    ['404', { status: 404 }, 'NOT_FOUND', /no dataset openai\/gsm8k/],
    ['401', { status: 401 }, 'HUB_DENIED', /no dataset openai\/gsm8k .*token may not see it/],
    ['403 gated', { status: 403, headers: { 'x-error-code': 'GatedRepo' } }, 'HUB_DENIED', /gated/],
    [
      'a page that follows itself',
      { headers: { link: '<http://HOST/api/datasets/openai/gsm8k/tree/x>; rel="next"' } },
      'HUB_ANSWER',
      /twice/,
    ],
    [
      'a next page that is a file of this machine',
      { headers: { link: '<file:///etc/passwd>; rel="next"' } },
      'HUB_ANSWER',
      /no web address/,
    ],
    [
      'a next page without an address',
      { headers: { link: '<http://[>; rel=next' } },
      'HUB_ANSWER',
      /no web address/,
    ],
    ...['../x', '/etc/passwd', 'a/../b', 'a\\u0000b', 'a//b'].map(
      (path): [string, Fault, ErrorCode, RegExp] => [
        `a file named ${path}`,
        { body: `[{"type":"file","path":"${path}","size":1}]` },
        'HUB_ANSWER',
        /would leave its folder/,
      ],
    ),
  ]
  test.each(broken)('gives one clear error for %s', async (_, fault, code, text) => {
    const plan = ({ headers }: Logged): Fault => {
      const link = fault.headers?.['link']?.replace('HOST', headers.host!)
      return link === undefined ? fault : { ...fault, headers: { link } }
    }
    const [, hub] = await serve({ files: GSM, plan })
    const error = await failure(hub.listFiles('openai/gsm8k', COMMIT))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
    expect(JSON.stringify(error.toFacts())).not.toContain('not-an-hf-token')
  })

  test('without a token says that a missing dataset may be a private one', async () => {
    const server = await startFaultServer({
      plan: () => ({ status: 401, headers: { 'x-error-code': 'RepoNotFound' } }),
    })
    open.push(server)
    const hub = createHub({ ...hubAt(server.url).http.settings, token: undefined })
    const error = await failure(hub.resolveRevision('openai/gsm9k'))
    expect(error).toMatchObject({ code: 'NOT_FOUND', hint: expect.stringContaining('HF_TOKEN') })
    expect(error.message).toContain('is private and no token is set')
    expect(server.log[0]!.headers.authorization).toBeUndefined()
  })

  test('at a port that no HTTP client connects to: one error at once', async () => {
    const waits: string[] = []
    const { settings } = hubAt('http://127.0.0.1:6000').http
    const hub = createHub(settings, { onRetry: ({ message }) => waits.push(message) })
    const error = await failure(hub.resolveRevision('a/b'))
    expect(error).toMatchObject({ code: 'HUB_UNREACHABLE', retryable: false })
    expect(error.message).toContain('the hub at http://127.0.0.1:6000 is at port 6000, which belongs to')
    expect(error.hint).toContain('HF_ENDPOINT')
    expect(waits).toEqual([])
  })

  test('has no commit for an answer without one', async () => {
    const [, hub] = await serve({ plan: () => ({ body: '{"sha":"../.."}' }) })
    expect(await failure(hub.resolveRevision('a/b'))).toMatchObject({ code: 'HUB_ANSWER' })
  })

  test.each(['', 'a/b/c', '../x', 'a/..', '/a', 'a b', 'a/b?x', 'https://huggingface.co/datasets/a/b'])(
    'is not asked for a dataset named %j',
    async (repo) => {
      const [server, hub] = await serve({})
      expect(await failure(hub.resolveRevision(repo))).toMatchObject({ code: 'RECIPE' })
      expect(await failure(hub.listFiles(repo, COMMIT))).toMatchObject({ code: 'RECIPE' })
      expect(server.log).toHaveLength(0)
    },
  )

  test.each(['', 'a b', '../..', 'x\0', 'a:b'])('is not asked for a revision named %j', async (revision) => {
    const [server, hub] = await serve({})
    expect(await failure(hub.resolveRevision('a/b', revision))).toMatchObject({ code: 'RECIPE' })
    expect(server.log).toHaveLength(0)
  })
})

test('nearest finds what was meant, and nothing where nothing is near', () => {
  expect(nearest('mian', ['all', 'main'])).toBe('main')
  expect(nearest('TRAIN', ['test', 'train'])).toBe('train')
  expect(nearest('auxilary_train', ['test', 'auxiliary_train'])).toBe('auxiliary_train')
  expect(nearest('xyz', ['a', 'b'])).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
  expect(listNames(['a', 'b', 'c'], 2)).toBe('"a", "b" and 1 more')
})
