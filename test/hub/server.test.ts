/** The hub server: the digests it gives to commits and files, and what it answers for them. */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startHubServer } from '../../hub/server/index.ts'
import { bytes, folder, GSM8K, rawGet, serve, write } from './server-fixture.ts'

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')

interface Info {
  readonly sha: string
  readonly lastModified: string
  readonly siblings: readonly unknown[]
  readonly cardData?: unknown
}
interface Entry {
  readonly type: string
  readonly path: string
  readonly oid: string
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number }
  readonly lastCommit?: { readonly id: string }
}
interface Refs {
  readonly branches: readonly { readonly name: string; readonly targetCommit: string }[]
  readonly converts: readonly unknown[]
}
type Listing = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

async function json<T = Info>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init)
  expect(response.status, url).toBe(200)
  return (await response.json()) as T
}

describe('digests', () => {
  test('commit, tree and blob oids are those that git gives', async () => {
    const dir = folder({
      'datasets/a/b/README.md': '# Hello\n',
      'datasets/a/b/data/train.jsonl': '{"a":1}\n',
      'datasets/a/b/a/b.txt': 'x',
      'datasets/a/b/a.txt': '',
      'datasets/a/b/a-x': 'y\n',
      'datasets/a/b/é ü.txt': 'é',
    })
    const { url } = await serve(dir)
    const info = await json(`${url}/api/datasets/a/b?blobs=true`)
    expect(info.sha).toBe('100b502ac9afba128f065e03ab61d6d734ffa30d')
    expect(info.siblings).toEqual([
      { rfilename: 'README.md', size: 8, blobId: 'fec56017dc1b1ac87ad6e54e3cb3a20bb8dcc5ab' },
      { rfilename: 'a-x', size: 2, blobId: '975fbec8256d3e8a3797e7a3611380f27c49f4ac' },
      { rfilename: 'a.txt', size: 0, blobId: 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' },
      { rfilename: 'a/b.txt', size: 1, blobId: 'c1b0730e0133447badcfd47fd144e254807b06e1' },
      { rfilename: 'data/train.jsonl', size: 8, blobId: '0187f3b09d66cef7911083ad49f890f5a6589589' },
      { rfilename: 'é ü.txt', size: 2, blobId: '4b04fff51468d8ab5201ab02b725dc477bc7cb45' },
    ])
    const [first] = await json<Entry[]>(`${url}/api/datasets/a/b/tree/main`)
    expect(first).toEqual({
      type: 'directory',
      oid: '01cc09486627c642a9ec37ee69658e70cf98f230',
      size: 0,
      path: 'a',
    })
  })

  test('large and binary files have the sha256 of their content, and the oid of their pointer', async () => {
    const dir = folder({
      'datasets/a/b/x.jsonl': 1 << 20,
      'datasets/a/b/y.jsonl': (1 << 20) - 1,
      'datasets/a/b/z.parquet': 3,
    })
    const { url } = await serve(dir)
    const [x, y, z] = await json<Entry[]>(`${url}/api/datasets/a/b/tree/main`)
    const content = bytes(1 << 20, 'datasets/a/b/x.jsonl'.length)
    expect(x?.lfs).toEqual({ oid: sha256(content), size: 1 << 20, pointerSize: 132 })
    expect(y?.lfs).toBeUndefined()
    expect(z?.lfs?.size).toBe(3)
    const pointer = await (await fetch(`${url}/datasets/a/b/raw/main/x.jsonl`)).text()
    expect(pointer).toBe(
      `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(content)}\nsize 1048576\n`,
    )
    expect(createHash('sha1').update(`blob ${pointer.length}\0${pointer}`).digest('hex')).toBe(x?.oid)
  })

  test('the commit moves with every change and returns with the content', async () => {
    const dir = folder({ 'datasets/a/b/x.jsonl': 'one\n', 'datasets/a/b/y.jsonl': 'two\n' })
    const { url } = await serve(dir)
    const commit = async () => (await json(`${url}/api/datasets/a/b`)).sha
    const first = await commit()
    write(dir, { 'datasets/a/b/x.jsonl': 'eno\n' })
    const second = await commit()
    write(dir, { 'datasets/a/b/new/z.jsonl': 'three\n' })
    const third = await commit()
    rmSync(join(dir, 'datasets/a/b/new'), { recursive: true })
    write(dir, { 'datasets/a/b/x.jsonl': 'one\n' })
    expect(new Set([first, second, third]).size).toBe(3)
    expect(await commit()).toBe(first)
  })

  test('a warm start answers the same, and can be stopped at any moment', async () => {
    const dir = folder(GSM8K)
    const cold = await serve(dir)
    const warm = await serve(dir, { warm: true })
    const path = '/api/datasets/openai/gsm8k?blobs=true'
    expect(await json(warm.url + path)).toEqual(await json(cold.url + path))
    const brief = await startHubServer(dir, { warm: true })
    await brief.close()
    await expect(fetch(brief.url)).rejects.toThrow()
  })

  test('a copy of the folder has the same commit', async () => {
    const files = { 'datasets/a/b/x.jsonl': 'one\n', 'datasets/c/d/x.jsonl': 'one\n' }
    const { url } = await serve(folder(files))
    expect((await json(`${url}/api/datasets/a/b`)).sha).toBe((await json(`${url}/api/datasets/c/d`)).sha)
  })

  test('a hundred quick changes of one size are all seen', async () => {
    const dir = folder({})
    const { url } = await serve(dir)
    for (let i = 100; i < 200; i++) {
      write(dir, { 'datasets/a/b/x.jsonl': String(i) })
      const [entry] = await json<Entry[]>(`${url}/api/datasets/a/b/tree/main`)
      expect(entry?.oid).toBe(createHash('sha1').update(`blob 3\0${i}`).digest('hex'))
    }
  })
})

describe('info', () => {
  test('has the fields that clients read', async () => {
    const { url } = await serve(folder(GSM8K))
    const info = await json(`${url}/api/datasets/openai/gsm8k/revision/main`)
    expect(info).toMatchObject({
      id: 'openai/gsm8k',
      author: 'openai',
      private: false,
      gated: false,
      disabled: false,
      tags: ['language:en', 'license:mit'],
      cardData: { license: 'mit', configs: [{ config_name: 'main' }] },
      siblings: [
        { rfilename: 'README.md' },
        { rfilename: 'main/test-00000-of-00001.parquet' },
        { rfilename: 'main/train-00000-of-00002.parquet' },
        { rfilename: 'main/train-00001-of-00002.parquet' },
      ],
    })
    expect(new Date(info.lastModified).toISOString()).toBe(info.lastModified)
    expect(await json(`${url}/api/datasets/openai/gsm8k/revision/${info.sha}`)).toEqual(info)
  })

  test('expand chooses fields, and refuses unknown ones', async () => {
    const { url } = await serve(folder(GSM8K))
    const info = await json(`${url}/api/datasets/openai/gsm8k?expand=sha&expand[]=private`)
    expect(Object.keys(info).sort()).toEqual(['_id', 'id', 'private', 'sha'])
    expect((await fetch(`${url}/api/datasets/openai/gsm8k?expand=shaa`)).status).toBe(400)
  })

  test('a README that makes no sense hides neither the dataset nor the list', async () => {
    const { url } = await serve(
      folder({ 'datasets/a/b/README.md': '---\na: [\n---\n', 'datasets/a/b/x.csv': 'a\n1\n' }),
    )
    const info = await json(`${url}/api/datasets/a/b`)
    expect(info.cardData).toBeUndefined()
    expect(info.siblings).toHaveLength(2)
    expect(await json(`${url}/api/datasets?full=true`)).toHaveLength(1)
  })

  test('refs, commits, whoami, validate-yaml', async () => {
    const { url } = await serve(folder(GSM8K))
    const { sha } = await json(`${url}/api/datasets/openai/gsm8k`)
    const refs = await json<Refs>(`${url}/api/datasets/openai/gsm8k/refs`)
    expect(refs.branches).toEqual([{ name: 'main', ref: 'refs/heads/main', targetCommit: sha }])
    expect(refs.converts).toHaveLength(1)
    const commits = await json<unknown[]>(`${url}/api/datasets/openai/gsm8k/commits/main`)
    expect(commits).toHaveLength(1)
    expect(commits[0]).toMatchObject({ id: sha, message: '', authors: [{ user: 'shardmill' }] })
    expect((await fetch(`${url}/api/whoami-v2`)).status).toBe(401)
    const me = await json(`${url}/api/whoami-v2`, { headers: { authorization: 'Bearer x' } })
    expect(me).toMatchObject({ type: 'user', auth: { accessToken: { role: 'read' } } })
    const body = JSON.stringify({ content: '---\na: [\n---\n', repoType: 'dataset' })
    const verdict = await json<{ errors: unknown[] }>(`${url}/api/validate-yaml`, { method: 'POST', body })
    expect(verdict.errors).toHaveLength(1)
  })
})

describe('lists', () => {
  test('datasets by author and search, in pages', async () => {
    const names = ['a/one', 'a/two', 'b/one', 'c/three']
    const { url } = await serve(
      folder(Object.fromEntries(names.map((name) => [`datasets/${name}/x.csv`, 'a\n']))),
    )
    const ids = (list: { id: string }[]) => list.map(({ id }) => id)
    expect(ids(await json<{ id: string }[]>(`${url}/api/datasets`))).toEqual(names)
    expect(ids(await json<{ id: string }[]>(`${url}/api/datasets?author=a`))).toEqual(['a/one', 'a/two'])
    expect(ids(await json<{ id: string }[]>(`${url}/api/datasets?search=ONE`))).toEqual(['a/one', 'b/one'])
    expect(ids(await followPages(`${url}/api/datasets?limit=1`))).toEqual(names)
    expect(await json(`${url}/api/datasets?filter=license:mit`)).toEqual([])
  })

  test('a tree, flat, recursive, of a folder, in pages', async () => {
    const { url } = await serve(folder(GSM8K))
    const tree = `${url}/api/datasets/openai/gsm8k/tree`
    const paths = (list: { path: string }[]) => list.map(({ path }) => path)
    const all = [
      'main',
      'main/test-00000-of-00001.parquet',
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
      'README.md',
    ]
    expect(paths(await json<Entry[]>(`${tree}/main`))).toEqual(['main', 'README.md'])
    expect(paths(await json<Entry[]>(`${tree}/main?recursive=true`))).toEqual(all)
    expect(paths(await json<Entry[]>(`${tree}/main?recursive=True`))).toEqual(all)
    expect(paths(await json<Entry[]>(`${tree}/main/main`))).toEqual(all.slice(1, 4))
    for (const limit of [1, 2, 3]) {
      expect(paths(await followPages(`${tree}/main?recursive=true&limit=${limit}`))).toEqual(all)
    }
    const [entry] = await json<Entry[]>(`${tree}/main/main?expand=true`)
    expect(entry?.lastCommit?.id).toBe((await json(`${url}/api/datasets/openai/gsm8k`)).sha)
    expect((await fetch(`${tree}/main/README.md`)).headers.get('x-error-code')).toBe('EntryNotFound')
  })

  test('the pages of a tree are of one version', async () => {
    const dir = folder({ 'datasets/a/b/1.csv': 'a', 'datasets/a/b/2.csv': 'b', 'datasets/a/b/3.csv': 'c' })
    const { url } = await serve(dir)
    const first = await fetch(`${url}/api/datasets/a/b/tree/main?limit=1`)
    write(dir, { 'datasets/a/b/0.csv': 'new' })
    const next = await fetch(nextOf(first)!)
    expect(next.headers.get('x-repo-commit')).toBe(first.headers.get('x-repo-commit'))
    expect(await next.json()).toMatchObject([{ path: '2.csv' }])
  })

  test.each(['0', '-1', 'x', '1001', '1e2'])('a limit of %s is refused', async (limit) => {
    const { url } = await serve(folder(GSM8K))
    expect((await fetch(`${url}/api/datasets/openai/gsm8k/tree/main?limit=${limit}`)).status).toBe(400)
  })

  test('paths-info, from JSON and from a form', async () => {
    const { url } = await serve(folder(GSM8K))
    const address = `${url}/api/datasets/openai/gsm8k/paths-info/main`
    const paths = ['README.md', 'main/', 'gone']
    const fromJson = await json<Entry[]>(address, { method: 'POST', body: JSON.stringify({ paths }) })
    expect(fromJson.map(({ type, path }) => [type, path])).toEqual([
      ['file', 'README.md'],
      ['directory', 'main'],
    ])
    const form = new URLSearchParams(paths.map((path) => ['paths', path] as [string, string]))
    form.set('expand', 'True')
    const fromForm = await json<Entry[]>(address, { method: 'POST', body: form })
    expect(fromForm).toMatchObject(fromJson)
    expect(fromForm[0]?.lastCommit).toBeDefined()
    for (const body of ['{', '[]', '{"paths":[1]}', '\u{ff}']) {
      expect((await fetch(address, { method: 'POST', body })).status, body).toBe(400)
    }
    expect((await fetch(address)).status).toBe(405)
  })
})

describe('revisions', () => {
  test('the converted branch holds the parquet files by config and split', async () => {
    const { url } = await serve(folder(GSM8K))
    const api = `${url}/api/datasets/openai/gsm8k`
    const encoded = await json<Entry[]>(`${api}/tree/refs%2Fconvert%2Fparquet?recursive=true`)
    expect(await json(`${api}/tree/refs/convert/parquet?recursive=true`)).toEqual(encoded)
    const files = encoded.filter(({ type }) => type === 'file')
    expect(files.map(({ path }) => path)).toEqual([
      'main/test/0000.parquet',
      'main/train/0000.parquet',
      'main/train/0001.parquet',
    ])
    const train = `${url}/datasets/openai/gsm8k/resolve/refs%2Fconvert%2Fparquet/main/train/0001.parquet`
    const original = bytes(1_200_000, 'datasets/openai/gsm8k/main/train-00001-of-00002.parquet'.length)
    expect(sha256(new Uint8Array(await (await fetch(train)).arrayBuffer()))).toBe(sha256(original))
    const { sha } = await json(`${api}/revision/refs%2Fconvert%2Fparquet`)
    expect(await json(`${api}/tree/${sha}?recursive=true`)).toEqual(encoded)

    const listing = await json<Listing>(`${api}/parquet`)
    expect(listing['main']!['train']).toHaveLength(2)
    expect(await json(`${api}/parquet/main`)).toEqual(listing['main'])
    expect(await json(`${api}/parquet/main/train`)).toEqual(listing['main']!['train'])
    expect(sha256(new Uint8Array(await (await fetch(listing['main']!['train']![1]!)).arrayBuffer()))).toBe(
      sha256(original),
    )
    for (const path of [
      'none',
      'main/none',
      'main/train/2.parquet',
      'main/train/00.parquet',
      'main/train/0.parquet/x',
    ]) {
      expect((await fetch(`${api}/parquet/${path}`)).status, path).toBe(404)
    }
  })

  test('a dataset without parquet has no converted branch', async () => {
    const { url } = await serve(folder({ 'datasets/a/b/train.jsonl': '{}\n' }))
    expect(await json(`${url}/api/datasets/a/b/parquet`)).toEqual({})
    expect((await json<Refs>(`${url}/api/datasets/a/b/refs`)).converts).toEqual([])
    const response = await fetch(`${url}/api/datasets/a/b/revision/refs%2Fconvert%2Fparquet`)
    expect(response.headers.get('x-error-code')).toBe('RevisionNotFound')
  })

  test('a folder name@revision is that revision', async () => {
    const dir = folder({ 'datasets/a/b/x.csv': 'new', 'datasets/a/b@v1.0/x.csv': 'old' })
    const { url } = await serve(dir)
    expect(await (await fetch(`${url}/datasets/a/b/resolve/v1.0/x.csv`)).text()).toBe('old')
    expect(await (await fetch(`${url}/datasets/a/b/resolve/main/x.csv`)).text()).toBe('new')
    const { branches } = await json<Refs>(`${url}/api/datasets/a/b/refs`)
    expect(branches.map(({ name }) => name)).toEqual(['main', 'v1.0'])
    const old = branches[1]!.targetCommit
    expect(await (await fetch(`${url}/datasets/a/b/resolve/${old}/x.csv`)).text()).toBe('old')
    expect(await json(`${url}/api/datasets`)).toHaveLength(1)
  })

  test('a former commit is served as far as its files are untouched', async () => {
    const dir = folder({ 'datasets/a/b/x.csv': 'x', 'datasets/a/b/y.csv': 'y', 'datasets/a/b/z.parquet': 10 })
    const { url } = await serve(dir)
    const { sha } = await json(`${url}/api/datasets/a/b`)
    write(dir, { 'datasets/a/b/y.csv': 'changed', 'datasets/a/b/z.parquet': 11 })
    expect((await json(`${url}/api/datasets/a/b`)).sha).not.toBe(sha)
    const get = (path: string) => fetch(`${url}/datasets/a/b/resolve/${sha}/${path}`)
    expect(await (await get('x.csv')).text()).toBe('x')
    const gone = await get('y.csv')
    expect(gone.status).toBe(404)
    expect(gone.headers.get('x-error-code')).toBe('RevisionNotFound')
    expect((await get('z.parquet')).status).toBe(404)
  })

  test('a restart keeps the commits', async () => {
    const dir = folder(GSM8K)
    const first = await startHubServer(dir)
    const { sha } = await json(`${first.url}/api/datasets/openai/gsm8k`)
    await first.close()
    const { url } = await serve(dir)
    expect((await fetch(`${url}/datasets/openai/gsm8k/resolve/${sha}/README.md`)).status).toBe(200)
  })
})

describe('errors have the form of the hub', () => {
  test.each([
    ['/api/datasets/openai/none', 'RepoNotFound'],
    ['/api/datasets/none/gsm8k', 'RepoNotFound'],
    ['/api/datasets/gsm8k', 'RepoNotFound'],
    ['/api/datasets/OpenAI/gsm8k', 'RepoNotFound'],
    ['/api/models/openai/gsm8k', 'RepoNotFound'],
    ['/openai/gsm8k/resolve/main/x', 'RepoNotFound'],
    ['/api/datasets/openai/gsm8k/revision/v9', 'RevisionNotFound'],
    [`/api/datasets/openai/gsm8k/revision/${'0'.repeat(40)}`, 'RevisionNotFound'],
    ['/datasets/openai/gsm8k/resolve/v9/README.md', 'RevisionNotFound'],
    ['/datasets/openai/gsm8k/resolve/main/none', 'EntryNotFound'],
    ['/datasets/openai/gsm8k/resolve/main/main', 'EntryNotFound'],
    ['/datasets/openai/gsm8k/resolve/main', 'EntryNotFound'],
    ['/api/datasets/openai/gsm8k/tree/main/none', 'EntryNotFound'],
  ])('%s: %s', async (path, code) => {
    const { url } = await serve(folder(GSM8K))
    for (const method of ['GET', 'HEAD']) {
      const response = await fetch(url + path, { method })
      expect(response.status).toBe(404)
      expect(response.headers.get('x-error-code')).toBe(code)
      expect(response.headers.get('x-error-message')).toBeTruthy()
      if (method === 'GET') expect(await response.json()).toMatchObject({ error: expect.any(String) })
    }
  })

  test('an entry that is missing tells the commit it is missing from', async () => {
    const { url } = await serve(folder(GSM8K))
    const { sha } = await json(`${url}/api/datasets/openai/gsm8k`)
    const response = await fetch(`${url}/datasets/openai/gsm8k/resolve/main/none`)
    expect(response.headers.get('x-repo-commit')).toBe(sha)
  })

  test('with a token, everything needs it', async () => {
    const lines: string[] = []
    const { url } = await serve(folder(GSM8K), { token: 'geheim', log: (line) => lines.push(line) })
    const cdn = await fetch(`${url}/datasets/openai/gsm8k/resolve/main/main/test-00000-of-00001.parquet`, {
      headers: { authorization: 'Bearer geheim' },
      redirect: 'manual',
    })
    const paths = [
      '/',
      '/api/datasets',
      '/api/datasets/openai/gsm8k',
      '/datasets/openai/gsm8k/resolve/main/README.md',
      '/nowhere',
    ]
    for (const address of [...paths.map((path) => url + path), cdn.headers.get('location')!]) {
      for (const authorization of [
        undefined,
        'Bearer wrong',
        'Basic geheim',
        'geheim',
        'Bearer geheim2',
        'Bearer ',
      ]) {
        const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
        const response = await fetch(address, { headers })
        expect(response.status, `${address} ${authorization}`).toBe(401)
        expect(response.headers.get('www-authenticate')).toContain('Bearer')
      }
      expect((await fetch(address, { headers: { authorization: 'Bearer geheim' } })).status).not.toBe(401)
    }
    expect(lines.length).toBeGreaterThan(10)
    expect(lines.join('\n')).not.toContain('geheim')
  })

  test('the folder and the port must be good', async () => {
    await expect(startHubServer(join(folder({}), 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(startHubServer(folder({}), { port: 70_000 })).rejects.toMatchObject({ code: 'USAGE' })
    const { url } = await serve(folder({}))
    const taken = Number(new URL(url).port)
    await expect(startHubServer(folder({}), { port: taken })).rejects.toMatchObject({ code: 'USAGE' })
  })

  test('an empty folder has no datasets', async () => {
    const { url } = await serve(folder({}))
    expect(await json(`${url}/api/datasets`)).toEqual([])
    expect((await rawGet(url, '/')).status).toBe(200)
  })
})

function nextOf(response: Response): string | undefined {
  return /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
}

async function followPages<T>(url: string): Promise<T[]> {
  const all: T[] = []
  for (let next: string | undefined = url; next !== undefined; ) {
    const response = await fetch(next)
    expect(response.status).toBe(200)
    all.push(...((await response.json()) as T[]))
    next = nextOf(response)
  }
  return all
}
