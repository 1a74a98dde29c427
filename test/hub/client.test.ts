import { afterEach, describe, expect, test } from 'vitest'
import { type ErrorCode, isShardmillError, type ShardmillError } from '../../errors/index.ts'
import { listNames, nearest } from '../../errors/nearest.ts'
import { CONVERTED_BRANCH, findSplit, type SplitWanted } from '../../hub/client/find-split.ts'
import { createHub, type Hub } from '../../hub/client/hub.ts'
import {
  bytesOf,
  COMMIT,
  type Fault,
  type FaultServer,
  gitOid,
  type Logged,
  sha256,
  startFaultServer,
  treeEntry,
} from './fault-server.ts'

const open: FaultServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

const CARD = `---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
---
# A card
`
const GSM = {
  'openai/gsm8k/README.md': Buffer.from(CARD),
  'openai/gsm8k/main/test-00000-of-00001.parquet': bytesOf(500, 1),
  'openai/gsm8k/main/train-00001-of-00002.parquet': bytesOf(700, 2),
  'openai/gsm8k/main/train-00000-of-00002.parquet': bytesOf(600, 3),
  'openai/gsm8k/socratic/train-00000-of-00001.parquet': bytesOf(400, 4),
  'openai/gsm8k/extra/more.jsonl': Buffer.from('{"a":1}\n'),
}

async function serve(options: Parameters<typeof startFaultServer>[0]): Promise<[FaultServer, Hub]> {
  const server = await startFaultServer(options)
  open.push(server)
  return [server, hubAt(server.url)]
}

function hubAt(endpoint: string, token: string | undefined = 'not-an-hf-token'): Hub {
  const retry = { tries: 3, idleMs: 500, baseMs: 5, totalMs: 10_000 }
  return createHub({ endpoint, token, offline: false, retry })
}

async function failure(work: Promise<unknown>): Promise<ShardmillError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!isShardmillError(error))
    throw new Error(`expected a ShardmillError, got ${String(error)}`, { cause: error })
  return error
}

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

  test('reads the card, a small file and a range', async () => {
    const [server, hub] = await serve({ files: GSM })
    expect(await hub.readme('openai/gsm8k', COMMIT)).toBe(CARD)
    const file = (await hub.listFiles('openai/gsm8k', COMMIT))[2]!
    const content = bytesOf(500, 1)
    expect(content.equals(await hub.readFile(file, 500))).toBe(true)
    expect(content.subarray(492).equals(await hub.readRange(file, 492, 500))).toBe(true)
    expect(content.subarray(3, 7).equals(await hub.readRange(file, 3, 7))).toBe(true)
    expect(await hub.readRange(file, 9, 9)).toHaveLength(0)
    expect(server.log.at(-1)!.sent).toBe(4)
    expect(await failure(hub.readFile(file, 499))).toMatchObject({ code: 'BAD_FILE' })
  })

  test.each<[string, Fault[]]>([
    ['a server without ranges', [{ ignoreRange: true }]],
    ['a reset', [{ resetAfter: 2 }]],
    ['a short answer', [{ shortAfter: 2 }]],
    ['503', [{ status: 503 }, { status: 503 }]],
    ['another range', [{ headers: { 'content-range': 'bytes 0-9/500' } }]],
  ])('reads a range from %s', async (_, faults) => {
    const [, hub] = await serve({
      files: GSM,
      chunk: 100,
      plan: ({ path }, nth) => (path.includes('/resolve/') ? faults[nth] : undefined),
    })
    const file = (await hub.listFiles('openai/gsm8k', COMMIT))[2]!
    expect(
      bytesOf(500, 1)
        .subarray(150, 333)
        .equals(await hub.readRange(file, 150, 333)),
    ).toBe(true)
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

describe('findSplit', () => {
  const find = async (
    wanted: SplitWanted,
    files: Record<string, Uint8Array> = GSM,
    repo = 'openai/gsm8k',
  ) => {
    const [, hub] = await serve({ files })
    return findSplit(hub, repo, wanted)
  }

  test('takes the files that the card names, pinned to the commit', async () => {
    const found = await find({ subset: 'main', split: 'train' })
    expect(found).toMatchObject({
      repo: 'openai/gsm8k',
      revision: 'main',
      commit: COMMIT,
      converted: false,
      subset: 'main',
      split: 'train',
      format: 'parquet',
    })
    expect(found.files.map(({ path }) => path)).toEqual([
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
    ])
    expect(found.files[1]).toMatchObject({
      repo: 'openai/gsm8k',
      commit: COMMIT,
      sha256: sha256(bytesOf(700, 2)),
    })
  })

  test('goes by the usual names without a card', async () => {
    const files = { 'o/d/train.jsonl': Buffer.from('{}\n'), 'o/d/test.jsonl': Buffer.from('{}\n') }
    const found = await find({ split: 'test' }, files, 'o/d')
    expect(found).toMatchObject({
      subset: 'default',
      format: 'jsonl',
      files: [{ path: 'test.jsonl', gitOid: gitOid(Buffer.from('{}\n')) }],
    })
  })

  const wrong: [string, SplitWanted, ErrorCode, RegExp, RegExp][] = [
    [
      'a misspelt subset',
      { subset: 'mian', split: 'train' },
      'NOT_FOUND',
      /no subset "mian"/,
      /mean "main"\? .*"main", "socratic"/,
    ],
    [
      'a far-off subset',
      { subset: 'zzzzzzzz', split: 'train' },
      'NOT_FOUND',
      /no subset/,
      /^Its subsets are "main", "socratic"\.$/,
    ],
    [
      'no subset where there are several',
      { split: 'train' },
      'RECIPE',
      /several subsets/,
      /"main", "socratic"/,
    ],
    [
      'a misspelt split',
      { subset: 'main', split: 'Test' },
      'NOT_FOUND',
      /subset "main" .* no split "Test"/,
      /mean "test"\? .*"train", "test"/,
    ],
    [
      'a split of another subset',
      { subset: 'socratic', split: 'test' },
      'NOT_FOUND',
      /subset "socratic" .* no split "test"/,
      /"train"/,
    ],
    [
      'a glob that matches nothing',
      { subset: 'main', split: 'train', files: 'main/trian-*' },
      'NOT_FOUND',
      /no file .* matches "main\/trian-\*"/,
      /files/,
    ],
    [
      'a glob for files of another split',
      { subset: 'main', split: 'train', files: '**/test-*' },
      'NOT_FOUND',
      /only files of other splits/,
      /split/,
    ],
    [
      'a glob for files that we cannot read',
      { subset: 'main', split: 'train', files: 'README.md' },
      'BAD_FILE',
      /cannot read \("md"\)/,
      /parquet/,
    ],
    [
      'a glob for files of two kinds',
      { subset: 'main', split: 'train', files: '{extra,main}/*' },
      'BAD_FILE',
      /mixes/,
      /parquet/,
    ],
  ]
  test.each(wrong)('gives one clear error for %s', async (_, wanted, code, text, hint) => {
    const error = await failure(find(wanted))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
    expect(error.hint).toMatch(hint)
  })

  test('with a glob never takes files of other splits along', async () => {
    const paths = async (wanted: SplitWanted) => (await find(wanted)).files.map(({ path }) => path)
    expect(await paths({ split: 'train', files: '**/*.parquet' })).toEqual([
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
      'socratic/train-00000-of-00001.parquet',
    ])
    expect(await paths({ subset: 'main', split: 'train', files: '**/*.parquet' })).toHaveLength(2)
    expect(await paths({ split: 'train', files: './main/*-00001-*' })).toEqual([
      'main/train-00001-of-00002.parquet',
    ])
    expect(await paths({ split: 'train', files: 'extra/*.jsonl' })).toEqual(['extra/more.jsonl'])
  })

  test('refuses to use a file whose name has a backslash, and only then', async () => {
    const files = { 'o/d/train.jsonl': Buffer.from('{}'), 'o/d/a\\..\\evil.txt': Buffer.from('x') }
    expect((await find({ split: 'train', files: 'train.jsonl' }, files, 'o/d')).files).toHaveLength(1)
    const card = '---\nconfigs:\n- config_name: default\n  data_files: "a*.jsonl"\n---\n'
    const used = { 'o/d/README.md': Buffer.from(card), 'o/d/a\\..\\evil.jsonl': Buffer.from('{}') }
    expect(await failure(find({ split: 'train' }, used, 'o/d'))).toMatchObject({ code: 'HUB_ANSWER' })
  })

  describe('on a dataset that only the hub can read', () => {
    const CONVERTED = 'beefbeef'.repeat(5)
    const converted = ['main', 'default'].flatMap((subset) => [
      `${subset}/train/0001.parquet`,
      `${subset}/train/0000.parquet`,
      `${subset}/partial-test/0000.parquet`,
    ])

    /** Serves `own` at main and the converted files at their branch. */
    async function withConversion(own: Record<string, Uint8Array>, conversion = true): Promise<Hub> {
      const plan = ({ path }: Logged): Fault | undefined => {
        const atBranch = path.includes(`/revision/${CONVERTED_BRANCH}`)
        if (atBranch && !conversion) return { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } }
        if (atBranch) return { body: JSON.stringify({ sha: CONVERTED }) }
        if (!path.includes(`/tree/${CONVERTED}`)) return undefined
        return { body: JSON.stringify(converted.map((name) => treeEntry(name, bytesOf(10)))) }
      }
      const [, hub] = await serve({ files: own, plan })
      return hub
    }
    const own: [string, string, Record<string, Uint8Array>][] = [
      ['a loading script', 'main', { 'o/d/d.py': Buffer.from(''), 'o/d/raw-train.jsonl': Buffer.from('{}') }],
      ['CSV files', 'default', { 'o/d/train.csv': Buffer.from('a') }],
      ['compressed JSON', 'default', { 'o/d/train.jsonl.gz': Buffer.from('a') }],
      ['no data files', 'main', { 'o/d/README.md': Buffer.from('# empty') }],
    ]

    test.each(own)('(%s) takes the converted files', async (_, subset, files) => {
      const hub = await withConversion(files)
      const found = await findSplit(hub, 'o/d', { subset, split: 'train' })
      expect(found).toMatchObject({
        revision: CONVERTED_BRANCH,
        commit: CONVERTED,
        converted: true,
        format: 'parquet',
      })
      expect(found.files.map(({ path }) => path)).toEqual([
        `${subset}/train/0000.parquet`,
        `${subset}/train/0001.parquet`,
      ])
      const { revision: _revision, commit, converted: isConverted, ...again } = found
      const pinned = await findSplit(hub, 'o/d', {
        ...again,
        files: undefined,
        revision: commit,
        converted: isConverted,
      })
      expect(pinned.files).toEqual(found.files)
    })

    test.each(own)('(%s) says so when there is no conversion', async (_, _subset, files) => {
      const error = await failure(findSplit(await withConversion(files, false), 'o/d', { split: 'train' }))
      expect(['BAD_FILE', 'NOT_FOUND']).toContain(error.code)
      expect(error.message).toContain('the hub has no parquet conversion of it (refs/convert/parquet)')
    })

    test('says when a split was converted only in part, by naming what there is', async () => {
      const hub = await withConversion(own[0]![2])
      const error = await failure(findSplit(hub, 'o/d', { subset: 'main', split: 'test' }))
      expect(error).toMatchObject({ code: 'NOT_FOUND', hint: expect.stringContaining('"partial-test"') })
    })

    test('does not take the conversion for an old revision', async () => {
      const hub = await withConversion(own[1]![2])
      const error = await failure(findSplit(hub, 'o/d', { split: 'train', revision: 'ab'.repeat(20) }))
      expect(error).toMatchObject({ code: 'BAD_FILE' })
      expect(error.message).toContain('follows main')
    })
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
