import { writeFileSync } from 'node:fs'
import { chmod, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkStore } from '../../store/check.ts'
import { sha256 } from '../../store/digest.ts'
import type { FileStore } from '../../store/file-store.ts'
import { collectGarbage } from '../../store/gc.ts'
import { listStore } from '../../store/list.ts'
import type { BuildRecord, StageRecord } from '../../store/types.ts'
import { takeGcLease } from '../../store/using.ts'
import {
  collect,
  makeBuild,
  makeRecord,
  namesIn,
  openStore,
  overwrite,
  startProgram,
  temporaryFolder,
} from './helpers.ts'

const QUICK = { leaseTimes: { heartbeatMs: 50, staleMs: 400 } }
const text = (words: string) => Buffer.from(words)

interface Built {
  readonly build: BuildRecord
  readonly records: StageRecord[]
}

/** Two stages, a list and a lock. */
async function buildIn(store: FileStore, name: string): Promise<Built> {
  const rows = makeRecord(
    { rows: await store.putBlob(text(`${name} rows`)) },
    { stage: 'format', params: { name } },
  )
  const inputs = { rows: rows.outputs['rows']!.digest }
  const tokens = makeRecord(
    { tokens: await store.putBlob(text(`${name} tokens`)), shared: await store.putBlob(text('shared')) },
    { stage: 'tokenize', inputs },
  )
  for (const record of [rows, tokens]) await store.putRecord(record)
  const list = await store.putBlob(text(`${name} list`))
  const build = makeBuild(name, await store.putBlob(text(`${name} lock`)), [rows, tokens], [list.digest])
  await store.putBuild(build)
  return { build, records: [rows, tokens] }
}

/** A record and a blob that no build reaches. */
async function litter(store: FileStore): Promise<StageRecord> {
  const record = makeRecord({ rows: await store.putBlob(text('litter')) }, { stage: 'litter' })
  await store.putRecord(record)
  await store.putBlob(text('stray'))
  return record
}

async function isWhole(store: FileStore, { build, records }: Built): Promise<void> {
  expect(await store.getBuild(build.id)).toEqual(build)
  for (const record of records) expect(await store.getRecord(record.key)).toEqual(record)
  for (const digest of [build.lock.digest, ...build.blobs])
    expect(await store.statBlob(digest)).toBeGreaterThan(0)
  expect((await checkStore(store)).findings).toEqual([])
}

describe('gc', () => {
  test('keeps all that builds reach, and removes the rest', async () => {
    const { store } = await openStore(temporaryFolder())
    const built = await buildIn(store, 'first')
    const litterRecord = await litter(store)
    const expected = { builds: 0, records: 1, blobs: 2, leftovers: 0, bytes: 11 }
    const kept = { builds: 1, records: 2, blobs: 5, bytes: 48 }

    expect(await collectGarbage(store, { dryRun: true })).toEqual({ dryRun: true, kept, removed: expected })
    expect(await store.getRecord(litterRecord.key)).toEqual(litterRecord)

    expect(await collectGarbage(store)).toEqual({ dryRun: false, kept, removed: expected })
    await isWhole(store, built)
    expect(await store.getRecord(litterRecord.key)).toBeUndefined()
    expect(await store.statBlob(sha256('stray'))).toBeUndefined()

    const nothing = { builds: 0, records: 0, blobs: 0, leftovers: 0, bytes: 0 }
    expect((await collectGarbage(store)).removed).toEqual(nothing)
  })

  test('keeps only the builds asked for, with what they share', async () => {
    const { store } = await openStore(temporaryFolder())
    const first = await buildIn(store, 'first')
    const second = await buildIn(store, 'second')
    await expect(collectGarbage(store, { keep: [sha256('no build')] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await isWhole(store, first)
    const { removed } = await collectGarbage(store, { keep: [second.build.id] })
    expect(removed).toMatchObject({ builds: 1, records: 2, blobs: 4 })
    await isWhole(store, second)
    expect(await store.getBuild(first.build.id)).toBeUndefined()
    expect((await collectGarbage(store, { keep: [] })).removed).toMatchObject({
      builds: 1,
      records: 2,
      blobs: 5,
    })
    expect(await listStore(store)).toMatchObject({ builds: [], stages: [], blobs: { count: 0, bytes: 0 } })
  })

  test('keeps what was made or used lately when asked to, and what that names', async () => {
    const { store } = await openStore(temporaryFolder())
    const record = await litter(store)
    const old = new Date(Date.now() - 3 * 86_400_000)
    for (const digest of [sha256('litter'), sha256('stray')])
      await utimes(store.layout.blob(digest), old, old)
    const { removed } = await collectGarbage(store, { olderThanMs: 86_400_000 })
    expect(removed).toMatchObject({ records: 0, blobs: 1 })
    expect(await store.getRecord(record.key)).toEqual(record)
    await utimes(store.layout.record(record.key), old, old)
    expect((await collectGarbage(store, { olderThanMs: 86_400_000 })).removed).toMatchObject({
      records: 1,
      blobs: 1,
    })
  })

  test('removes nothing when it cannot tell what a record keeps', async () => {
    for (const damage of ['half', 'newer build', 'newer record']) {
      const { store } = await openStore(temporaryFolder())
      const { build, records } = await buildIn(store, 'first')
      await litter(store)
      const value = damage === 'newer record' ? records[0]! : build
      const json = JSON.stringify({ ...value, schema: 2 })
      const path =
        damage === 'newer record' ? store.layout.record(records[0]!.key) : store.layout.build(build.id)
      const newer = `{"sha256":"${sha256(json)}","value":${json}}\n`
      await overwrite(path, text(damage === 'half' ? newer.slice(0, 200) : newer))
      await expect(collectGarbage(store), damage).rejects.toMatchObject({ code: 'STORE', at: { file: path } })
      expect(await store.statBlob(sha256('stray'))).toBe(5)
    }
  })

  test('removes records that are damaged: they are of no use', async () => {
    const { store } = await openStore(temporaryFolder())
    const { records } = await buildIn(store, 'first')
    await overwrite(store.layout.record(records[0]!.key), text('{'))
    expect((await collectGarbage(store)).removed).toMatchObject({ records: 1, blobs: 1 })
    expect(await store.getRecord(records[1]!.key)).toEqual(records[1])
  })

  test("leaves what is not the store's alone", async () => {
    const { store } = await openStore(temporaryFolder())
    const { digest } = await store.putBlob(text('stray'))
    const foreign = join(store.layout.blobs, digest.slice(0, 2), 'notes.txt')
    writeFileSync(foreign, 'mine')
    await collectGarbage(store)
    expect((await checkStore(store)).foreign).toEqual([`v1/blobs/sha256/${digest.slice(0, 2)}/notes.txt`])
  })

  test('sweeps old left-overs, and keeps young scratch for whoever goes on with it', async () => {
    const { store } = await openStore(temporaryFolder())
    const dead = await startProgram('hold.mjs', [store.name, 'part:big.parquet:half', 'blob', 'lease'])
    await dead.printed('ready')
    dead.kill('SIGKILL')
    await dead.ended
    expect(await namesIn(store.layout.tmp)).toHaveLength(1)
    const writing = await store.createBlob()
    await writing.write(text('by a living one'))
    const { removed } = await collectGarbage(store)
    expect(removed).toMatchObject({ leftovers: 1, bytes: 1 << 20 })
    await writing.commit()
    expect(await namesIn(await store.scratch('big.parquet'))).toEqual(['part'])
    // All that is left is this store's own member lease.
    await collectGarbage(store)
    expect(await namesIn(store.layout.leases)).toHaveLength(1)
  })

  test('a build sweeps half-written files of the dead as it starts', async () => {
    const { store } = await openStore(temporaryFolder())
    const dead = await startProgram('hold.mjs', [store.name, 'blob'])
    await dead.printed('ready')
    const lease = await store.leaseForBuild()
    expect(await namesIn(store.layout.tmp)).toHaveLength(1)
    await lease.release()
    dead.kill('SIGKILL')
    await dead.ended
    await (await store.leaseForBuild()).release()
    expect(await namesIn(store.layout.tmp)).toEqual([])
  })
})

describe('gc and builds', () => {
  test('a dry run cannot tell of a build on another machine, unless its heartbeat is very old', async () => {
    const { store } = await openStore(temporaryFolder())
    const lease = join(store.layout.leases, `build-${'a'.repeat(16)}-7-0-${'0'.repeat(12)}`)
    writeFileSync(lease, '')
    const { store: looking } = await openStore(store.name, { readOnly: true })
    expect(await collectGarbage(looking, { dryRun: true })).toMatchObject({
      inUse: [{ who: 'pid 7', certain: false }],
    })
    // Times cannot be set back: a store with no patience at all.
    const leaseTimes = { heartbeatMs: 50, staleMs: 5 }
    const { store: hasty } = await openStore(store.name, { readOnly: true, leaseTimes })
    await expect.poll(() => collectGarbage(hasty, { dryRun: true })).not.toHaveProperty('inUse')
  })

  test('gc refuses while a build runs, names it, and removes nothing; afterwards it goes', async () => {
    const { store } = await openStore(temporaryFolder())
    await litter(store)
    const build = await startProgram('hold.mjs', [store.name, 'lease'])
    await build.printed('ready')
    await expect(collectGarbage(store)).rejects.toMatchObject({
      code: 'STORE',
      retryable: true,
      message: expect.stringContaining(`pid ${build.pid}`),
    })
    expect(await store.statBlob(sha256('stray'))).toBe(5)
    const dry = await collectGarbage(store, { dryRun: true })
    expect(dry).toMatchObject({ removed: { blobs: 2 }, inUse: [{ certain: true }] })
    expect(dry.inUse![0]!.who).toContain(`pid ${build.pid}`)
    build.kill('SIGKILL')
    await build.ended
    expect(await collectGarbage(store, { dryRun: true })).not.toHaveProperty('inUse')
    expect((await collectGarbage(store)).removed.blobs).toBe(2)
  })

  test('a frozen build holds gc up until its heartbeat is too old, and learns of it when it wakes', async () => {
    const { store: patient } = await openStore(temporaryFolder())
    const { store: quick } = await openStore(patient.name, QUICK)
    await litter(patient)
    const build = await startProgram('hold.mjs', [patient.name, 'lease'])
    try {
      await build.printed('ready')
      build.kill('SIGSTOP')
      const refused = { code: 'STORE', retryable: true }
      await expect(collectGarbage(patient)).rejects.toMatchObject(refused)
      for (let removed = 0; removed === 0; ) {
        const tried = await collectGarbage(quick).catch((error: unknown) => {
          expect(error).toMatchObject(refused)
        })
        removed = tried?.removed.blobs ?? 0
      }
      build.kill('SIGCONT')
      await build.printed('lost')
    } finally {
      build.kill('SIGKILL')
      await build.ended
    }
  })

  test('a lost lease says so', async () => {
    const { store } = await openStore(temporaryFolder(), QUICK)
    const lease = await store.leaseForBuild()
    await lease.assertHeld()
    const { rm } = await import('node:fs/promises')
    await rm(lease.path)
    await new Promise<void>((resolve) => lease.lost.addEventListener('abort', () => resolve()))
    await expect(lease.assertHeld()).rejects.toMatchObject({ code: 'STORE', retryable: true })
    await lease.release()
  })

  test('a build waits for gc, and begins when it ends, is killed, or freezes', async () => {
    const { store } = await openStore(temporaryFolder(), QUICK)
    for (const end of ['release', 'SIGKILL', 'SIGSTOP'] as const) {
      const inside = end === 'release' ? await takeGcLease(store.layout, store.leaseTimes) : undefined
      const outside = inside ? undefined : await startProgram('hold.mjs', [store.name, 'gc-lease'])
      await outside?.printed('ready')
      let begun = false
      let waited = () => {}
      const waiting = new Promise<void>((resolve) => {
        waited = resolve
      })
      const lease = store.leaseForBuild({ onWait: waited }).then((taken) => {
        begun = true
        return taken
      })
      await waiting
      expect(begun).toBe(false)
      await inside?.release()
      if (end !== 'release') outside?.kill(end)
      await (await lease).release()
      outside?.kill('SIGKILL')
      await outside?.ended
    }
  })

  test('a build that waits can be interrupted', async () => {
    const { store } = await openStore(temporaryFolder())
    const gc = await takeGcLease(store.layout, store.leaseTimes)
    const stop = new AbortController()
    const lease = store.leaseForBuild({ signal: stop.signal, onWait: () => stop.abort() })
    await expect(lease).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await gc.release()
    expect((await collectGarbage(store)).removed.blobs).toBe(0)
  })

  test('of two collections at once one says that the other is at it', async () => {
    const { store } = await openStore(temporaryFolder())
    await litter(store)
    const first = await takeGcLease(store.layout, store.leaseTimes)
    const refused = { code: 'STORE', message: expect.stringContaining('another gc') }
    await expect(collectGarbage(store)).rejects.toMatchObject(refused)
    await first.release()
    expect((await collectGarbage(store)).removed.blobs).toBe(2)
  })

  test('collections and builds let loose on each other lose nothing', async () => {
    const folder = temporaryFolder()
    const { store } = await openStore(folder)
    const kept = await buildIn(store, 'kept')
    let collected = 0
    let building = true
    const collectors = [0, 1].map(async () => {
      const { store: mine } = await openStore(folder)
      while (building) {
        try {
          await collectGarbage(mine)
          collected += 1
        } catch (error) {
          expect(error).toMatchObject({ code: 'STORE', retryable: true })
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })
    const builders = [0, 1, 2].map(async (n) => {
      const { store: mine } = await openStore(folder)
      for (let round = 0; round < 12; round++) {
        const lease = await mine.leaseForBuild()
        try {
          // Every round uses what an earlier one may have left without a build.
          const found = await mine.getRecord(makeRecord({}, { stage: 'loose', params: { n } }).key)
          const ref = found?.outputs['a'] ?? (await mine.putBlob(text(`loose ${n}`)))
          const record = makeRecord({ a: ref }, { stage: 'loose', params: { n } })
          if (found === undefined) await mine.putRecord(record)
          await new Promise((resolve) => setTimeout(resolve, 3))
          expect((await collect(mine.readBlob(ref.digest))).toString()).toBe(`loose ${n}`)
          expect(await mine.getRecord(record.key)).toEqual(found ?? record)
        } finally {
          await lease.release()
        }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
    await Promise.all(builders)
    building = false
    await Promise.all(collectors)
    await collectGarbage(store)
    collected += 1
    expect(collected).toBeGreaterThan(0)
    await isWhole(store, kept)
    expect(await store.statBlob(sha256('loose 0'))).toBeUndefined()
  })
})

test('scratch without an owner, foreign temporary files and quarantine are swept when they are old', async () => {
  const { store } = await openStore(temporaryFolder())
  const { store: owner } = await openStore(store.name)
  writeFileSync(join(await owner.scratch('free'), 'part'), 'half')
  await owner.close()
  writeFileSync(join(await store.scratch('owned'), 'part'), 'half')
  writeFileSync(join(store.layout.tmp, 'from-elsewhere'), 'four')
  writeFileSync(join(store.layout.quarantine, 'damaged'), 'four')
  expect((await collectGarbage(store)).removed).toMatchObject({ leftovers: 0, bytes: 0 })
  expect((await collectGarbage(store, { leftoverAgeMs: 0, dryRun: true })).removed).toMatchObject({
    leftovers: 3,
  })
  expect((await collectGarbage(store, { leftoverAgeMs: 0 })).removed).toMatchObject({
    leftovers: 3,
    bytes: 12,
  })
  expect(await namesIn(store.layout.scratch)).toHaveLength(1)
  expect(await namesIn(await store.scratch('owned'))).toEqual(['part'])
})

test('gc works on read-only files and goes on where it was killed', async () => {
  const { store } = await openStore(temporaryFolder())
  const built = await buildIn(store, 'first')
  await litter(store)
  await chmod(store.layout.blob(sha256('stray')), 0o000)
  const stop = new AbortController()
  stop.abort()
  await expect(collectGarbage(store, { signal: stop.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect((await collectGarbage(store)).removed.blobs).toBe(2)
  await isWhole(store, built)
})
