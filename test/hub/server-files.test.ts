import { createHash } from 'node:crypto'
import { closeSync, openSync, renameSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { matchesAny, parseRange } from '../../hub/server/range.ts'
import { bytes, folder, rawRequest, serve, write } from './server-fixture.ts'

const SMALL = 'datasets/a/b/small.jsonl'
const LARGE = 'datasets/a/b/large.parquet'
const SIZE = 3_000_000
const content = bytes(SIZE, LARGE.length)
const etag = `"${createHash('sha256').update(content).digest('hex')}"`

async function setUp() {
  const dir = folder({ [SMALL]: '0123456789', 'datasets/a/b/empty.txt': '', [LARGE]: SIZE })
  const server = await serve(dir)
  return { dir, server, base: `${server.url}/datasets/a/b/resolve/main` }
}

const get = async (url: string, headers: Record<string, string> = {}) => {
  const response = await fetch(url, { headers })
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  }
}

describe('resolve', () => {
  test('gives small files at once', async () => {
    const { base } = await setUp()
    const { status, headers, body } = await get(`${base}/small.jsonl`)
    expect(status).toBe(200)
    expect(body.toString()).toBe('0123456789')
    expect(headers.get('etag')).toBe(`"${createHash('sha1').update('blob 10\x000123456789').digest('hex')}"`)
    expect(headers.get('content-length')).toBe('10')
    expect(headers.get('accept-ranges')).toBe('bytes')
    expect(headers.get('x-repo-commit')).toMatch(/^[0-9a-f]{40}$/)
    expect(headers.get('x-linked-etag')).toBeNull()
    expect((await get(`${base}/empty.txt`)).body).toHaveLength(0)
  })

  test('redirects large files, and tells all about them on the way', async () => {
    const { base, server } = await setUp()
    for (const method of ['HEAD', 'GET']) {
      const response = await fetch(`${base}/large.parquet`, { method, redirect: 'manual' })
      expect(response.status).toBe(302)
      expect(response.headers.get('x-linked-etag')).toBe(etag)
      expect(response.headers.get('x-linked-size')).toBe(String(SIZE))
      expect(response.headers.get('x-repo-commit')).toMatch(/^[0-9a-f]{40}$/)
      expect(response.headers.get('location')).toMatch(new RegExp(`^${server.url}/cdn/.*/large\\.parquet$`))
      await response.arrayBuffer()
    }
    const { status, headers, body } = await get(`${base}/large.parquet`)
    expect(status).toBe(200)
    expect(body.equals(content)).toBe(true)
    expect(headers.get('etag')).toBe(etag)
    expect(headers.get('content-length')).toBe(String(SIZE))
    expect(headers.get('x-linked-size')).toBe(String(SIZE))
    expect(headers.get('x-repo-commit')).toMatch(/^[0-9a-f]{40}$/)
  })

  test('HEAD is GET without the body', async () => {
    const { base } = await setUp()
    for (const path of ['small.jsonl', 'large.parquet', 'empty.txt', 'none']) {
      const full = await get(`${base}/${path}`)
      const head = await fetch(`${base}/${path}`, { method: 'HEAD' })
      expect(head.status).toBe(full.status)
      expect(await head.text()).toBe('')
      const facts = (headers: Headers) =>
        [...headers].filter(([name]) => !/^(date|connection|keep-alive)$/.test(name))
      expect(facts(head.headers)).toEqual(facts(full.headers))
    }
  })

  test('names with odd characters', async () => {
    const names = [
      'ä ö.txt',
      '100%.txt',
      'a+b&c=d?e#f.txt',
      '“q”.txt',
      "it's.txt",
      'x"y.txt',
      'a;b,c.txt',
      '😀.txt',
      '%2F.txt',
    ]
    const { url } = await serve(
      folder(Object.fromEntries(names.map((name) => [`datasets/a/b/d ü/${name}`, name]))),
    )
    for (const name of names) {
      const address = `${url}/datasets/a/b/resolve/main/d%20%C3%BC/${encodeURIComponent(name)}`
      expect((await get(address)).body.toString(), name).toBe(name)
      expect((await get(address.replace('%C3%BC/', '%C3%BC%2F'))).body.toString(), name).toBe(name)
    }
  })
})

describe('conditions', () => {
  test('If-None-Match', async () => {
    const { base } = await setUp()
    const small = (await get(`${base}/small.jsonl`)).headers.get('etag')!
    for (const [path, tag] of [
      ['small.jsonl', small],
      ['large.parquet', etag],
    ] as const) {
      for (const value of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
        expect((await get(`${base}/${path}`, { 'if-none-match': value })).status).toBe(304)
      }
      expect((await get(`${base}/${path}`, { 'if-none-match': '"x"' })).status).toBe(200)
    }
  })

  test('If-Range', async () => {
    const { base } = await setUp()
    const from = { range: 'bytes=5-' }
    expect((await get(`${base}/large.parquet`, { ...from, 'if-range': etag })).status).toBe(206)
    for (const value of ['"x"', `W/${etag}`, 'Wed, 21 Oct 2015 07:28:00 GMT']) {
      expect((await get(`${base}/large.parquet`, { ...from, 'if-range': value })).status).toBe(200)
    }
  })
})

describe('ranges', () => {
  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=10-', 10, SIZE - 1],
    ['bytes=-10', SIZE - 10, SIZE - 1],
    [`bytes=-${SIZE * 2}`, 0, SIZE - 1],
    [`bytes=${SIZE - 1}-`, SIZE - 1, SIZE - 1],
    [`bytes=5-${SIZE * 2}`, 5, SIZE - 1],
    ['bytes=524287-1048577', 524_287, 1_048_577],
  ])('%s', async (range, start, end) => {
    const { base } = await setUp()
    const { status, headers, body } = await get(`${base}/large.parquet`, { range })
    expect(status).toBe(206)
    expect(headers.get('content-range')).toBe(`bytes ${start}-${end}/${SIZE}`)
    expect(body.equals(content.subarray(start, end + 1))).toBe(true)
  })

  test('of small files', async () => {
    const { base } = await setUp()
    const { status, body } = await get(`${base}/small.jsonl`, { range: 'bytes=-3' })
    expect([status, body.toString()]).toEqual([206, '789'])
  })

  test('several at once', async () => {
    const { base } = await setUp()
    const { status, headers, body } = await get(`${base}/large.parquet`, { range: 'bytes=0-3, 10-11,-2' })
    expect(status).toBe(206)
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(headers.get('content-type')!)![1]!
    const text = body.toString('latin1')
    expect(headers.get('content-length')).toBe(String(body.length))
    const parts = text.split(`\r\n--${boundary}`)
    expect(parts).toHaveLength(5)
    expect(parts.at(-1)).toBe('--\r\n')
    for (const [i, [start, end]] of [
      [0, 3],
      [10, 11],
      [SIZE - 2, SIZE - 1],
    ].entries()) {
      const [head, ...rest] = parts[i + 1]!.split('\r\n\r\n')
      expect(head).toContain(`Content-Range: bytes ${start}-${end}/${SIZE}`)
      expect(rest.join('\r\n\r\n')).toBe(Buffer.from(content.subarray(start, end! + 1)).toString('latin1'))
    }
  })

  test('beyond the end: 416', async () => {
    const { base } = await setUp()
    for (const [path, size] of [
      ['large.parquet', SIZE],
      ['empty.txt', 0],
    ] as const) {
      const { status, headers } = await get(`${base}/${path}`, { range: `bytes=${size}-` })
      expect(status).toBe(416)
      expect(headers.get('content-range')).toBe(`bytes */${size}`)
    }
  })

  test('what is no range is ignored', async () => {
    const { base } = await setUp()
    for (const range of [
      'bytes=',
      'bytes=-',
      'bytes=a-b',
      'bytes=5-3',
      'rows=0-1',
      'bytes=0-1,x',
      `bytes=${'0-,'.repeat(3)}`,
    ]) {
      expect((await get(`${base}/small.jsonl`, { range })).status, range).toBe(200)
    }
  })

  test('parseRange', () => {
    expect(parseRange('bytes=0-4,8-', 10)).toEqual([
      { start: 0, end: 4 },
      { start: 8, end: 9 },
    ])
    expect(parseRange('bytes=20-,1-2', 10)).toEqual([{ start: 1, end: 2 }])
    expect(parseRange('bytes=-0', 10)).toBe('unsatisfiable')
    expect(parseRange('bytes=99999999999999999999-', 10)).toBe('unsatisfiable')
    expect(parseRange('bytes=0-99999999999999999999', 10)).toEqual([{ start: 0, end: 9 }])
    expect(parseRange(`bytes=${Array(101).fill('0-0').join()}`, 1000)).toBeUndefined()
    expect(parseRange(undefined, 10)).toBeUndefined()
    expect(matchesAny(undefined, '"a"')).toBe(false)
  })
})

describe('files that change', () => {
  test('no answer mixes two versions', async () => {
    const { dir, base } = await setUp()
    const sums = new Map<string, number>()
    const versions = [0, 1, 2].map((n) => bytes(SIZE + n, n))
    for (const [n, version] of versions.entries())
      sums.set(createHash('sha256').update(version).digest('hex'), n)
    let going = true
    const writer = (async () => {
      for (let i = 0; going; i++) {
        writeFileSync(join(dir, 'next'), versions[i % 3]!)
        renameSync(join(dir, 'next'), join(dir, LARGE))
        await new Promise((resolve) => setTimeout(resolve, i % 60))
      }
    })()
    for (let whole = 0; whole < 8; ) {
      const response = await fetch(`${base}/large.parquet`).catch(() => undefined)
      const body = await response?.arrayBuffer().catch(() => undefined)
      if (response?.status !== 200 || body === undefined) continue
      whole++
      const sum = createHash('sha256').update(new Uint8Array(body)).digest('hex')
      expect(sums.has(sum)).toBe(true)
      expect(response.headers.get('etag')).toBe(`"${sum}"`)
      expect(response.headers.get('content-length')).toBe(String(body.byteLength))
    }
    going = false
    await writer
    write(dir, { [LARGE]: SIZE })
    expect((await get(`${base}/large.parquet`)).headers.get('etag')).toBe(etag)
  })

  test('a file overwritten in place while it is sent cuts the answer short', async () => {
    const size = 40_000_000
    const dir = folder({ [LARGE]: Buffer.alloc(size) })
    const { url } = await serve(dir)
    const { body, headers } = await fetch(`${url}/datasets/a/b/resolve/main/large.parquet`)
    expect(headers.get('content-length')).toBe(String(size))
    const reader = body!.getReader()
    await reader.read()
    const file = openSync(join(dir, LARGE), 'r+')
    writeSync(file, 'changed', size - 100)
    closeSync(file)
    await expect(drain(reader)).rejects.toThrow()
  })

  test('a file cut short while it is sent cuts the answer short', async () => {
    const size = 40_000_000
    const dir = folder({ [LARGE]: Buffer.alloc(size) })
    const { url } = await serve(dir)
    const { body } = await fetch(`${url}/datasets/a/b/resolve/main/large.parquet`)
    const reader = body!.getReader()
    await reader.read()
    truncateSync(join(dir, LARGE), 1000)
    await expect(drain(reader)).rejects.toThrow()
  })

  test('a file replaced while it is sent is sent to its end', async () => {
    const size = 40_000_000
    const dir = folder({ [LARGE]: Buffer.alloc(size) })
    const { url } = await serve(dir)
    const response = await fetch(`${url}/datasets/a/b/resolve/main/large.parquet`)
    const reader = response.body!.getReader()
    const first = (await reader.read()).value!
    // Replacing changes the old file's link count, and with it the time of its last status change.
    writeFileSync(join(dir, 'next'), 'new')
    renameSync(join(dir, 'next'), join(dir, LARGE))
    const outcome = await drain(reader).then(
      (rest) => first.length + rest,
      () => 'cut short',
    )
    expect([size, 'cut short']).toContain(outcome)
    expect((await get(`${url}/datasets/a/b/resolve/main/large.parquet`)).body.toString()).toBe('new')
  })
})

describe('clients that leave', () => {
  test('in the middle of a body do no harm', async () => {
    const lines: string[] = []
    const dir = folder({ [LARGE]: Buffer.alloc(60_000_000) })
    const { url } = await serve(dir, { log: (line) => lines.push(line) })
    const { pathname } = new URL(
      (await fetch(`${url}/datasets/a/b/resolve/main/large.parquet`, { method: 'HEAD' })).url,
    )
    const { hostname, port } = new URL(url)
    for (let i = 0; i < 10; i++) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () =>
          socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\n\r\n`),
        )
        socket.once('data', () => socket.destroy())
        socket.on('close', () => resolve())
        socket.on('error', () => {})
      })
    }
    while (lines.filter((line) => line.endsWith('(cut off)')).length < 10) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect((await get(`${url}/datasets/a/b/resolve/main/large.parquet`)).body).toHaveLength(60_000_000)
    expect(lines.join()).not.toContain('failed')
  })

  test('and pipelined requests are answered in order', async () => {
    const { base, server } = await setUp()
    const { pathname } = new URL(base)
    const request = (range: string, more = '') =>
      `GET ${pathname}/small.jsonl HTTP/1.1\r\nHost: x\r\nRange: ${range}\r\n${more}\r\n`
    const text = await rawRequest(
      server.url,
      request('bytes=0-1') + request('bytes=2-3', 'Connection: close\r\n'),
    )
    expect(text.match(/\r\n\r\n\d\d/g)).toEqual(['\r\n\r\n01', '\r\n\r\n23'])
  })

  test('close lets a running download end, or cuts it off', async () => {
    const dir = folder({ [LARGE]: Buffer.alloc(20_000_000) })
    const server = await serve(dir)
    const response = await fetch(`${server.url}/datasets/a/b/resolve/main/large.parquet`)
    const closing = server.close()
    const length = (await response.arrayBuffer()).byteLength
    await closing
    expect(length).toBe(20_000_000)
    await expect(fetch(server.url)).rejects.toThrow()
    await server.close()
  })

  test('close does not wait for a client that does not read', async () => {
    const dir = folder({ [LARGE]: Buffer.alloc(60_000_000) })
    const server = await serve(dir)
    const { body } = await fetch(`${server.url}/datasets/a/b/resolve/main/large.parquet`)
    const reader = body!.getReader()
    await reader.read()
    await server.close()
    await expect(drain(reader)).rejects.toThrow()
  })
})

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number> {
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return length
    length += value.length
  }
}
