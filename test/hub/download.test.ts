/** A download from a hub in trouble: the right bytes or one clear error, and the token goes to the hub only. */
import { getEventListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type ErrorCode, isShardmillError } from '../../errors/index.ts'
import { downloadFile } from '../../hub/client/download.ts'
import {
  always,
  content,
  failure,
  files,
  first,
  folder,
  hubAt,
  lines,
  open,
  parquet,
  partPath,
  serve,
  TOKEN,
} from './download-fixture.ts'
import { bytesOf, COMMIT, type Fault, gitOid, sha256, startFaultServer } from './fault-server.ts'

describe('ends with the right bytes after', () => {
  const cases: [string, (nth: number) => Fault | undefined, number][] = [
    ['nothing in the way', () => undefined, 1],
    ['a dropped connection', first({ drop: true }), 2],
    ['a reset in mid-body', first({ resetAfter: 100_000 }), 2],
    ['three resets', first({ resetAfter: 90_000 }, { resetAfter: 90_000 }, { resetAfter: 90_000 }), 4],
    ['a short body that claims to be whole', first({ shortAfter: 120_000 }), 2],
    ['a body that falls silent', first({ hangAfter: 70_000 }), 2],
    ['a request that is never answered', first({ hang: true }), 2],
    ['429 with Retry-After', first({ status: 429, headers: { 'retry-after': '0' } }), 2],
    ['429 without', first({ status: 429 }), 2],
    ['429 with RateLimit', first({ status: 429, headers: { ratelimit: '"resolvers";r=0;t=0' } }), 2],
    ['500, 502 and 504', first({ status: 500 }, { status: 502 }, { status: 504 }), 4],
    ['503 and a late answer', first({ status: 503 }, { delayMs: 100 }), 2],
    ['408', first({ status: 408 }), 2],
    ['wrong bytes of the right length', first({ wrongBytes: true }), 2],
    ['too many bytes', first({ extra: 9, headers: { 'transfer-encoding': 'chunked' } }), 2],
    ['a too large Content-Length', first({ extra: 9 }), 2],
    ['a reset, then the range ignored', first({ resetAfter: 100_000 }, { ignoreRange: true }), 2],
    ['a reset, then 416', first({ resetAfter: 100_000 }, { status: 416 }), 3],
    ['another ETag (200)', first({ resetAfter: 90_000, etag: '"v1"' }), 2],
    ['another ETag (206)', first({ resetAfter: 90_000, etag: '"v1"' }, { ignoreIfRange: true }), 3],
    ['a weak ETag', first({ resetAfter: 90_000, etag: 'W/"x"' }, { etag: 'W/"x"', ignoreIfRange: true }), 2],
    [
      'a range from another place',
      first({ resetAfter: 90_000 }, { headers: { 'content-range': 'bytes 5-299999/300000' } }),
      3,
    ],
    [
      'a range of a file of another size',
      first({ resetAfter: 90_000 }, { headers: { 'content-range': 'bytes 90000-299999/300001' } }),
      3,
    ],
  ]
  describe.each([
    ['LFS', parquet],
    ['git', lines],
  ])('(%s file)', (_, file) => {
    test.each(cases)('%s', async (_name, plan, requests) => {
      const server = await serve(plan)
      const seen: number[] = []
      const done = await downloadFile(
        hubAt(server.url),
        file,
        { partPath },
        { onProgress: (n) => seen.push(n) },
      )
      expect(done).toEqual({ sha256: sha256(content), bytes: content.length, path: partPath })
      expect(content.equals(await readFile(partPath))).toBe(true)
      expect(server.log).toHaveLength(requests)
      expect(seen.at(-1)).toBe(content.length)
      expect((await readdir(join(folder, 'new'))).sort()).toEqual(['part', 'part.json'])
    })
  })

  test('an empty file, without asking', async () => {
    const server = await serve(() => undefined)
    const empty = { ...lines, bytes: 0, gitOid: gitOid(Buffer.alloc(0)) }
    expect(await downloadFile(hubAt(server.url), empty, { partPath })).toMatchObject({ bytes: 0 })
    expect(await readFile(partPath)).toHaveLength(0)
    expect(server.log).toHaveLength(0)
  })

  test('a file that is larger than the block written at once, in odd pieces', async () => {
    const large = bytesOf(2_500_001, 7)
    const server = await startFaultServer({
      files: { 'org/data/l.parquet': large },
      chunk: 77_777,
      plan: (_, nth) => (nth < 9 ? { resetAfter: 300_007 } : undefined),
    })
    open.push(server)
    const file = { ...parquet, path: 'l.parquet', bytes: large.length, sha256: sha256(large) }
    // More failures than tries: what has come nearer to the end does not count as one more failure.
    await downloadFile(hubAt(server.url, { tries: 5 }), file, { partPath })
    expect(large.equals(await readFile(partPath))).toBe(true)
  })
})

describe('ends with one clear error after', () => {
  const cases: [string, Fault, ErrorCode, RegExp, number][] = [
    ['401', { status: 401 }, 'HUB_DENIED', /no dataset org\/data .* or this token may not see it/, 1],
    [
      '401 for what is missing',
      { status: 401, headers: { 'x-error-code': 'RepoNotFound' } },
      'NOT_FOUND',
      /org\/data/,
      1,
    ],
    [
      '401 for the token',
      { status: 401, body: '{"error":"Invalid credentials in Authorization header"}' },
      'HUB_DENIED',
      /does not accept the token/,
      1,
    ],
    [
      '403',
      { status: 403, body: `{"error":"no, ${TOKEN}"}` },
      'HUB_DENIED',
      /refuses access .*no, \*\*\*/,
      1,
    ],
    ['403 gated', { status: 403, headers: { 'x-error-code': 'GatedRepo' } }, 'HUB_DENIED', /gated/, 1],
    ['404', { status: 404, headers: { 'x-error-code': 'EntryNotFound' } }, 'NOT_FOUND', /no file "/, 1],
    [
      '404 of the revision',
      { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } },
      'NOT_FOUND',
      /no revision/,
      1,
    ],
    ['416 to a plain request', { status: 416 }, 'HUB_ANSWER', /416/, 1],
    ['418', { status: 418 }, 'HUB_ANSWER', /418/, 1],
    ['429 without end', { status: 429 }, 'HUB_UNREACHABLE', /429 \(tried 4 times\)/, 4],
    [
      '429 and an hour to wait',
      { status: 429, headers: { 'retry-after': '3600' } },
      'HUB_UNREACHABLE',
      /wait 3600 s/,
      1,
    ],
    ['500 without end', { status: 500 }, 'HUB_UNREACHABLE', /500 \(tried 4 times\)/, 4],
    ['503 without end', { status: 503 }, 'HUB_UNREACHABLE', /503/, 4],
    ['connections dropped without end', { drop: true }, 'HUB_UNREACHABLE', /cannot be reached/, 4],
    ['resets at the first byte', { resetAfter: 0 }, 'HUB_UNREACHABLE', /broke off/, 4],
    ['wrong bytes twice', { wrongBytes: true }, 'HUB_ANSWER', /wrong bytes twice: expected .* got /, 2],
    ['an empty body without end', { shortAfter: 0 }, 'HUB_ANSWER', /after 0 of 300000 bytes/, 4],
    [
      'a short body always from the start',
      { shortAfter: 99, ignoreRange: true },
      'HUB_ANSWER',
      /after 99 of 300000/,
      4,
    ],
    ['too many bytes without end', { extra: 1 }, 'HUB_ANSWER', /offers 300001/, 4],
    ['a redirect to nowhere', { status: 302 }, 'HUB_ANSWER', /redirects from .* no URL/, 1],
    [
      'a redirect to a file',
      { status: 302, headers: { location: 'file:///etc/passwd' } },
      'HUB_ANSWER',
      /file: address/,
      1,
    ],
    [
      'a redirect with a password',
      { status: 302, headers: { location: 'http://a:secret@h/?secret' } },
      'HUB_ANSWER',
      /user name/,
      1,
    ],
    [
      'a redirect to itself',
      { status: 302, headers: { location: '#again' } },
      'HUB_ANSWER',
      /in a circle/,
      1,
    ],
  ]
  test.each(cases)('%s', async (_name, fault, code, text, requests) => {
    const server = await serve(always(fault))
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
    expect(server.log).toHaveLength(requests)
  })

  test('silence, naming the endpoint', async () => {
    const server = await serve(always({ hang: true }))
    const error = await failure(
      downloadFile(hubAt(server.url, { tries: 2, idleMs: 100 }), parquet, { partPath }),
    )
    expect(error).toMatchObject({ code: 'HUB_UNREACHABLE', retryable: true })
    expect(error.message).toContain(`the hub at ${server.url} sent nothing for 0.1 s (tried 2 times)`)
  })

  test('nobody listening', async () => {
    const server = await serve(() => undefined)
    await server.close()
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }))
    expect(error.code).toBe('HUB_UNREACHABLE')
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('HF_HUB_OFFLINE, without asking', async () => {
    const server = await serve(() => undefined)
    const error = await failure(downloadFile(hubAt(server.url, { offline: true }), parquet, { partPath }))
    expect(error).toMatchObject({ code: 'HUB_UNREACHABLE', retryable: false })
    expect(error.message).toContain('HF_HUB_OFFLINE')
    expect(server.log).toHaveLength(0)
  })

  test('ranges that were not asked for; of their answers nothing is kept', async () => {
    const server = await serve((nth) =>
      nth === 0
        ? { resetAfter: 1000 }
        : { status: 206, headers: { 'content-range': 'bytes 7-8/9' }, ignoreRange: true },
    )
    const { signal } = new AbortController()
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }, { signal }))
    expect(error).toMatchObject({ code: 'HUB_ANSWER', message: expect.stringContaining('another range') })
    expect(server.log).toHaveLength(4)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('an ETag that changes with every answer, though each brings something', async () => {
    const server = await serve((nth) => ({ resetAfter: 200_000, etag: `"v${nth}"` }))
    expect(await failure(downloadFile(hubAt(server.url), parquet, { partPath }))).toMatchObject({
      code: 'HUB_UNREACHABLE',
    })
  })

  test.each([
    '../../etc/passwd',
    '/etc/passwd',
    'a/../b',
    'a\\..\\b',
    'C:/x',
    'a\0b',
    'a//b',
    './a',
    '',
    'a\ud800',
  ])('a file named %j, without asking', async (path) => {
    const server = await serve(() => undefined)
    const error = await failure(downloadFile(hubAt(server.url), { ...parquet, path }, { partPath }))
    expect(error.code).toBe('HUB_ANSWER')
    expect(server.log).toHaveLength(0)
    expect(existsSync(join(folder, 'new'))).toBe(false)
  })

  test('another commit, where no digest can tell', async () => {
    const server = await serve(always({ headers: { 'x-repo-commit': 'd'.repeat(40) } }))
    const { sha256: _, ...bare } = parquet
    const error = await failure(downloadFile(hubAt(server.url), bare, { partPath }))
    expect(error).toMatchObject({ code: 'HUB_ANSWER' })
    expect(error.message).toContain('another commit')
    await downloadFile(hubAt(server.url), parquet, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
  })
})

describe('redirects', () => {
  const pathOf = '/datasets/org/data/resolve/'

  test('to another port get no token, and the range goes with them', async () => {
    const cdn = await serve(first({ resetAfter: 100_000 }))
    const target = `${cdn.url}${pathOf}${COMMIT}/data/a%20b%231.parquet?Signature=secret`
    const hub = await serve(always({ status: 302, headers: { location: target } }))
    await downloadFile(hubAt(hub.url), parquet, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(hub.log.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${TOKEN}`,
      `Bearer ${TOKEN}`,
    ])
    expect(cdn.log.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined])
    expect(cdn.log.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=100000-'])
    expect(cdn.log[1]!.headers['if-range']).toBe(`"${sha256(content)}"`)
  })

  test('within the hub keep the token', async () => {
    const server = await startFaultServer({
      files,
      plan: ({ path }) =>
        path.endsWith('?moved') ? undefined : { status: 307, headers: { location: `${path}?moved` } },
    })
    open.push(server)
    await downloadFile(hubAt(server.url), lines, { partPath })
    expect(server.log.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${TOKEN}`,
      `Bearer ${TOKEN}`,
    ])
  })

  test('to another host that sends back to the hub give the token at the hub only', async () => {
    const home = `/datasets/org/data/resolve/${COMMIT}/x.jsonl`
    const other = await startFaultServer({
      plan: () => ({ status: 302, headers: { location: `${hub.url}${home}?back` } }),
    })
    const hub = await startFaultServer({
      files,
      plan: ({ path }) =>
        path.endsWith('?back') ? {} : { status: 302, headers: { location: `${other.url}/away` } },
    })
    open.push(hub, other)
    await downloadFile(hubAt(hub.url), lines, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(hub.log.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${TOKEN}`,
      `Bearer ${TOKEN}`,
    ])
    expect(other.log.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  test.each([
    [403, 'HUB_DENIED'],
    [404, 'HUB_ANSWER'],
  ])('to a host that answers %i: an error naming that host, without the query', async (status, code) => {
    const cdn = await serve(always({ status }))
    const hub = await serve(always({ status: 302, headers: { location: `${cdn.url}/a?sig=secret` } }))
    const error = await failure(downloadFile(hubAt(hub.url), parquet, { partPath }))
    expect(error.code).toBe(code)
    expect(error.message).toContain(
      `${cdn.url}/a, where the hub sends us for data/a b#1.parquet of org/data, answered ${status}`,
    )
  })

  test('without end are an error after ten', async () => {
    const server = await startFaultServer({
      plan: ({ path }) => ({ status: 302, headers: { location: `${encodeURI(path)}x` } }),
    })
    open.push(server)
    const error = await failure(downloadFile(hubAt(server.url), lines, { partPath }))
    expect(error).toMatchObject({ code: 'HUB_ANSWER' })
    expect(server.log).toHaveLength(11)
  })
})

test('any sequence of faults ends with the right bytes or one error', async () => {
  const seed = Number(process.env['FAULT_SEED'] ?? 20_261)
  console.log(`fault seed ${seed}`)
  let state = seed
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const kinds: ((n: number) => Fault | undefined)[] = [
    () => undefined,
    (n) => ({ resetAfter: n }),
    (n) => ({ shortAfter: n }),
    () => ({ drop: true }),
    () => ({ wrongBytes: true }),
    () => ({ ignoreRange: true }),
    () => ({ ignoreIfRange: true }),
    (n) => ({ etag: `"${n % 3}"`, resetAfter: n }),
    (n) => ({ extra: n % 7 }),
    (n) => ({ status: [408, 416, 429, 500, 503][n % 5]! }),
    (n) => ({ ignoreRange: true, resetAfter: n }),
  ]
  let good = 0
  for (let round = 0; round < 60; round++) {
    const path = join(folder, `r${round}`)
    const server = await serve(() =>
      random(3) === 0 ? undefined : kinds[random(kinds.length)]!(random(content.length)),
    )
    const outcome = await downloadFile(hubAt(server.url), round % 2 ? parquet : lines, {
      partPath: path,
    }).catch((e: unknown) => e)
    if (isShardmillError(outcome)) expect(['HUB_UNREACHABLE', 'HUB_ANSWER']).toContain(outcome.code)
    else {
      expect(outcome).toMatchObject({ sha256: sha256(content) })
      expect(content.equals(await readFile(path))).toBe(true)
      good++
    }
  }
  expect(good).toBeGreaterThan(20)
})
