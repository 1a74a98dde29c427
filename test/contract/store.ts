/**
 * What every store must do. A new store calls `testStore` from its own test file and adds tests only for what
 * is its own.
 */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sha256 } from '../../store/digest.ts'
import type { BlobRef, Digest, StageRecord, Store } from '../../store/types.ts'
import { collect, makeBuild, makeRecord, noise, temporaryFolder } from '../store/helpers.ts'

export interface StoreUnderTest {
  readonly store: Store
  /** Another process's view of the same data. */
  readonly other: Store
  /** Replaces the stored bytes behind the store's back; undefined removes them. */
  damageBlob(digest: Digest, change: (bytes: Buffer) => Buffer | undefined): Promise<void>
  damageRecord(key: Digest, change: (bytes: Buffer) => Buffer | undefined): Promise<void>
  /** What the store warned of so far. */
  readonly warnings: readonly string[]
  /** Names of half-written things left behind. */
  leftovers(): Promise<string[]>
  close(): Promise<void>
}

const MIB = 1 << 20

/** Ways a stored file goes bad. */
const DAMAGES: readonly [string, (bytes: Buffer) => Buffer | undefined][] = [
  ['with its first bit flipped', (bytes) => flip(bytes, 0)],
  ['with a bit flipped in the middle', (bytes) => flip(bytes, bytes.length >> 1)],
  ['with its last bit flipped', (bytes) => flip(bytes, bytes.length - 1)],
  ['cut short by a byte', (bytes) => bytes.subarray(0, -1)],
  ['cut to half', (bytes) => bytes.subarray(0, bytes.length >> 1)],
  ['longer by a byte', (bytes) => Buffer.concat([bytes, Buffer.from([0])])],
  ['emptied', () => Buffer.alloc(0)],
  ['replaced by another one', () => Buffer.from('another valid one')],
]

function flip(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped[at]! ^= 1
  return flipped
}

export function testStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the promises of every store:`, () => {
    let under: StoreUnderTest
    let store: Store
    beforeEach(async () => {
      under = await open()
      store = under.store
    })
    afterEach(() => under.close())

    async function put(bytes: Uint8Array | string): Promise<BlobRef> {
      return store.putBlob(Buffer.from(bytes as string))
    }

    async function putRecordOf(bytes: string): Promise<StageRecord> {
      const record = makeRecord({ tokens: await put(bytes) })
      await store.putRecord(record)
      return record
    }

    describe('blobs', () => {
      test.each([0, 1, 12, 255 * 1024, 256 * 1024, 256 * 1024 + 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 17])(
        'of %i bytes come back as they went in',
        async (length) => {
          const bytes = noise(length)
          const ref = await store.putBlob(bytes)
          expect(ref).toEqual({ digest: sha256(bytes), bytes: length })
          expect(await under.other.statBlob(ref.digest)).toBe(length)
          expect((await collect(under.other.readBlob(ref.digest))).equals(bytes)).toBe(true)
          expect(Buffer.from(await under.other.readBlobBytes(ref.digest)).equals(bytes)).toBe(true)
        },
      )

      test('written in uneven pieces are the pieces joined, and the caller may reuse its buffer', async () => {
        const bytes = noise(2 * MIB + 5)
        const writer = await store.createBlob()
        const piece = Buffer.alloc(700_000)
        let at = 0
        for (const length of [1, 0, 3, 262_143, 262_144, 1, 700_000, 5, 400_000]) {
          bytes.copy(piece, 0, at, at + length)
          await writer.write(piece.subarray(0, length))
          piece.fill(0xee)
          at += length
        }
        await writer.write(bytes.subarray(at))
        expect(writer.bytes).toBe(bytes.length)
        expect(await writer.commit()).toEqual({ digest: sha256(bytes), bytes: bytes.length })
        expect((await collect(store.readBlob(sha256(bytes)))).equals(bytes)).toBe(true)
      })

      test('of which writes are not awaited one by one keep their order', async () => {
        const bytes = noise(900_000)
        const writer = await store.createBlob()
        const writes: Promise<void>[] = []
        for (let at = 0; at < bytes.length; at += 90_001)
          writes.push(writer.write(bytes.subarray(at, at + 90_001)))
        const [ref] = await Promise.all([writer.commit(), ...writes])
        expect(ref.digest).toBe(sha256(bytes))
        expect((await collect(store.readBlob(ref.digest))).equals(bytes)).toBe(true)
      })

      test('are invisible before commit', async () => {
        const writer = await store.createBlob()
        await writer.write(Buffer.from('not yet'))
        expect(await under.other.statBlob(sha256('not yet'))).toBeUndefined()
        await writer.commit()
        expect(await under.other.statBlob(sha256('not yet'))).toBe(7)
      })

      test('that are aborted leave nothing; abort may be called twice and after commit', async () => {
        const writer = await store.createBlob()
        await writer.write(noise(MIB))
        await writer.abort()
        await writer.abort()
        expect(await under.leftovers()).toEqual([])
        expect(await store.statBlob(sha256(noise(MIB)))).toBeUndefined()
        await expect(writer.write(Buffer.from('x'))).rejects.toThrow(TypeError)

        const second = await store.createBlob()
        await second.write(Buffer.from('stays'))
        const { digest } = await second.commit()
        await second.abort()
        expect(await store.statBlob(digest)).toBe(5)
      })

      test('written by many at once are there once and whole', async () => {
        const bytes = noise(MIB + 3)
        const stores = [store, under.other]
        const refs = await Promise.all(Array.from({ length: 12 }, (_, i) => stores[i % 2]!.putBlob(bytes)))
        expect(new Set(refs.map((ref) => ref.digest))).toEqual(new Set([sha256(bytes)]))
        expect((await collect(store.readBlob(sha256(bytes)))).equals(bytes)).toBe(true)
        expect(await under.leftovers()).toEqual([])
      })

      test('that are missing: no size, and reading says MISSING_BLOB with the digest', async () => {
        const digest = sha256('nobody wrote this')
        const missing = { name: 'ShardmillError', code: 'MISSING_BLOB', details: { digest } }
        expect(await store.statBlob(digest)).toBeUndefined()
        await expect(collect(store.readBlob(digest))).rejects.toMatchObject(missing)
        await expect(store.readBlobBytes(digest)).rejects.toMatchObject(missing)
        await expect(store.localFile(digest)).rejects.toMatchObject(missing)
      })

      for (const [how, change] of DAMAGES) {
        test(`${how} fail the read with CORRUPT_BLOB, and the last chunk is never handed out`, async () => {
          const bytes = noise(2 * MIB + 9)
          const { digest } = await store.putBlob(bytes)
          await under.damageBlob(digest, change)
          let handedOut = 0
          const reading = (async () => {
            for await (const chunk of store.readBlob(digest)) handedOut += chunk.length
          })()
          await expect(reading).rejects.toMatchObject({ code: 'CORRUPT_BLOB', details: { digest } })
          expect(handedOut).toBeLessThan(Math.max(1, change(bytes)!.length))
          await expect(store.readBlobBytes(digest)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
        })

        test(`${how} heal when they are written again`, async () => {
          const bytes = noise(MIB + 9)
          const { digest } = await store.putBlob(bytes)
          await under.damageBlob(digest, change)
          await store.putBlob(bytes)
          expect((await collect(store.readBlob(digest))).equals(bytes)).toBe(true)
        })
      }

      test('known as hashed are read as they are, and hashed again once they are touched', async () => {
        const bytes = noise(2 * MIB + 9)
        const { digest } = await store.putBlob(bytes)
        const hashedAs = await store.identity(digest)
        expect((await collect(store.readBlob(digest, { hashedAs }))).equals(bytes)).toBe(true)
        expect((await collect(store.readBlob(digest, { hashedAs: 'another' }))).equals(bytes)).toBe(true)
        await under.damageBlob(digest, (found) => flip(found, MIB + 1))
        await expect(collect(store.readBlob(digest, { hashedAs }))).rejects.toMatchObject({
          code: 'CORRUPT_BLOB',
        })
      })

      test('small ones heal too', async () => {
        const { digest } = await put('twelve bytes')
        await under.damageBlob(digest, (bytes) => flip(bytes, 3))
        await put('twelve bytes')
        expect((await collect(store.readBlob(digest))).toString()).toBe('twelve bytes')
      })

      test('a reader may stop early', async () => {
        const { digest } = await store.putBlob(noise(3 * MIB))
        let chunks = 0
        for await (const _ of store.readBlob(digest)) {
          chunks += 1
          break
        }
        expect(chunks).toBe(1)
      })

      test('discarded when damaged are gone, and stay when they are whole', async () => {
        const whole = await put('whole')
        const broken = await put('broken')
        await under.damageBlob(broken.digest, (bytes) => flip(bytes, 0))
        for (const ref of [whole, broken]) await store.discardBlob(ref.digest)
        expect(await store.statBlob(whole.digest)).toBe(5)
        expect(await under.other.statBlob(broken.digest)).toBeUndefined()
        await store.discardBlob(broken.digest)
      })

      test('as local files have the bytes; a wrong size is CORRUPT_BLOB', async () => {
        const { readFile } = await import('node:fs/promises')
        const { digest } = await put('for random access')
        expect(await readFile(await store.localFile(digest, 17), 'utf8')).toBe('for random access')
        await expect(store.localFile(digest, 18)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
        await under.damageBlob(digest, () => Buffer.alloc(0))
        await expect(store.localFile(digest)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
      })
    })

    describe('files', () => {
      test('from elsewhere are copied: the user keeps his own', async () => {
        const { readFile } = await import('node:fs/promises')
        const path = join(temporaryFolder(), 'mine.jsonl')
        await writeFile(path, noise(MIB + 1))
        const ref = await store.importFile(path, { bytes: MIB + 1 })
        expect(ref).toEqual({ digest: sha256(noise(MIB + 1)), bytes: MIB + 1 })
        expect((await collect(under.other.readBlob(ref.digest))).equals(noise(MIB + 1))).toBe(true)
        expect((await readFile(path)).equals(noise(MIB + 1))).toBe(true)
        await writeFile(path, 'still mine to change')
        expect((await collect(store.readBlob(ref.digest))).equals(noise(MIB + 1))).toBe(true)
      })

      test('from scratch become blobs', async () => {
        const path = join(await store.scratch('some download'), 'part')
        await writeFile(path, 'downloaded')
        const ref = await store.importFile(path, { digest: sha256('downloaded'), bytes: 10 })
        expect((await collect(under.other.readBlob(ref.digest))).toString()).toBe('downloaded')
      })

      test.each([
        ['size', { bytes: 11 }],
        ['digest', { digest: sha256('something else') }],
      ])('of another %s than expected are refused, and stay where they are', async (_, expected) => {
        const { readFile } = await import('node:fs/promises')
        for (const folder of [temporaryFolder(), await store.scratch('wrong')]) {
          const path = join(folder, 'part')
          await writeFile(path, 'downloaded')
          const refused = { code: 'HUB_ANSWER', retryable: true, at: { file: path } }
          await expect(store.importFile(path, expected)).rejects.toMatchObject(refused)
          expect(await readFile(path, 'utf8')).toBe('downloaded')
        }
        expect(await store.statBlob(sha256('downloaded'))).toBeUndefined()
        expect(await under.leftovers()).toEqual([])
      })

      test('that are not there are NOT_FOUND, unless what they held is stored', async () => {
        const path = join(temporaryFolder(), 'nothing')
        await expect(store.importFile(path)).rejects.toMatchObject({ code: 'NOT_FOUND', at: { file: path } })
        const ref = await put('known')
        expect(await store.importFile(path, ref)).toEqual(ref)
      })

      test('one file imported many times at once is one blob', async () => {
        for (const folder of [await store.scratch('raced'), temporaryFolder()]) {
          const path = join(folder, 'part')
          await writeFile(path, noise(MIB))
          const expected = { digest: sha256(noise(MIB)), bytes: MIB }
          const imports = [store, under.other, store, under.other].map((one) =>
            one.importFile(path, expected),
          )
          expect(await Promise.all(imports)).toEqual([expected, expected, expected, expected])
          expect((await collect(store.readBlob(expected.digest))).equals(noise(MIB))).toBe(true)
        }
      })
    })

    describe('records', () => {
      test('come back as they went in, to everyone', async () => {
        const refs = { tokens: await put('tokens'), index: await put('') }
        const params = { ключ: ['a\u2028b', 1.5, null, true, '\ud800'], nested: { z: 1, a: {} } }
        const record = makeRecord(refs, { params, inputs: { rows: sha256('rows') } })
        await store.putRecord(record)
        expect(await under.other.getRecord(record.key)).toEqual(record)
        expect(under.warnings).toEqual([])
      })

      test('that nobody put are quietly missing', async () => {
        expect(await store.getRecord(sha256('no such key'))).toBeUndefined()
        expect(under.warnings).toEqual([])
      })

      test('are replaced by a later one under the same key', async () => {
        const record = await putRecordOf('bytes')
        const later = { ...record, circumstances: { ...record.circumstances, attempt: 2 } }
        await under.other.putRecord(later)
        expect(await store.getRecord(record.key)).toEqual(later)
      })

      test('are not taken before every blob they name is there in its size', async () => {
        const ref = await put('here')
        const missing = makeRecord({ a: ref, b: { digest: sha256('not here'), bytes: 8 } })
        await expect(store.putRecord(missing)).rejects.toMatchObject({ code: 'MISSING_BLOB' })
        const longer = makeRecord({ a: { ...ref, bytes: 5 } })
        await expect(store.putRecord(longer)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
        expect(await store.getRecord(missing.key)).toBeUndefined()
      })

      test.each<[string, (record: StageRecord) => unknown]>([
        ['a misspelt field', (record) => ({ ...record, stat: {} })],
        ['a missing field', ({ stats: _, ...record }) => record],
        ['a digest that is none', (record) => ({ ...record, inputs: { rows: 'abc' } })],
        [
          'a size that is none',
          (record) => ({ ...record, outputs: { a: { digest: record.key, bytes: -1 } } }),
        ],
        ['a newer schema', (record) => ({ ...record, schema: 2 })],
        ['circumstances without a host', (record) => ({ ...record, circumstances: { pid: 1 } })],
      ])('with %s are a mistake of ours: a TypeError', async (_, change) => {
        const record = makeRecord({ tokens: await put('bytes') })
        await expect(store.putRecord(change(record) as StageRecord)).rejects.toThrow(TypeError)
        expect(await store.getRecord(record.key)).toBeUndefined()
      })

      for (const [how, change] of [...DAMAGES, ['half a JSON', (b: Buffer) => b.subarray(0, 150)] as const]) {
        test(`${how} are a miss with a warning, never an error, and can be put again`, async () => {
          const record = await putRecordOf('bytes')
          await under.damageRecord(record.key, change)
          expect(await store.getRecord(record.key)).toBeUndefined()
          expect(under.warnings).toHaveLength(1)
          expect(under.warnings[0]).toContain(record.key)
          await store.putRecord(record)
          expect(await store.getRecord(record.key)).toEqual(record)
        })
      }

      test('with any one byte changed are a miss', async () => {
        const record = await putRecordOf('bytes')
        let original = Buffer.alloc(0)
        await under.damageRecord(record.key, (bytes) => {
          original = Buffer.from(bytes)
          return bytes
        })
        expect(await store.getRecord(record.key)).toEqual(record)
        for (let at = 0; at < original.length; at++) {
          await under.damageRecord(record.key, () => flip(original, at))
          expect(await store.getRecord(record.key), `byte ${at}`).toBeUndefined()
        }
      })

      test('of another key in its place are a miss', async () => {
        const record = await putRecordOf('bytes')
        const foreign = makeRecord(record.outputs, { stage: 'shuffle' })
        await store.putRecord(foreign)
        let bytes: Buffer | undefined
        await under.damageRecord(foreign.key, (stored) => {
          bytes = Buffer.from(stored)
          return stored
        })
        await under.damageRecord(record.key, () => bytes)
        expect(await store.getRecord(record.key)).toBeUndefined()
        expect(under.warnings).toHaveLength(1)
      })

      test('whose blob is gone, or of another size, are a miss until it is back', async () => {
        const record = await putRecordOf('bytes')
        const { digest } = record.outputs['tokens']!
        await under.damageBlob(digest, (bytes) => bytes.subarray(1))
        expect(await store.getRecord(record.key)).toBeUndefined()
        await under.damageBlob(digest, () => undefined)
        expect(await store.getRecord(record.key)).toBeUndefined()
        expect(under.warnings).toHaveLength(2)
        await put('bytes')
        expect(await store.getRecord(record.key)).toEqual(record)
      })

      test('of builds are taken, also twice, and refused when they are none', async () => {
        const lock = await put('the lock')
        const build = makeBuild('a build', lock, [await putRecordOf('bytes')], [lock.digest])
        await store.putBuild(build)
        await under.other.putBuild({ ...build, finishedAt: '2026-01-02T00:00:00.000Z' })
        await expect(store.putBuild({ ...build, records: ['x' as Digest] })).rejects.toThrow(TypeError)
      })
    })

    describe('scratch', () => {
      test('the same name gives the same folder to one process, another one to another', async () => {
        const mine = await store.scratch('model/file.parquet')
        expect(await store.scratch('model/file.parquet')).toBe(mine)
        expect(await store.scratch('model/file-parquet')).not.toBe(mine)
        expect(await under.other.scratch('model/file.parquet')).not.toBe(mine)
      })

      test('names lead nowhere else', async () => {
        const { readdir } = await import('node:fs/promises')
        for (const name of ['..', '../../x', '/etc', 'a'.repeat(1000), 'nul\0', 'ü/€', '', 'CON']) {
          expect(await readdir(await store.scratch(name))).toEqual([])
        }
      })
    })
  })
}
