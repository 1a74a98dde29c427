/** The hub's own JavaScript client against the server. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  checkRepoAccess,
  countCommits,
  datasetInfo,
  downloadFile,
  fileDownloadInfo,
  fileExists,
  listCommits,
  listDatasets,
  listFiles,
  pathsInfo,
  repoExists,
  snapshotDownload,
  whoAmI,
} from '@huggingface/hub'
import { describe, expect, test, vi } from 'vitest'
import { bytes, folder, GSM8K, serve } from './server-fixture.ts'

const repo = { type: 'dataset', name: 'openai/gsm8k' } as const
const TRAIN = 'main/train-00000-of-00002.parquet'
const train = bytes(GSM8K[`datasets/openai/gsm8k/${TRAIN}`], `datasets/openai/gsm8k/${TRAIN}`.length)
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe.each([
  ['without a token', undefined],
  ['with a token', 'hf_secret'],
])('@huggingface/hub %s', (_, token) => {
  async function setUp() {
    const { url } = await serve(folder(GSM8K), token === undefined ? {} : { token })
    return { hubUrl: url, ...(token === undefined ? {} : { accessToken: token }) }
  }

  test('listFiles', async () => {
    const at = await setUp()
    const files = await collect(listFiles({ ...at, repo, recursive: true }))
    expect(files.map(({ path }) => path)).toContain(TRAIN)
    const file = files.find(({ path }) => path === TRAIN)!
    expect(file.lfs).toMatchObject({ oid: sha256(train), size: train.length })
    expect(await collect(listFiles({ ...at, repo, path: 'main', expand: true }))).toHaveLength(3)
    const converted = await collect(
      listFiles({ ...at, repo, revision: 'refs/convert/parquet', recursive: true }),
    )
    expect(converted.filter(({ type }) => type === 'file')).toHaveLength(3)
  })

  test('datasetInfo and listDatasets', async () => {
    const at = await setUp()
    const info = await datasetInfo({ ...at, name: repo.name, additionalFields: ['sha', 'cardData', 'tags'] })
    expect(info).toMatchObject({
      name: repo.name,
      private: false,
      gated: false,
      tags: ['language:en', 'license:mit'],
    })
    expect(info.updatedAt.getTime()).not.toBeNaN()
    const pinned = await datasetInfo({
      ...at,
      name: repo.name,
      revision: info.sha,
      additionalFields: ['sha'],
    })
    expect(pinned.sha).toBe(info.sha)
    const found = await collect(listDatasets({ ...at, search: { owner: 'openai', query: 'gsm' } }))
    expect(found.map(({ name }) => name)).toEqual([repo.name])
  })

  test('fileDownloadInfo and downloadFile', async () => {
    const at = await setUp()
    const info = await fileDownloadInfo({ ...at, repo, path: TRAIN })
    expect(info).toMatchObject({ size: train.length, etag: `"${sha256(train)}"` })
    const blob = await downloadFile({ ...at, repo, path: TRAIN })
    expect(sha256(new Uint8Array(await blob!.arrayBuffer()))).toBe(sha256(train))
    const part = new Uint8Array(await blob!.slice(1_000_000, 1_000_010).arrayBuffer())
    expect(part).toEqual(train.slice(1_000_000, 1_000_010))
    const readme = await downloadFile({ ...at, repo, path: 'README.md' })
    expect(await readme!.text()).toBe(GSM8K['datasets/openai/gsm8k/README.md'])
    const pointer = await downloadFile({ ...at, repo, path: TRAIN, raw: true })
    expect(await pointer!.text()).toContain(`oid sha256:${sha256(train)}`)
    expect(await fileDownloadInfo({ ...at, repo, path: 'none' })).toBeNull()
    const converted = await downloadFile({
      ...at,
      repo,
      revision: 'refs/convert/parquet',
      path: 'main/train/0000.parquet',
    })
    expect(sha256(new Uint8Array(await converted!.arrayBuffer()))).toBe(sha256(train))
  })

  test('pathsInfo, fileExists, repoExists, commits', async () => {
    const at = await setUp()
    const [info] = await pathsInfo({ ...at, repo, paths: [TRAIN, 'none'], expand: true })
    expect(info).toMatchObject({ path: TRAIN, type: 'file', lfs: { oid: sha256(train) } })
    expect(await fileExists({ ...at, repo, path: TRAIN })).toBe(true)
    expect(await fileExists({ ...at, repo, path: 'none' })).toBe(false)
    expect(await repoExists({ ...at, repo })).toBe(true)
    expect(await repoExists({ ...at, repo: { type: 'dataset', name: 'openai/none' } })).toBe(false)
    await checkRepoAccess({ ...at, repo })
    const [commit, ...more] = await collect(listCommits({ ...at, repo }))
    expect(more).toEqual([])
    expect(commit!.oid).toBe(info!.lastCommit.id)
    expect(await countCommits({ ...at, repo })).toBe(1)
    if (token !== undefined)
      expect((await whoAmI({ hubUrl: at.hubUrl, accessToken: token })).type).toBe('user')
  })

  test('snapshotDownload', async () => {
    const at = await setUp()
    const cacheDir = folder({})
    vi.spyOn(console, 'debug').mockImplementation(() => {}) // the client reports each file
    const path = await snapshotDownload({ ...at, repo, cacheDir })
    vi.restoreAllMocks()
    expect(sha256(readFileSync(join(path, TRAIN)))).toBe(sha256(train))
  })
})

test('errors come through as the client expects them', async () => {
  const { url: hubUrl } = await serve(folder(GSM8K), { token: 'hf_secret' })
  const accessToken = 'hf_secret'
  const none = { type: 'dataset', name: 'openai/none' } as const
  await expect(datasetInfo({ hubUrl, name: repo.name })).rejects.toMatchObject({ statusCode: 401 })
  await expect(collect(listFiles({ hubUrl, accessToken, repo: none }))).rejects.toMatchObject({
    statusCode: 404,
    message: expect.stringContaining('Repository not found'),
  })
  const gone = listFiles({ hubUrl, accessToken, repo, revision: 'v9' })
  await expect(collect(gone)).rejects.toMatchObject({
    message: expect.stringContaining('Invalid rev id: v9'),
  })
})
