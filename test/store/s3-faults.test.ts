/** The store in a bucket under a server in trouble, and with blobs so large that they go in parts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { checkStore } from '../../store/check.ts'
import { sha256 } from '../../store/digest.ts'
import { collectGarbage } from '../../store/gc.ts'
import type { LeaseTimes } from '../../store/leases.ts'
import { collect, makeBuild, makeRecord, namesIn, noise, startNode, temporaryFolder } from './helpers.ts'
import { type FaultProxy, startFaultProxy } from './s3-fault-proxy.ts'
import { s3Suite } from './s3-server.ts'
import { backdoor, newLocation, openBehindProxy, openS3 } from './s3-support.ts'

const MIB = 1 << 20
/** Three parts, the last one odd. */
const LARGE = noise(40 * MIB + 12_345)
const SECOND_PART = /partNumber=2/

s3Suite('the store in a bucket', ({ endpoint }) => {
  const behindProxy = (env?: NodeJS.ProcessEnv, leaseTimes?: LeaseTimes) =>
    openBehindProxy(endpoint, env, leaseTimes)

  describe('large blobs', () => {
    test('go in parts, are whole elsewhere, and are not sent twice', async () => {
      const { store, proxy, location, behind } = await behindProxy()
      const writer = await store.createBlob()
      for (let at = 0; at < LARGE.length; at += 7_000_001)
        await writer.write(LARGE.subarray(at, at + 7_000_001))
      const ref = await writer.commit()
      expect(ref).toEqual({ digest: sha256(LARGE), bytes: LARGE.length })
      const parts = proxy.seen.filter(({ url }) => /partNumber=/.test(url))
      expect(parts.map(({ headers }) => Number(headers['content-length'])).sort((a, b) => a - b)).toEqual([
        8 * MIB + 12_345,
        16 * MIB,
        16 * MIB,
      ])
      // Every part is signed together with its digest, so the server takes it only as it was sent.
      for (const { headers } of parts) expect(headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/)
      expect(await behind.uploads()).toEqual([])

      proxy.seen.length = 0
      expect(await store.importFile(await store.localFile(ref.digest))).toEqual(ref)
      expect(proxy.seen.filter(({ method }) => method !== 'HEAD')).toEqual([])

      const { store: elsewhere } = await openS3(endpoint, location)
      expect((await collect(elsewhere.readBlob(ref.digest))).equals(LARGE)).toBe(true)
      expect(readFileSync(await elsewhere.localFile(ref.digest, ref.bytes)).equals(LARGE)).toBe(true)
      await Promise.all([store.close(), elsewhere.close()])
    })

    test('of which a part is refused leave nothing behind', async () => {
      const { store, proxy, behind, local } = await behindProxy()
      proxy.fault = ({ url }) => (SECOND_PART.test(url) ? { status: 403, code: 'AccessDenied' } : undefined)
      const writer = await store.createBlob()
      await writer.write(LARGE)
      await expect(writer.commit()).rejects.toMatchObject({ code: 'STORE', retryable: false })
      expect(await behind.paths('')).toEqual([])
      expect(await behind.uploads()).toEqual([])
      expect(await namesIn(join(local, 'v1', 'tmp'))).toEqual([])
      proxy.fault = () => undefined
      expect((await store.putBlob(LARGE)).digest).toBe(sha256(LARGE))
      await store.close()
    })

    test('of a process that is killed half-way are not there, and gc takes the parts', async () => {
      const location = newLocation()
      const proxy = await startFaultProxy(endpoint)
      const cacheHome = temporaryFolder()
      const hung = new Promise<void>((resolve) => {
        proxy.fault = ({ url }) => {
          if (!SECOND_PART.test(url)) return undefined
          resolve()
          return 'hang'
        }
      })
      const module = pathToFileURL(join(process.cwd(), 'dist', 'store', 's3', 's3-store.js')).href
      const program = `
        const { openS3Store } = await import(${JSON.stringify(module)})
        const store = await openS3Store(${JSON.stringify(location)})
        await store.leaseForBuild()
        await (await store.createBlob().then(async (writer) => (await writer.write(Buffer.alloc(${LARGE.length}, 7)), writer))).commit()`
      const child = startNode(['--input-type=module', '-e', program], {
        AWS_ENDPOINT_URL_S3: proxy.endpoint,
        XDG_CACHE_HOME: cacheHome,
      })
      await Promise.race([hung, child.ended.then(({ stderr }) => Promise.reject(new Error(stderr)))])
      const { store, local } = await openS3(endpoint, location, { cacheHome })
      await expect(collectGarbage(store)).rejects.toMatchObject({ code: 'STORE', retryable: true })
      child.kill('SIGKILL')
      await child.ended
      const behind = await backdoor(endpoint, location)
      expect(await store.statBlob(sha256(Buffer.alloc(LARGE.length, 7)))).toBeUndefined()
      expect(await behind.uploads()).toHaveLength(1)
      // Young parts stay: a day, unless told otherwise.
      await collectGarbage(store)
      expect(await behind.uploads()).toHaveLength(1)
      const { removed } = await collectGarbage(store, { leftoverAgeMs: -60_000 })
      expect(removed.leftovers).toBeGreaterThan(0)
      expect(await behind.uploads()).toEqual([])
      expect(await namesIn(join(local, 'v1', 'tmp'))).toEqual([])
      expect(await behind.paths('')).toEqual([])
      await store.close()
    })

    test('written by two at once are there once, whole', async () => {
      const location = newLocation()
      const stores = await Promise.all([openS3(endpoint, location), openS3(endpoint, location)])
      const refs = await Promise.all(stores.map(({ store }) => store.putBlob(LARGE)))
      const writers = await Promise.all(stores.map(({ store }) => store.createBlob()))
      await Promise.all(writers.map((writer) => writer.write(LARGE)))
      refs.push(...(await Promise.all(writers.map((writer) => writer.commit()))))
      expect(new Set(refs.map(({ digest }) => digest))).toEqual(new Set([sha256(LARGE)]))
      const behind = await backdoor(endpoint, location)
      expect(await behind.paths('')).toHaveLength(1)
      expect(await behind.uploads()).toEqual([])
      expect((await collect(stores[0]!.store.readBlob(sha256(LARGE)))).equals(LARGE)).toBe(true)
      await Promise.all(stores.map(({ store }) => store.close()))
    })
  })

  /** Lives a short life with every kind of request. */
  async function live({ store }: { store: Awaited<ReturnType<typeof openS3>>['store'] }): Promise<void> {
    const lease = await store.leaseForBuild()
    const ref = await store.putBlob(Buffer.from('some tokens'))
    const writer = await store.createBlob()
    await writer.write(noise(3 * MIB))
    const large = await writer.commit()
    const record = makeRecord({ small: ref, large })
    await store.putRecord(record)
    expect(await store.getRecord(record.key)).toEqual(record)
    await store.putBuild(makeBuild('a build', ref, [record]))
    expect((await collect(store.readBlob(large.digest))).equals(noise(3 * MIB))).toBe(true)
    await lease.release()
    expect((await checkStore(store)).findings).toEqual([])
    const { kept } = await collectGarbage(store)
    expect(kept).toMatchObject({ builds: 1, records: 1, blobs: 2 })
  }

  describe('a server in trouble', () => {
    /** The first of like requests fails: like are those that differ in nothing but a digest. */
    const once = (proxy: FaultProxy, answer: ReturnType<FaultProxy['fault']>) => {
      const met = new Set<string>()
      proxy.fault = ({ method, url }) => {
        const like = method + url.replace(/[0-9a-f]{2}\/[0-9a-f]{64}/g, '')
        const isNew = !met.has(like)
        met.add(like)
        return isNew ? answer : undefined
      }
    }

    test.each<[string, ReturnType<FaultProxy['fault']>]>([
      ['503 SlowDown', { status: 503, code: 'SlowDown' }],
      ['500 InternalError', { status: 500, code: 'InternalError' }],
      ['429 TooManyRequests', { status: 429, code: 'TooManyRequests' }],
      ['a broken connection', 'reset'],
    ])('%s in answer to every first request does no harm', async (_, answer) => {
      const opened = await behindProxy()
      once(opened.proxy, answer)
      await live(opened)
      await opened.store.close()
    })

    test('that breaks off every answer half-way is read on from there', async () => {
      const { store, proxy } = await behindProxy()
      const { digest } = await store.putBlob(noise(5 * MIB))
      proxy.seen.length = 0
      proxy.fault = ({ method }) => (method === 'GET' ? { cut: 1_500_000 } : undefined)
      expect((await collect(store.readBlob(digest))).equals(noise(5 * MIB))).toBe(true)
      const ranges = proxy.seen.map(({ headers }) => headers.range)
      expect(ranges.slice(0, 1)).toEqual([undefined])
      expect(ranges.length).toBeGreaterThan(3)
      for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=\d+-$/)
      await store.close()
    })

    test.each<[string, NonNullable<ReturnType<FaultProxy['fault']>>, boolean, RegExp]>([
      ['busy for ever', { status: 503, code: 'SlowDown' }, true, /too busy/],
      ['gone', 'reset', true, /cannot be reached/],
      ['of no permission', { status: 403, code: 'AccessDenied' }, false, /no permission/],
      ['of other credentials', { status: 403, code: 'InvalidAccessKeyId' }, false, /not accepted/],
      ['without the bucket', { status: 404, code: 'NoSuchBucket' }, false, /does not exist/],
    ])('%s is one clear error, which names no secret', async (_, answer, retryable, words) => {
      const { store, proxy, location } = await behindProxy({ AWS_MAX_ATTEMPTS: '2' })
      const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
      proxy.fault = () => answer
      const failing: (() => Promise<unknown>)[] = [
        () => store.putBlob(Buffer.from('y')),
        () => store.getRecord(record.key),
        () => store.leaseForBuild(),
        () => openS3(proxy.endpoint, location, { env: { AWS_MAX_ATTEMPTS: '2' } }),
      ]
      for (const work of failing) {
        const error = await work().then(
          () => undefined,
          (thrown: unknown) => thrown as { toFacts(): unknown },
        )
        expect(error).toMatchObject({ code: 'STORE', retryable, message: expect.stringMatching(words) })
        const told = JSON.stringify(error?.toFacts()) + String(error)
        expect(told).toContain(location)
        expect(told).not.toContain(process.env['AWS_ACCESS_KEY_ID'])
        expect(told).not.toContain(process.env['AWS_SECRET_ACCESS_KEY'])
      }
      proxy.fault = () => undefined
      await store.close()
    })
  })

  describe('a server without conditional writes', () => {
    test('that says so is used without them', async () => {
      const opened = await behindProxy()
      opened.proxy.fault = ({ headers, method }) =>
        method !== 'GET' && (headers['if-none-match'] ?? headers['if-match']) !== undefined
          ? { status: 501, code: 'NotImplemented' }
          : undefined
      await live(opened)
      expect((await opened.store.putBlob(Buffer.from('some tokens'))).bytes).toBe(11)
      await opened.store.close()
    })

    test('that takes no notice of them does no harm', async () => {
      const opened = await behindProxy()
      opened.proxy.ignore = ['if-none-match', 'if-match']
      await live(opened)
      expect((await opened.store.putBlob(noise(2 * MIB))).bytes).toBe(2 * MIB)
      await opened.store.close()
    })
  })
})
