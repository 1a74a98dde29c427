/** A hub that refuses, fails, lies or says nothing; and the token, which goes to it alone and is shown nowhere. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type Fault,
  type FaultServer,
  type Logged,
  startFaultServer,
  treeEntry,
} from '../hub/fault-server.ts'
import {
  type BuildOptions,
  customJson,
  expectRefusal,
  goodLines,
  Lab,
  parquetOf,
  type Refusal,
  recipeOf,
  shardmill,
} from './support.ts'

const data = parquetOf({
  question: { type: 'string', data: ['1+1?'] },
  answer: { type: 'string', data: ['#### 2'] },
})
const files = { 'openai/gsm8k/train.parquet': data }
const recipe = recipeOf({ task: 'gsm8k', subset: 'default', split: 'train' })
const token = 'hf_SecretSecretSecret'

const isRevision = ({ path }: Logged) => path.includes('/revision/')
const isTree = ({ path }: Logged) => path.includes('/tree/')
const isFile = ({ path }: Logged) => path.includes('/resolve/')

async function withHub<T>(
  plan: ((request: Logged, nth: number) => Fault | undefined) | undefined,
  work: (hub: FaultServer, options: BuildOptions) => Promise<T>,
): Promise<T> {
  const hub = await startFaultServer({ files, ...(plan === undefined ? {} : { plan }) })
  try {
    const env = {
      HF_ENDPOINT: hub.url,
      HF_TOKEN: token,
      SHARDMILL_HUB_RETRIES: '1',
      SHARDMILL_HUB_TIMEOUT_MS: '400',
    }
    return await work(hub, { env })
  } finally {
    await hub.close()
  }
}

/** What the store holds, as text: a secret must not be in it. */
function storeText(lab: Lab): string {
  const texts: string[] = []
  for (const entry of readdirSync(lab.store, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) texts.push(readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  }
  return texts.join('\n')
}

const denied = { exit: 1, code: 'HUB_DENIED' }
const unreachable = { exit: 5, code: 'HUB_UNREACHABLE' }
const nonsense = { exit: 1, code: 'HUB_ANSWER' }
const always = (which: (request: Logged) => boolean, fault: Fault) => (request: Logged) =>
  which(request) ? fault : undefined

const cases: [name: string, plan: (request: Logged, nth: number) => Fault | undefined, refusal: Refusal][] = [
  ['401', always(isRevision, { status: 401 }), { ...denied, says: 'openai/gsm8k', hint: /token/i }],
  [
    '403, gated',
    always(isFile, { status: 403, headers: { 'x-error-code': 'GatedRepo' } }),
    { ...denied, says: /openai\/gsm8k/, hint: /access|terms/i },
  ],
  [
    '404 for the dataset',
    always(isRevision, { status: 404, headers: { 'x-error-code': 'RepoNotFound' } }),
    { exit: 1, code: 'NOT_FOUND', says: 'there is no dataset openai/gsm8k', hint: /spelling/ },
  ],
  [
    '404 for the file',
    always(isFile, { status: 404, headers: { 'x-error-code': 'EntryNotFound' } }),
    { exit: 1, code: 'NOT_FOUND', says: /train\.parquet/, hint: true },
  ],
  [
    '429 with Retry-After',
    always(isFile, { status: 429, headers: { 'retry-after': '0' } }),
    { ...unreachable, says: /429.*\(tried 2 times\)/, hint: true },
  ],
  [
    '429 with a Retry-After of a day',
    always(isFile, { status: 429, headers: { 'retry-after': '86400' } }),
    { ...unreachable, says: /429.*asks us to wait 86400 s/, hint: true },
  ],
  [
    '429 without',
    always(isRevision, { status: 429 }),
    { ...unreachable, says: /429.*\(tried 2 times\)/, hint: true },
  ],
  [
    '500',
    always(isRevision, { status: 500, body: 'oops' }),
    { ...unreachable, says: /500.*\(tried 2 times\)/, hint: true },
  ],
  [
    '503 for the file',
    always(isFile, { status: 503 }),
    { ...unreachable, says: /503.*\(tried 2 times\)/, hint: true },
  ],
  [
    'no answer',
    always(isRevision, { hang: true }),
    { ...unreachable, says: /\(tried 2 times\)/, hint: /network/ },
  ],
  [
    'silence within the file',
    always(isFile, { hangAfter: 10 }),
    { ...unreachable, says: /\(tried \d+ times?\)/, hint: true },
  ],
  [
    'a dropped connection',
    always(isTree, { drop: true }),
    { ...unreachable, says: /\(tried 2 times\)/, hint: true },
  ],
  [
    'a short body that says it is all',
    always(isFile, { shortAfter: 50 }),
    { exit: 1, code: 'HUB_ANSWER', says: /train\.parquet/, hint: true },
  ],
  [
    'the wrong bytes',
    always(isFile, { wrongBytes: true }),
    { ...nonsense, says: [/train\.parquet/, /sha256/], hint: true },
  ],
  ['too many bytes', always(isFile, { extra: 100 }), { ...nonsense, says: /train\.parquet/, hint: true }],
  [
    'a revision that is no JSON',
    always(isRevision, { body: '<html>hello</html>' }),
    { ...nonsense, says: /JSON/, hint: true },
  ],
  [
    'a commit that is none',
    always(isRevision, { body: '{"sha":"../../x"}' }),
    { ...nonsense, says: true as unknown as string, hint: true },
  ],
  ['a listing that is an object', always(isTree, { body: '{}' }), { ...nonsense, says: /./, hint: true }],
  [
    'a redirect to itself',
    always(isFile, { status: 302, headers: { location: '/datasets/openai/gsm8k/resolve/x/train.parquet' } }),
    { ...nonsense, says: /redirects/, hint: true },
  ],
  [
    'a file name that leaves its folder',
    always(isTree, { body: JSON.stringify([treeEntry('../../evil.parquet', data)]) }),
    { ...nonsense, says: /\.\.\/\.\.\/evil\.parquet/, hint: true },
  ],
  [
    'an absolute file name',
    always(isTree, { body: JSON.stringify([treeEntry('/etc/train.parquet', data)]) }),
    { ...nonsense, says: /\/etc\/train\.parquet/, hint: true },
  ],
  [
    'a file without a digest',
    always(isTree, {
      body: JSON.stringify([{ type: 'file', path: 'train.parquet', size: data.length }]),
    }),
    { ...nonsense, says: 'openai/gsm8k/train.parquet: the hub lists the file without a sha256', hint: true },
  ],
  [
    'a message full of control codes',
    always(isRevision, { status: 403, headers: { 'x-error-message': 'no \x9b2J way' } }),
    { ...denied, says: /openai\/gsm8k/, hint: true },
  ],
]

describe.concurrent('the hub answers with', () => {
  for (const [name, plan, refusal] of cases) {
    test(name, async () => {
      const lab = new Lab()
      const says = (refusal.says as unknown) === true ? /./ : refusal.says
      const error = await withHub(plan, (_, options) => lab.refuses(recipe, { ...refusal, says }, options))
      expect(JSON.stringify(error)).not.toContain('Secret')
      expect(JSON.stringify(error)).not.toMatch(/[\x00-\x1f\x7f-\x9f]/)
      // Once it is well again, the same store goes on.
      const report = await withHub(undefined, (_, options) => lab.builds(recipe, options))
      expect(report.splits.train.conversations).toBe(1)
      expect(storeText(lab)).not.toContain('Secret')
    })
  }
})

describe.concurrent('on the command line', () => {
  test('one error, exit code 5, no token, also with --verbose; retries are told on stderr, not on stdout', async () => {
    await withHub(always(isFile, { status: 503 }), async (_, { env }) => {
      const lab = new Lab()
      expectRefusal(await lab.build(recipe, { env: env! }), { ...unreachable, says: '503', hint: true })
      lab.expectNothingPublished()
      const told = await shardmill(
        ['build', 'recipe.yaml', '--out', 'out', '--store', 'store', '--verbose'],
        { cwd: lab.dir, env: env! },
      )
      expect(told.code).toBe(5)
      expect(told.stdout).toBe('')
      expect(told.stderr).toContain('trying again')
      expect(told.stderr).not.toContain('Secret')
    })
  })

  test('a refused token is not shown', async () => {
    await withHub(
      always(isRevision, { status: 401, body: JSON.stringify({ error: `Invalid token ${token}` }) }),
      async (_, { env }) => {
        const ran = await new Lab().build(recipe, { env: env! })
        expectRefusal(ran, { ...denied, says: 'gsm8k', hint: /HF_TOKEN/ })
        expect(ran.stdout + ran.stderr).not.toContain('Secret')
      },
    )
  })

  test('a hub that is not there', async () => {
    const hub = await startFaultServer()
    await hub.close()
    await new Lab().refuses(
      recipe,
      { ...unreachable, says: [hub.url, 'cannot be reached'], hint: /network/ },
      { env: { HF_ENDPOINT: hub.url }, child: true },
    )
  })

  const settings: [env: Record<string, string>, says: string | RegExp][] = [
    [{ HF_ENDPOINT: 'huggingface.co' }, 'HF_ENDPOINT is not a URL'],
    [{ HF_ENDPOINT: 'ftp://x' }, 'HF_ENDPOINT must start with http'],
    [{ HF_ENDPOINT: 'http://me:hunter2@x' }, 'must not hold a user name or password'],
    [{ HF_TOKEN: 'two words' }, 'HF_TOKEN holds a space'],
    [{ SHARDMILL_HUB_RETRIES: 'many' }, 'SHARDMILL_HUB_RETRIES is "many"'],
  ]
  test.each(settings)('%o', async (env, says) => {
    const error = await new Lab().refuses(recipe, { exit: 2, code: 'USAGE', says }, { env })
    expect(JSON.stringify(error)).not.toMatch(/hunter2|two words/)
  })

  test('a recipe without hub data minds none of that', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    await lab.builds(recipeOf(customJson), { env: { HF_ENDPOINT: 'nonsense', HF_HUB_OFFLINE: '1' } })
  })

  test('HF_HUB_OFFLINE', async () => {
    await withHub(undefined, async (hub, { env }) => {
      const lab = new Lab()
      await lab.refuses(
        recipe,
        { ...unreachable, says: 'HF_HUB_OFFLINE', hint: /HF_HUB_OFFLINE/ },
        { env: { ...env, HF_HUB_OFFLINE: '1' } },
      )
      expect(hub.log).toEqual([])
    })
  })
})

describe.concurrent('the token', () => {
  test('goes to the hub and not to the host it redirects to', async () => {
    const storage = await startFaultServer({ files })
    try {
      await withHub(
        (request) =>
          isFile(request)
            ? {
                status: 302,
                headers: {
                  location: `${storage.url}/datasets/openai/gsm8k/resolve/x/train.parquet?signature=Secret2`,
                },
              }
            : undefined,
        async (hub, options) => {
          const lab = new Lab()
          await lab.builds(recipe, options)
          expect(hub.log.every(({ headers }) => headers.authorization === `Bearer ${token}`)).toBe(true)
          expect(storage.log.length).toBeGreaterThan(0)
          expect(storage.log.every(({ headers }) => headers.authorization === undefined)).toBe(true)
          expect(storeText(lab)).not.toContain('Secret')
          expect(
            readdirSync(lab.out)
              .map((name) => readFileSync(join(lab.out, name), 'latin1'))
              .join(''),
          ).not.toContain('Secret')
        },
      )
    } finally {
      await storage.close()
    }
  })

  test('nor is a signature shown when that host fails', async () => {
    const storage = await startFaultServer({ plan: () => ({ status: 500 }) })
    try {
      const location = `${storage.url}/train.parquet?signature=Secret2`
      await withHub(always(isFile, { status: 302, headers: { location } }), async (_, { env }) => {
        const ran = await new Lab().build(recipe, { env: env! })
        expectRefusal(ran, { ...unreachable, says: '500' })
        expect(ran.stdout + ran.stderr).not.toContain('Secret')
      })
    } finally {
      await storage.close()
    }
  })
})
