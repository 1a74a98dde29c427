import { existsSync, readFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkStore } from '../../store/check.ts'
import { sha256 } from '../../store/digest.ts'
import { type FileStore, openFileStore } from '../../store/file-store.ts'
import { listStore } from '../../store/list.ts'
import type { BuildRecord, StageRecord } from '../../store/types.ts'
import { makeBuild, makeRecord, namesIn, noise, openStore, overwrite, temporaryFolder } from './helpers.ts'

interface Filled {
  readonly store: FileStore
  readonly rows: StageRecord
  readonly tokens: StageRecord
  readonly build: BuildRecord
  /** Makes what is missing, as the next build does. */
  heal(): Promise<void>
}

async function filled(): Promise<Filled> {
  const { store } = await openStore(temporaryFolder())
  const rowBytes = noise(1_500_000)
  const make = async () => {
    const rows = makeRecord({ rows: await store.putBlob(rowBytes) }, { stage: 'format' })
    const inputs = { rows: rows.outputs['rows']!.digest }
    const tokens = makeRecord(
      {
        tokens: await store.putBlob(Buffer.from('tokens')),
        index: await store.putBlob(Buffer.from('index')),
      },
      { stage: 'tokenize', inputs },
    )
    const list = await store.putBlob(Buffer.from('list'))
    const build = makeBuild(
      'a build',
      await store.putBlob(Buffer.from('lock')),
      [rows, tokens],
      [list.digest],
    )
    for (const record of [rows, tokens]) {
      if ((await store.getRecord(record.key)) === undefined) await store.putRecord(record)
    }
    await store.putBuild(build)
    return { rows, tokens, build }
  }
  return { store, ...(await make()), heal: async () => void (await make()) }
}

const blobFile = (digest: string) => `v1/blobs/sha256/${digest.slice(0, 2)}/${digest}`

test('a whole store has no findings; counts and progress are true', async () => {
  const { store } = await filled()
  const seen: number[] = []
  const result = await checkStore(store, { onProgress: ({ bytes }) => seen.push(bytes) })
  const bytes = 1_500_000 + 6 + 5 + 4 + 4
  expect(result).toEqual({ blobs: 5, bytes, records: 2, builds: 1, findings: [], foreign: [], newer: [] })
  expect(seen.at(-1)).toBe(bytes)
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
})

test.each<[string, 'corrupt' | 'short', (bytes: Buffer) => Buffer]>([
  [
    'with a bit flipped',
    'corrupt',
    (bytes) => Buffer.from(bytes.map((byte, i) => (i === 777 ? byte ^ 4 : byte))),
  ],
  ['cut short', 'short', (bytes) => bytes.subarray(0, -1)],
  ['emptied', 'short', () => Buffer.alloc(0)],
  ['replaced by a shorter valid one', 'short', () => Buffer.from('tokens')],
  ['made longer', 'corrupt', (bytes) => Buffer.concat([bytes, Buffer.from('more')])],
])(
  'a blob %s is found with its maker and its reader, set aside, and healed by the next build',
  async (_, kind, change) => {
    const { store, rows, tokens, heal } = await filled()
    const { digest } = rows.outputs['rows']!
    const path = store.layout.blob(digest)
    const damaged = change(await readFile(path))
    await overwrite(path, damaged)

    const looked = await checkStore(store, { repair: false })
    const finding = {
      kind,
      file: blobFile(digest),
      digest,
      why: expect.any(String),
      stages: [
        { stage: 'format', key: rows.key, name: 'rows', as: 'output' },
        { stage: 'tokenize', key: tokens.key, name: 'rows', as: 'input' },
      ],
      builds: ['a build'],
    }
    expect(looked.findings).toEqual([finding])
    expect(existsSync(path)).toBe(true)

    const { findings } = await checkStore(store)
    expect(findings).toEqual([{ ...finding, quarantined: expect.stringMatching(/^v1\/quarantine\//) }])
    expect(readFileSync(join(store.name, findings[0]!.quarantined!)).equals(damaged)).toBe(true)
    expect(existsSync(path)).toBe(false)
    expect(await store.getRecord(rows.key)).toBeUndefined()
    expect((await checkStore(store)).findings).toMatchObject([
      { kind: 'missing', file: blobFile(digest), digest },
    ])

    await heal()
    expect((await checkStore(store)).findings).toEqual([])
  },
)

test('a missing blob is found, whether a stage made it or a build lists it', async () => {
  const { store, tokens, build, heal } = await filled()
  const gone = [tokens.outputs['index']!.digest, build.blobs[0]!, build.lock.digest]
  for (const digest of gone) await rm(store.layout.blob(digest))
  const { findings } = await checkStore(store)
  const expected = gone.map((digest) => ({ kind: 'missing', file: blobFile(digest), builds: ['a build'] }))
  expect(findings).toMatchObject(expected.sort((a, b) => (a.file < b.file ? -1 : 1)))
  expect(findings.find(({ digest }) => digest === gone[0])!.stages).toMatchObject([{ stage: 'tokenize' }])
  await heal()
  expect((await checkStore(store)).findings).toEqual([])
})

test('any byte changed in a record or a build record is found and healed', async () => {
  const { store, tokens, build, heal } = await filled()
  for (const [path, kind, digest] of [
    [store.layout.record(tokens.key), 'bad-record', tokens.key],
    [store.layout.build(build.id), 'bad-build', build.id],
  ] as const) {
    const bytes = await readFile(path)
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      await overwrite(path, changed)
      const { findings } = await checkStore(store)
      expect(findings[0], `byte ${at}`).toMatchObject({ kind, digest, quarantined: expect.any(String) })
      await heal()
      expect((await checkStore(store)).findings).toEqual([])
    }
  }
})

test('a damaged record tells its stage as long as it can be read at all', async () => {
  const { store, tokens } = await filled()
  const path = store.layout.record(tokens.key)
  const text = await readFile(path, 'utf8')
  await overwrite(path, Buffer.from(text.replace('"rows":3', '"rows":4')))
  const looked = await checkStore(store, { repair: false })
  const stages = [{ stage: 'tokenize', key: tokens.key, name: '', as: 'output' }]
  expect(looked.findings).toMatchObject([{ kind: 'bad-record', stages, builds: ['a build'] }])
  await overwrite(path, Buffer.from(text.slice(0, 120)))
  expect((await checkStore(store)).findings).toMatchObject([{ kind: 'bad-record', stages: [] }])
})

test('a record that lies about a size is found, not the blob', async () => {
  const { store, tokens } = await filled()
  const { store: other } = await openStore(store.name)
  const ref = tokens.outputs['tokens']!
  await rm(store.layout.blob(ref.digest))
  await overwriteNew(store.layout.blob(ref.digest), Buffer.from('token'))
  const lying = makeRecord({ short: { ...ref, bytes: 5 } }, { stage: 'liar' })
  await other.putRecord(lying)
  await other.putBlob(Buffer.from('tokens'))
  expect((await checkStore(store)).findings).toMatchObject([
    { kind: 'bad-record', digest: lying.key, stages: [{ stage: 'liar', name: 'short' }] },
  ])
  expect(await store.getRecord(tokens.key)).toEqual(tokens)
})

async function overwriteNew(path: string, bytes: Uint8Array): Promise<void> {
  const { writeFile } = await import('node:fs/promises')
  await writeFile(path, bytes)
}

test('a damaged tag is found and written again; newer records and foreign files are named and left', async () => {
  const { store, tokens } = await filled()
  await overwrite(join(store.name, 'CACHEDIR.TAG'), Buffer.from('Signature: none'))
  const json = JSON.stringify({ ...tokens, schema: 9 })
  const path = store.layout.record(tokens.key)
  await overwrite(path, Buffer.from(`{"sha256":"${sha256(json)}","value":${json}}\n`))
  await overwriteNew(join(store.layout.records, 'README'), Buffer.from('x'))
  await overwriteNew(join(store.layout.records, '.DS_Store'), Buffer.from('x'))
  const result = await checkStore(store)
  expect(result.findings).toMatchObject([{ kind: 'bad-tag', file: 'CACHEDIR.TAG' }])
  expect(result.foreign).toEqual(['v1/records/README'])
  expect(result.newer).toEqual([`v1/records/${tokens.key.slice(0, 2)}/${tokens.key}.json`])
  expect((await checkStore(store)).findings).toEqual([])
  expect(existsSync(path)).toBe(true)
})

test("something that is no file in a blob's place is found and set aside", async () => {
  const { mkdir } = await import('node:fs/promises')
  const { store, tokens, heal } = await filled()
  const path = store.layout.blob(tokens.outputs['tokens']!.digest)
  await rm(path)
  await mkdir(join(path, 'inside'), { recursive: true })
  expect((await checkStore(store)).findings).toMatchObject([
    { kind: 'corrupt', quarantined: expect.any(String) },
  ])
  await heal()
  expect((await checkStore(store)).findings).toEqual([])
})

test('a store opened to look only is checked without a trace', async () => {
  const { store, rows } = await filled()
  await store.close()
  await overwrite(store.layout.blob(rows.outputs['rows']!.digest), Buffer.from('x'))
  const looking = await openFileStore(store.name, { readOnly: true })
  expect((await checkStore(looking)).findings).toMatchObject([{ kind: 'short' }])
  expect(await namesIn(store.layout.leases)).toEqual([])
  expect(await namesIn(store.layout.quarantine)).toEqual([])
  const nothing = await openFileStore(join(store.name, 'absent'), { readOnly: true })
  expect(await checkStore(nothing)).toMatchObject({ blobs: 0, records: 0, builds: 0, findings: [] })
})

test('a check can be interrupted', async () => {
  const { store } = await filled()
  const stop = new AbortController()
  const interrupted = checkStore(store, { signal: stop.signal, onProgress: () => stop.abort() })
  await expect(interrupted).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect((await namesIn(store.layout.leases)).filter((name) => name.startsWith('build'))).toEqual([])
})

test('a listing counts builds, stages and blobs, and what it cannot read', async () => {
  const { store, tokens, build } = await filled()
  const expected = {
    root: store.name,
    builds: [build],
    stages: [
      { stage: 'format', version: 1, records: 1, bytes: 1_500_000 },
      { stage: 'tokenize', version: 1, records: 1, bytes: 11 },
    ],
    blobs: { count: 5, bytes: 1_500_019 },
    unreadable: 0,
    quarantined: 0,
  }
  expect(await listStore(store)).toEqual(expected)
  await overwrite(store.layout.record(tokens.key), Buffer.from('{'))
  expect(await listStore(store)).toEqual({ ...expected, stages: [expected.stages[0]], unreadable: 1 })
  await checkStore(store)
  expect(await listStore(store)).toMatchObject({ unreadable: 0, quarantined: 1 })
})
