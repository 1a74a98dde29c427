import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { start } from '../e2e/cli.ts'
import { nobody } from '../nobody.ts'
import { folder, GSM8K, rawGet, rawRequest, serve } from './server-fixture.ts'

describe('nothing outside the folder is served', () => {
  const secret = 'top secret'

  test('by paths that climb', async () => {
    const dir = folder({ 'served/datasets/a/b/x.csv': 'x', 'secret.txt': secret, 'served/other.txt': secret })
    const { url } = await serve(join(dir, 'served'))
    const climbs = [
      '..',
      '%2e%2e',
      '.%2e',
      '..%2f..',
      '%2e%2e%2f%2e%2e',
      '..%5c..',
      '..\\..',
      '....',
      '%252e%252e',
    ]
    const targets = ['secret.txt', 'other.txt', '..%2fsecret.txt']
    for (const climb of climbs) {
      for (const target of targets) {
        const up = Array(6).fill(climb).join('/')
        for (const path of [
          `/${up}/${target}`,
          `/datasets/${up}/${target}`,
          `/datasets/a/b/resolve/main/${up}/${target}`,
          `/datasets/a/b/raw/main/${climb}/${target}`,
          `/datasets/a/b/resolve/${climb}/${target}`,
          `/datasets/a/${climb}/resolve/main/${target}`,
          `/datasets/${climb}/${climb}/resolve/main/${target}`,
          `/api/datasets/a/${climb}/tree/main`,
          `/api/datasets/a/b/tree/main/${climb}`,
          `/api/datasets/a/b/revision/${climb}`,
          `/cdn/datasets/a/b/${climb}/${climb}/${target}`,
        ]) {
          const { status, text } = await rawGet(url, path)
          expect(text, path).not.toContain(secret)
          expect(status, path).toBeGreaterThanOrEqual(400)
          expect(status, path).toBeLessThan(500)
        }
      }
    }
  })

  test('by absolute paths, doubled slashes, NUL and broken encoding', async () => {
    const { url } = await serve(folder({ 'datasets/a/b/x.csv': 'x' }))
    for (const path of [
      '/datasets/a/b/resolve/main//etc/passwd',
      '/datasets/a/b/resolve/main/%2fetc%2fpasswd',
      '/datasets/a/b/resolve/main/x.csv%00',
      '/datasets/a/b/resolve/main/%00/x.csv',
      '/datasets/a/b/resolve/main/%ff',
      '/datasets/a/b/resolve/main/%',
      '/datasets/a/b/resolve/main/./x.csv',
      '/datasets/a/b/resolve/main/x.csv/',
      '//datasets/a/b/resolve/main/x.csv',
      '/datasets//b/resolve/main/x.csv',
      `/${'a'.repeat(10_000)}`,
    ]) {
      const { status } = await rawGet(url, path)
      // A trailing slash is forgiven; the rest is not.
      if (path.endsWith('x.csv/')) expect(status).toBe(200)
      else expect([400, 404], path).toContain(status)
    }
  })

  test('by links; those that stay inside are followed', async () => {
    const dir = folder({
      'served/datasets/a/b/x.csv': 'x',
      'served/blobs/one': 'inside',
      'served/datasets/a/real/y.csv': 'y',
      'outside/secret.csv': secret,
    })
    const served = join(dir, 'served')
    const set = join(served, 'datasets/a/b')
    symlinkSync(join(dir, 'outside/secret.csv'), join(set, 'file.csv'))
    symlinkSync('../../../../outside', join(set, 'dir'))
    symlinkSync('/', join(set, 'root'))
    symlinkSync('nowhere', join(set, 'broken.csv'))
    symlinkSync('loop', join(set, 'loop'))
    symlinkSync('.', join(set, 'self'))
    symlinkSync('../../../blobs/one', join(set, 'good.csv'))
    symlinkSync('../real', join(set, 'also'))
    symlinkSync(join(dir, 'outside'), join(served, 'datasets/a/evil'))
    symlinkSync(dir, join(served, 'datasets/worse'))
    const lines: string[] = []
    const { url } = await serve(served, { log: (line) => lines.push(line) })
    const tree = await (await fetch(`${url}/api/datasets/a/b/tree/main?recursive=true`)).json()
    expect((tree as { path: string }[]).map(({ path }) => path)).toEqual([
      'also',
      'also/y.csv',
      'good.csv',
      'x.csv',
    ])
    expect(await (await fetch(`${url}/datasets/a/b/resolve/main/good.csv`)).text()).toBe('inside')
    for (const path of [
      'b/resolve/main/file.csv',
      'b/resolve/main/dir/secret.csv',
      'evil/resolve/main/secret.csv',
    ]) {
      expect((await rawGet(url, `/datasets/a/${path}`)).status, path).toBe(404)
    }
    for (const id of ['a/evil', 'worse/outside'])
      expect((await rawGet(url, `/api/datasets/${id}`)).status).toBe(404)
    expect(lines.filter((line) => line.includes('left out'))).not.toHaveLength(0)
  })

  test("and what is no regular file, or a tool's own, is left out", async () => {
    const dir = folder({
      'datasets/a/b/x.csv': 'x',
      'datasets/a/b/.git/config': 'x',
      'datasets/a/b/.cache/y': 'y',
    })
    execFileSync('mkfifo', [join(dir, 'datasets/a/b/pipe.csv')])
    mkdirSync(join(dir, 'datasets/a/b/empty'))
    const { url } = await serve(dir)
    const tree = await (await fetch(`${url}/api/datasets/a/b/tree/main?recursive=true`)).json()
    expect((tree as { path: string }[]).map(({ path }) => path)).toEqual(['x.csv'])
  })
})

test('a config name cannot make a path', async () => {
  const readme =
    '---\nconfigs:\n- config_name: ../../evil\n  data_files: x.parquet\n- config_name: ok\n  data_files: x.parquet\n---\n'
  const { url } = await serve(folder({ 'datasets/a/b/README.md': readme, 'datasets/a/b/x.parquet': 10 }))
  const tree = await (
    await fetch(`${url}/api/datasets/a/b/tree/refs%2Fconvert%2Fparquet?recursive=true`)
  ).json()
  const paths = (tree as { path: string }[]).map(({ path }) => path)
  expect(paths).toEqual(['ok', 'ok/train', 'ok/train/0000.parquet'])
})

// Served by a process of its own: root, if that is who runs the tests, reads everything.
test('a file that may not be read is a gated repo', async () => {
  const dir = folder({ 'datasets/a/b/x.csv': 'x' })
  chmodSync(dir, 0o755)
  chmodSync(join(dir, 'datasets/a/b/x.csv'), 0)
  const running = start(['hub', dir, '--port', '0', '--verbose'], { cwd: dir, uid: nobody })
  await running.says('Ctrl-C')
  const [url] = /http:\/\/\S+/.exec(running.output()) ?? []
  const response = await fetch(`${url}/api/datasets/a/b`)
  expect([response.status, response.headers.get('x-error-code')]).toEqual([403, 'GatedRepo'])
  running.child.kill('SIGTERM')
  await running.done
})

test('a folder without datasets/ and models/ is told of, and served all the same', async () => {
  const told = async (dir: string, ...more: string[]) => {
    const running = start(['hub', dir, ...more])
    await running.says(more.length > 0 ? 'http://' : 'Ctrl-C')
    running.child.kill('SIGTERM')
    return (await running.done).stderr
  }
  const [empty, datasets, models] = [{ 'x.csv': 'x' }, GSM8K, { 'models/a/b/x.json': '{}' }].map(folder)
  expect(await told(empty!)).toContain(`${empty} has neither datasets/ nor models/ in it`)
  expect(await told(empty!, '--quiet')).toBe('')
  for (const dir of [datasets, models]) expect(await told(dir!)).not.toContain('neither')
})

test('odd requests get an answer, and the next client too', async () => {
  const { url } = await serve(folder(GSM8K))
  for (const method of ['PUT', 'DELETE', 'POST', 'OPTIONS', 'PATCH', 'TRACE']) {
    const { status } = await rawGet(url, '/api/datasets/openai/gsm8k', method)
    expect(status, method).toBe(405)
  }
  const broken = [
    'GET\r\n\r\n',
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
    'POST /api/datasets/openai/gsm8k/paths-info/main HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  ]
  for (const text of broken)
    expect(await rawRequest(url, text), text.slice(0, 40)).toMatch(/^HTTP\/1\.1 4\d\d /)
  const absolute = await rawRequest(
    url,
    `GET http://elsewhere/api/datasets HTTP/1.1\r\nHost: "<x>"\r\nConnection: close\r\n\r\n`,
  )
  expect(absolute).toMatch(/^HTTP\/1\.1 200 /)
  const upgrade = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n'
  expect(await rawRequest(url, upgrade)).toMatch(/^HTTP\/1\.1 [24]\d\d /)
  const star = await rawRequest(url, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  expect(star).toMatch(/^HTTP\/1\.1 4\d\d /)
  expect((await fetch(`${url}/api/datasets`)).status).toBe(200)
})

test('a body that is too large is refused', async () => {
  const { url } = await serve(folder(GSM8K))
  const response = await fetch(`${url}/api/datasets/openai/gsm8k/paths-info/main`, {
    method: 'POST',
    body: Buffer.alloc(20 << 20, ' '),
  }).catch(() => undefined)
  // The server may hang up before the client has read the answer.
  if (response !== undefined) expect(response.status).toBe(413)
  expect((await fetch(`${url}/api/datasets`)).status).toBe(200)
})

test('query parameters that make no sense are refused or ignored', async () => {
  const { url } = await serve(folder(GSM8K))
  const tree = '/api/datasets/openai/gsm8k/tree/main'
  for (const [query, status] of [
    ['cursor=x', 400],
    ['cursor=LTE', 400],
    ['cursor=OTk5OTk', 200],
    ['recursive=perhaps', 200],
    ['recursive', 200],
    ['%ff=%ff', 200],
    ['__proto__=1&constructor=2', 200],
  ] as const) {
    expect((await rawGet(url, `${tree}?${query}`)).status, query).toBe(status)
  }
  for (const name of ['__proto__', 'constructor', 'toString']) {
    expect((await rawGet(url, `/api/datasets/openai/gsm8k/parquet/${name}`)).status).toBe(404)
    expect((await rawGet(url, `/api/datasets/openai/gsm8k/parquet/main/${name}`)).status).toBe(404)
    expect((await rawGet(url, `/api/datasets/openai/gsm8k/${name}`)).status).toBe(404)
    expect((await rawGet(url, `/datasets/openai/gsm8k/resolve/main/${name}`)).status).toBe(404)
  }
})
