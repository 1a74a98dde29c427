/** The unfinished file beside a download: gone on from, thrown away, locked, kept through aborts and full disks. */
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { downloadFile } from '../../hub/client/download.ts'
import {
  always,
  content,
  failure,
  first,
  folder,
  hubAt,
  lines,
  parquet,
  partPath,
  serve,
} from './download-fixture.ts'
import { bytesOf, sha256 } from './fault-server.ts'

describe('what is left of an earlier download', () => {
  async function interruptedAt(bytes: number, file = parquet): Promise<void> {
    const server = await serve(always({ shortAfter: bytes, ignoreRange: true }))
    await failure(downloadFile(hubAt(server.url, { tries: 1 }), file, { partPath }))
    expect(await readFile(partPath)).toHaveLength(bytes)
  }

  test('is gone on from, with Range and If-Range, also at another mirror', async () => {
    await interruptedAt(123_456)
    const mirror = await serve(() => undefined)
    const seen: number[] = []
    await downloadFile(hubAt(mirror.url), parquet, { partPath }, { onProgress: (n) => seen.push(n) })
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(mirror.log.map(({ headers }) => headers.range)).toEqual(['bytes=123456-'])
    expect(mirror.log[0]!.headers['if-range']).toBe(`"${sha256(content)}"`)
    expect(seen[0]).toBe(123_456)
    expect(mirror.log[0]!.sent).toBe(content.length - 123_456)
  })

  test('is enough when it is whole, even offline', async () => {
    const server = await serve(() => undefined)
    await downloadFile(hubAt(server.url), parquet, { partPath })
    await downloadFile(hubAt(server.url, { offline: true }), parquet, { partPath })
    expect(server.log).toHaveLength(1)
  })

  const damage: [string, () => Promise<void>][] = [
    ['its note is half a JSON', () => writeFile(`${partPath}.json`, '{"schema":1,"con')],
    ['its note is from a newer version', () => writeFile(`${partPath}.json`, '{"schema":2}')],
    ['its note is missing', () => rm(`${partPath}.json`)],
    ['it is of another file', () => interruptedAt(50_000, lines)],
    ['it is longer than the file', () => writeFile(partPath, bytesOf(content.length + 1))],
    ['it is gone', () => rm(partPath)],
  ]
  test.each(damage)('is thrown away when %s', async (_, harm) => {
    await interruptedAt(50_000)
    await harm()
    const server = await serve(() => undefined)
    await downloadFile(hubAt(server.url), parquet, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(server.log.map(({ headers }) => headers.range)).toEqual([undefined])
  })

  test('is fetched again once when a byte of it is wrong', async () => {
    await interruptedAt(50_000)
    const bytes = await readFile(partPath)
    bytes[77]! ^= 1
    await writeFile(partPath, bytes)
    const server = await serve(() => undefined)
    await downloadFile(hubAt(server.url), parquet, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(server.log.map(({ headers }) => headers.range)).toEqual(['bytes=50000-', undefined])
  })

  test('is removed when the hub sends wrong bytes twice', async () => {
    const server = await serve(always({ wrongBytes: true }))
    await failure(downloadFile(hubAt(server.url), parquet, { partPath }))
    expect(await readdir(join(folder, 'new'))).toEqual([])
  })
})

describe('the disk', () => {
  test('a folder that is a file: STORE, naming the folder', async () => {
    const server = await serve(() => undefined)
    await writeFile(join(folder, 'new'), '')
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }))
    expect(error).toMatchObject({ code: 'STORE', retryable: true })
    expect(error.message).toContain(join(folder, 'new'))
  })

  // The device refuses every write, as a full disk does.
  test.runIf(existsSync('/dev/full'))('full: STORE with ENOSPC, and a later run succeeds', async () => {
    const broken = await serve(always({ shortAfter: 1000, ignoreRange: true }))
    await failure(downloadFile(hubAt(broken.url, { tries: 1 }), parquet, { partPath }))
    await rm(partPath)
    await symlink('/dev/full', partPath)
    const server = await serve(() => undefined)
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }))
    expect(error).toMatchObject({ code: 'STORE', retryable: true, details: { errno: 'ENOSPC' } })
    expect(error.message).toBe(`cannot write to ${join(folder, 'new')}: the disk is full (ENOSPC)`)
    await rm(partPath)
    await downloadFile(hubAt(server.url), parquet, { partPath })
    expect(content.equals(await readFile(partPath))).toBe(true)
  })
})

test('take gets the finished file, and nothing is left behind', async () => {
  const server = await serve(() => undefined)
  const goal = join(folder, 'goal')
  const take = async (path: string, { sha256: digest }: { sha256: string }) => {
    expect(digest).toBe(sha256(content))
    await rename(path, goal)
  }
  await downloadFile(hubAt(server.url), parquet, { partPath }, { take })
  expect(content.equals(await readFile(goal))).toBe(true)
  expect(await readdir(join(folder, 'new'))).toEqual([])
})

test('a take that fails keeps the file for the next run', async () => {
  const server = await serve(() => undefined)
  const take = () => Promise.reject(new Error('not now'))
  await expect(downloadFile(hubAt(server.url), parquet, { partPath }, { take })).rejects.toThrow('not now')
  await downloadFile(hubAt(server.url), parquet, { partPath })
  expect(server.log).toHaveLength(1)
})

test('an abort ends at once with INTERRUPTED, and what has arrived is kept', async () => {
  const server = await serve(first({ hangAfter: 100_000 }))
  const controller = new AbortController()
  const onProgress = (n: number) => n === 100_000 && controller.abort()
  const work = downloadFile(
    hubAt(server.url, { idleMs: 60_000 }),
    parquet,
    { partPath },
    { signal: controller.signal, onProgress },
  )
  expect(await failure(work)).toMatchObject({ code: 'INTERRUPTED' })
  await downloadFile(hubAt(server.url), parquet, { partPath })
  expect(server.log.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=100000-'])
})

test('an abort during a pause ends at once', async () => {
  const server = await serve(always({ status: 503, headers: { 'retry-after': '9' } }))
  const controller = new AbortController()
  const onRetry = () => controller.abort()
  expect(
    await failure(
      downloadFile(hubAt(server.url), parquet, { partPath }, { signal: controller.signal, onRetry }),
    ),
  ).toMatchObject({
    code: 'INTERRUPTED',
  })
  expect(server.log).toHaveLength(1)
})

test('onRetry says what happened and what comes next', async () => {
  const server = await serve(first({ status: 503, headers: { 'retry-after': '0' } }, { drop: true }))
  const notes: string[] = []
  await downloadFile(
    hubAt(server.url),
    parquet,
    { partPath },
    { onRetry: ({ message }) => notes.push(message) },
  )
  expect(notes).toEqual([
    expect.stringMatching(/^the hub at http:\S+ answered 503, trying again in 0\.0 s \(2\/4\)$/),
    expect.stringMatching(/^the hub at http:\S+ cannot be reached \(\w+\), trying again in 0\.0 s \(3\/4\)$/),
  ])
})

test('ten downloads to one path at once do not disturb each other', async () => {
  const server = await serve((nth) => (nth % 3 === 0 ? { resetAfter: 50_000 } : undefined), { chunk: 9_999 })
  const work = Array.from({ length: 10 }, () =>
    downloadFile(hubAt(server.url, { tries: 12 }), parquet, { partPath }),
  )
  const done = await Promise.all(work)
  expect(new Set(done.map(({ path }) => path)).size).toBe(10)
  for (const { path } of done) expect(content.equals(await readFile(path))).toBe(true)
})

describe('the lock beside a part', () => {
  const foreign = JSON.stringify({ nonce: 'x', place: 'another host', pid: 1 })

  test.each([
    ['held elsewhere', foreign, 0, '.1'],
    ['held elsewhere, but not touched for two minutes', foreign, 120, ''],
    ['about to be written', '', 0, '.1'],
    ['empty for two minutes', '', 120, ''],
  ])('%s', async (_, text, ageSeconds, suffix) => {
    const server = await serve(() => undefined)
    await mkdir(join(folder, 'new'))
    await writeFile(`${partPath}.lock`, text)
    const then = Date.now() / 1000 - ageSeconds
    await utimes(`${partPath}.lock`, then, then)
    const { path } = await downloadFile(hubAt(server.url), parquet, { partPath })
    expect(path).toBe(`${partPath}${suffix}`)
    expect(content.equals(await readFile(path))).toBe(true)
    expect(existsSync(`${partPath}.lock`)).toBe(suffix !== '')
  })

  test('taken over by another process: this one stops and leaves the lock alone', async () => {
    const server = await serve(() => undefined)
    const onProgress = () => writeFileSync(`${partPath}.lock`, foreign)
    const take = () => Promise.reject(new Error('must not be called'))
    const error = await failure(downloadFile(hubAt(server.url), parquet, { partPath }, { onProgress, take }))
    expect(error).toMatchObject({ code: 'STORE', retryable: true })
    expect(await readFile(`${partPath}.lock`, 'utf8')).toBe(foreign)
  })
})
