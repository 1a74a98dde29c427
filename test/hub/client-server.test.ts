import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { downloadFile } from '../../hub/client/download.ts'
import { findSplit } from '../../hub/client/find-split.ts'
import { createHub, type Hub } from '../../hub/client/hub.ts'
import { hubSettings } from '../../hub/client/settings.ts'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import { sharedHub, sharedSuite } from '../shared.ts'
import { bytesOf } from './fault-server.ts'

let folder: string
let server: HubServer
let hub: Hub

const CARD =
  '---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: "main/train-*"}\n---\n'
const FILES: Record<string, Uint8Array> = {
  'org/rows/README.md': Buffer.from(CARD),
  'org/rows/main/train-00000-of-00001.parquet': bytesOf(3_000_000),
  'org/rows/main/odd name & 100%.jsonl': Buffer.from('{"a":1}\n'),
  'org/lines/data/train.jsonl': Buffer.from('{"text":"é\\u2028"}\n'),
  'org/lines/data/test.jsonl': bytesOf(70_000),
}

const hubAt = (url: string, more: Record<string, string> = {}) =>
  createHub(hubSettings({ HF_ENDPOINT: url, HF_TOKEN: 'hf_x', SHARDMILL_HUB_RETRIES: '1', ...more }))

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'client-server-'))
  for (const [name, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, 'datasets', name)), { recursive: true })
    await writeFile(join(folder, 'datasets', name), content)
  }
  server = await startHubServer(folder)
  hub = hubAt(server.url)
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

describe("the project's own hub server", () => {
  test.each([
    ['org/rows', 'main', 'train', ['main/train-00000-of-00001.parquet'], 'parquet'],
    ['org/lines', undefined, 'train', ['data/train.jsonl'], 'jsonl'],
    ['org/lines', 'default', 'test', ['data/test.jsonl'], 'jsonl'],
  ] as const)('%s %s %s: finds the files and downloads them', async (repo, subset, split, paths, format) => {
    const found = await findSplit(hub, repo, { subset, split })
    expect(found).toMatchObject({ format, converted: false })
    expect(found.files.map(({ path }) => path)).toEqual(paths)
    for (const file of found.files) {
      const { path, bytes } = await downloadFile(hub, file, { partPath: join(folder, 'got', repo, split) })
      const content = FILES[`${repo}/${file.path}`]!
      expect(bytes).toBe(content.length)
      expect((await readFile(path)).equals(content)).toBe(true)
    }
  })

  test('a name with odd signs, and the rest after a cut', async () => {
    const odd = await findSplit(hub, 'org/rows', { split: 'train', files: 'main/odd*' })
    const { path } = await downloadFile(hub, odd.files[0]!, { partPath: join(folder, 'got', 'odd') })
    expect(await readFile(path, 'utf8')).toBe('{"a":1}\n')
    const [big] = (await findSplit(hub, 'org/rows', { split: 'train' })).files
    const content = FILES['org/rows/main/train-00000-of-00001.parquet']!
    const partPath = join(folder, 'got', 'cut')
    const controller = new AbortController()
    const onProgress = (bytes: number) => bytes > 1_500_000 && bytes < 2_900_000 && controller.abort()
    await downloadFile(hub, big!, { partPath }, { onProgress, signal: controller.signal }).catch(() => {})
    const kept = (await readFile(partPath)).length
    const seen: number[] = []
    await downloadFile(hub, big!, { partPath }, { onProgress: (bytes) => seen.push(bytes) })
    expect(seen[0]).toBe(kept)
    expect((await readFile(partPath)).equals(content)).toBe(true)
  })

  test.each([
    [
      'a dataset that is not there',
      { repo: 'org/none', split: 'train' },
      'NOT_FOUND',
      /no dataset org\/none/,
    ],
    ['a revision that is not there', { repo: 'org/rows', split: 'train', revision: 'v9' }, 'NOT_FOUND', /v9/],
    [
      'a commit that is not there',
      { repo: 'org/rows', split: 'train', revision: 'ab'.repeat(20) },
      'NOT_FOUND',
      /abab/,
    ],
    [
      'a subset that is not there',
      { repo: 'org/rows', subset: 'mani', split: 'train' },
      'NOT_FOUND',
      /"mani"/,
    ],
    ['a split that is not there', { repo: 'org/lines', split: 'tset' }, 'NOT_FOUND', /"tset"/],
  ] as const)('%s: one clear error', async (_, { repo, ...wanted }, code, text) => {
    const error = await findSplit(hub, repo, wanted).catch((e: unknown) => e)
    expect(error).toMatchObject({ code, message: expect.stringMatching(text) })
  })

  test('a token that is needed', async () => {
    const closed = await startHubServer(folder, { token: 'letmein' })
    try {
      const good = await findSplit(hubAt(closed.url, { HF_TOKEN: 'letmein' }), 'org/rows', { split: 'train' })
      expect(good.files).toHaveLength(1)
      for (const env of [{ HF_TOKEN: 'wrong' }, { HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }]) {
        const error = await findSplit(hubAt(closed.url, env), 'org/rows', { split: 'train' }).catch(
          (e: unknown) => e,
        )
        expect(error).toMatchObject({ code: expect.stringMatching(/^(HUB_DENIED|NOT_FOUND)$/) })
      }
    } finally {
      await closed.close()
    }
  })
})

sharedSuite('real datasets in the layout of the hub', () => {
  let served: HubServer
  beforeAll(async () => {
    served = await startHubServer(sharedHub)
  })
  afterAll(() => served.close())

  test.each([
    ['openai/gsm8k', 'main', 'train', 1],
    ['openai/gsm8k', 'main', 'test', 1],
    ['cais/mmlu', 'all', 'test', 1],
    ['cais/mmlu', 'auxiliary_train', 'train', 1],
    ['allenai/ai2_arc', 'ARC-Easy', 'validation', 1],
    ['HuggingFaceTB/smol-smoltalk', undefined, 'train', 4],
  ] as const)('%s %s %s', async (repo, subset, split, count) => {
    const found = await findSplit(hubAt(served.url), repo, { subset, split })
    expect(found.files).toHaveLength(count)
    const [file] = found.files
    const got = join(folder, 'real', `${repo}-${subset}-${split}`)
    await downloadFile(hubAt(served.url), file!, { partPath: got })
    const original = await readFile(join(sharedHub, 'datasets', repo, file!.path))
    expect((await readFile(got)).equals(original)).toBe(true)
  })
})
