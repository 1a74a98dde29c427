/** The store in a bucket over time: copies on the local disk, checking and collecting, builds of several machines. */
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkStore } from '../../store/check.ts'
import { sha256 } from '../../store/digest.ts'
import { inParallel } from '../../store/entries.ts'
import { collectGarbage } from '../../store/gc.ts'
import type { LeaseTimes } from '../../store/leases.ts'
import { eachRecord, listStore } from '../../store/list.ts'
import { blobPath } from '../../store/s3/address.ts'
import { collect, makeBuild, makeRecord, namesIn, noise } from './helpers.ts'
import { s3Suite } from './s3-server.ts'
import { backdoor, newLocation, openBehindProxy, openS3 } from './s3-support.ts'

const MIB = 1 << 20

async function allFiles(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return []
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

const bytesIn = async (folder: string) =>
  (await allFiles(folder)).reduce((sum, path) => sum + statSync(path).size, 0)

s3Suite('the store in a bucket', ({ endpoint }) => {
  const behindProxy = (env?: NodeJS.ProcessEnv, leaseTimes?: LeaseTimes) =>
    openBehindProxy(endpoint, env, leaseTimes)

  describe('copies on the local disk', () => {
    const small = { bytes: 3 * MIB, graceMs: 0 }

    test('stay within their bound; what is open stays readable, and what went is fetched again', async () => {
      const location = newLocation()
      const { store, local } = await openS3(endpoint, location, { cache: small })
      const blobs = join(local, 'v1', 'blobs')
      const first = await store.putBlob(noise(MIB, 1))
      const path = await store.localFile(first.digest)
      const fd = openSync(path, 'r')
      for (let seed = 2; seed < 12; seed++) {
        const writer = await store.createBlob()
        await writer.write(noise(MIB, seed))
        await writer.commit()
        expect(await bytesIn(blobs)).toBeLessThanOrEqual(small.bytes)
      }
      expect(existsSync(path)).toBe(false)
      const bytes = Buffer.alloc(MIB)
      expect(readSync(fd, bytes, 0, MIB, 0)).toBe(MIB)
      closeSync(fd)
      expect(bytes.equals(noise(MIB, 1))).toBe(true)
      expect(readFileSync(await store.localFile(first.digest)).equals(noise(MIB, 1))).toBe(true)
      await store.close()
    })

    test('that were handed out lately stay, even past the bound', async () => {
      const { store } = await openS3(endpoint, newLocation(), { cache: { ...small, graceMs: 60_000 } })
      const paths: string[] = []
      for (let seed = 0; seed < 6; seed++) {
        paths.push(await store.localFile((await store.putBlob(noise(MIB, seed))).digest))
      }
      expect(paths.filter((path) => !existsSync(path))).toEqual([])
      await store.close()
    })

    test('spare the server: what this machine wrote or fetched is not fetched again', async () => {
      const { store, proxy } = await behindProxy()
      const writer = await store.createBlob()
      await writer.write(noise(2 * MIB))
      const { digest } = await writer.commit()
      const other = await store.putBlob(noise(MIB, 5))
      await store.localFile(other.digest)
      proxy.seen.length = 0
      for (const one of [digest, other.digest]) {
        await store.localFile(one)
        await collect(store.readBlob(one))
      }
      expect(new Set(proxy.seen.map(({ method }) => method))).toEqual(new Set(['HEAD']))
      await store.close()
    })

    test('that are damaged are noticed, and fetched again', async () => {
      const { store } = await openS3(endpoint, newLocation())
      const writer = await store.createBlob()
      await writer.write(noise(2 * MIB))
      const { digest } = await writer.commit()
      const path = await store.localFile(digest)
      await rm(path)
      writeFileSync(path, noise(2 * MIB, 99))
      await expect(collect(store.readBlob(digest))).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
      await store.discardBlob(digest)
      expect((await collect(store.readBlob(digest))).equals(noise(2 * MIB))).toBe(true)
      expect(await store.statBlob(digest)).toBe(2 * MIB)
      await store.close()
    })

    test('of a damaged object are never handed out', async () => {
      const location = newLocation()
      const { store, local } = await openS3(endpoint, location)
      const behind = await backdoor(endpoint, location)
      const { digest } = await store.putBlob(noise(MIB))
      await behind.changeBlob(digest, () => noise(MIB, 2))
      await expect(store.localFile(digest, MIB)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
      expect(await bytesIn(join(local, 'v1', 'blobs'))).toBe(0)
      expect(await namesIn(join(local, 'v1', 'tmp'))).toEqual([])
      await store.close()
    })
  })

  describe('looking after a bucket', () => {
    test('check finds what is damaged, sets it aside, and the next writer heals it', async () => {
      const { store, behind } = await behindProxy()
      const record = makeRecord({ rows: await store.putBlob(noise(MIB)) })
      await store.putRecord(record)
      const { digest } = record.outputs['rows']!
      await behind.changeBlob(digest, (bytes) => bytes.subarray(0, 100))
      await behind.change('v1/blobs/sha256/notes.txt', () => Buffer.from('mine'))
      const looked = await checkStore(store, { repair: false })
      expect(looked.findings).toMatchObject([
        {
          kind: 'short',
          digest,
          file: `v1/blobs/sha256/${digest.slice(0, 2)}/${digest}`,
          stages: [{ key: record.key }],
        },
      ])
      expect(looked.foreign).toEqual(['v1/blobs/sha256/notes.txt'])
      const { findings } = await checkStore(store)
      expect(findings).toMatchObject([
        { kind: 'short', quarantined: expect.stringMatching(/^v1\/quarantine\//) },
      ])
      expect((await listStore(store)).quarantined).toBe(1)
      expect((await checkStore(store)).findings).toMatchObject([{ kind: 'missing', digest }])
      await store.putBlob(noise(MIB))
      expect((await checkStore(store)).findings).toEqual([])
      await store.close()
    })

    test('gc keeps all that builds reach, and removes the rest', async () => {
      const { store, behind } = await behindProxy()
      const kept = makeRecord({ rows: await store.putBlob(Buffer.from('kept')) })
      const loose = makeRecord({ rows: await store.putBlob(Buffer.from('loose')) }, { stage: 'loose' })
      for (const record of [kept, loose]) await store.putRecord(record)
      await store.putBuild(makeBuild('a build', await store.putBlob(Buffer.from('lock')), [kept]))
      const expected = { builds: 0, records: 1, blobs: 1, leftovers: 0, bytes: 5 }
      expect((await collectGarbage(store, { dryRun: true })).removed).toEqual(expected)
      expect(await behind.paths('v1/leases/')).toEqual([])
      expect((await collectGarbage(store, { olderThanMs: 3_600_000 })).removed).toMatchObject({
        records: 0,
        blobs: 0,
      })
      expect((await collectGarbage(store)).removed).toEqual(expected)
      expect(await store.getRecord(kept.key)).toEqual(kept)
      expect(await store.getRecord(loose.key)).toBeUndefined()
      expect(await behind.paths('v1/leases/')).toEqual([])
      await store.close()
    })

    test('goes through more than one page of a listing, and through every record', async () => {
      const { store, behind } = await behindProxy()
      const ref = await store.putBlob(Buffer.from('x'))
      const records = Array.from({ length: 20 }, (_, n) => makeRecord({ a: ref }, { params: { n } }))
      await Promise.all(records.map((record) => store.putRecord(record)))
      const found = new Set<string>()
      for await (const { key } of eachRecord(store)) found.add(key)
      expect(found).toEqual(new Set(records.map(({ key }) => key)))

      const digests = Array.from({ length: 1_004 }, (_, n) => sha256(`blob ${n}`))
      await inParallel(digests, 16, async (digest) => {
        await behind.objects.put(blobPath(digest), Buffer.from('y'))
      })
      expect((await listStore(store)).blobs).toEqual({ count: 1_005, bytes: 1_005 })
      await store.close()
    })

    test('of a newer layout alone is refused', async () => {
      const location = newLocation()
      const behind = await backdoor(endpoint, location)
      await behind.change('v2/blobs/x', () => Buffer.from('newer'))
      await expect(openS3(endpoint, location)).rejects.toMatchObject({
        code: 'STORE',
        message: expect.stringMatching(/v2.*knows v1/),
      })
    })

    test('opened to look only reads all and writes nothing', async () => {
      const location = newLocation()
      const { store: looking } = await openS3(endpoint, location, { readOnly: true })
      const { store } = await openS3(endpoint, location)
      const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
      await store.putRecord(record)
      expect(await looking.getRecord(record.key)).toEqual(record)
      expect(readFileSync(await looking.localFile(record.outputs['a']!.digest), 'utf8')).toBe('x')
      await expect(looking.putBlob(Buffer.from('y'))).rejects.toThrow(TypeError)
      await expect(looking.leaseForBuild()).rejects.toThrow(TypeError)
      await Promise.all([store.close(), looking.close()])
    })
  })

  describe('builds and collections', () => {
    // S3 tells times in whole seconds.
    const quick = { heartbeatMs: 500, staleMs: 3_000 }

    test('exclude each other', async () => {
      const location = newLocation()
      const [a, b] = await Promise.all([1, 2].map(() => openS3(endpoint, location, { leaseTimes: quick })))
      const lease = await a!.store.leaseForBuild()
      await expect(collectGarbage(b!.store)).rejects.toMatchObject({
        code: 'STORE',
        retryable: true,
        message: expect.stringMatching(/a build is using .* \(pid \d+ on .+, since /),
      })
      expect(await collectGarbage(b!.store, { dryRun: true })).toMatchObject({
        inUse: [{ who: expect.stringMatching(/^pid \d+ on /), certain: true }],
      })
      await lease.release()
      await collectGarbage(b!.store)

      const collection = await b!.store.holdings.collection()
      let told = ''
      const waiting = a!.store.leaseForBuild({
        onWait: (who) => {
          told = who
          void collection.release()
        },
      })
      await (await waiting).release()
      expect(told).toMatch(/^pid \d+ on /)
      await Promise.all([a!.store.close(), b!.store.close()])
    })

    test('of a machine that fell silent are taken for dead, and learn of it', async () => {
      const location = newLocation()
      const times = { heartbeatMs: 10_000_000, staleMs: 1_000 }
      // Another machine, as far as its name tells.
      const { store: silent } = await openS3(endpoint, location, { leaseTimes: times })
      const lease = await silent.leaseForBuild()
      const behind = await backdoor(endpoint, location)
      const elsewhere = lease.path.replace(/[0-9a-f]{12}$/, '0123456789ab')
      await behind.change(elsewhere, () => Buffer.from('{"host":"far away","since":"then"}'))
      await lease.release()
      const { store } = await openS3(endpoint, location, { leaseTimes: { heartbeatMs: 200, staleMs: 1_000 } })
      await expect(collectGarbage(store)).rejects.toMatchObject({
        message: expect.stringContaining('far away'),
      })
      await expect
        .poll(
          () =>
            collectGarbage(store).then(
              () => 'done',
              () => 'waits',
            ),
          { timeout: 20_000, interval: 300 },
        )
        .toBe('done')
      expect(await behind.paths('v1/leases/')).toEqual([])

      const second = await silent.leaseForBuild()
      await behind.objects.delete(second.path)
      await expect(second.touch()).rejects.toMatchObject({ code: 'STORE', retryable: true })
      expect(second.lost.aborted).toBe(true)
      expect(await behind.paths('v1/leases/')).toEqual([])
      await Promise.all([store.close(), silent.close()])
    })
  })
})
