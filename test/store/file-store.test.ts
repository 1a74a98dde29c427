import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rmdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDigest, sha256 } from '../../store/digest.ts'
import { openFileStore } from '../../store/file-store.ts'
import type { Digest } from '../../store/types.ts'
import { testStore } from '../contract/store.ts'
import { nobody } from '../nobody.ts'
import {
  makeBuild,
  makeRecord,
  namesIn,
  openStore,
  overwrite,
  startNode,
  temporaryFolder,
} from './helpers.ts'

testStore('FileStore', async () => {
  const folder = temporaryFolder()
  const { store, warnings } = await openStore(folder)
  const { store: other } = await openStore(folder)
  const damage = async (path: string, change: (bytes: Buffer) => Buffer | undefined) => {
    const { rm } = await import('node:fs/promises')
    const bytes = change(await readFile(path))
    if (bytes === undefined) await rm(path)
    else await overwrite(path, bytes)
  }
  return {
    store,
    other,
    warnings,
    damageBlob: (digest, change) => damage(store.layout.blob(digest), change),
    damageRecord: (key, change) => damage(store.layout.record(key), change),
    leftovers: () => namesIn(store.layout.tmp),
    async close() {
      await store.close()
      await other.close()
    },
  }
})

describe('a folder as a store', () => {
  test('is made with its layout, and a tag that keeps backups out', async () => {
    const folder = join(temporaryFolder(), 'deep', 'down')
    const { store } = await openStore(folder)
    expect(await namesIn(join(folder, 'v1'))).toEqual([
      'blobs',
      'builds',
      'leases',
      'quarantine',
      'records',
      'scratch',
      'tmp',
    ])
    expect(await readFile(join(folder, 'CACHEDIR.TAG'), 'utf8')).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55\n/,
    )
    const { digest } = await store.putBlob(Buffer.from('twelve bytes'))
    const path = join(folder, 'v1', 'blobs', 'sha256', digest.slice(0, 2), digest)
    expect(await readFile(path, 'utf8')).toBe('twelve bytes')
    expect((await stat(path)).mode & 0o777).toBe(0o444)
    await store.close()
    expect(await namesIn(store.layout.leases)).toEqual([])
  })

  test('that holds other things too does not call them a cache', async () => {
    const folder = temporaryFolder()
    await writeFile(join(folder, 'thesis.tex'), 'years of work')
    await openStore(folder)
    expect(existsSync(join(folder, 'CACHEDIR.TAG'))).toBe(false)
    expect(existsSync(join(folder, 'v1', 'CACHEDIR.TAG'))).toBe(true)
  })

  test('that is a file, or lies below one, is refused in words', async () => {
    const file = join(temporaryFolder(), 'file')
    await writeFile(file, '')
    for (const path of [file, join(file, 'below')]) {
      const refused = { code: 'STORE', retryable: false, message: expect.stringContaining(path) }
      await expect(openFileStore(path)).rejects.toMatchObject(refused)
    }
  })

  test('of a newer layout alone is refused; beside ours it is left alone', async () => {
    const folder = temporaryFolder()
    await mkdir(join(folder, 'v2', 'blobs'), { recursive: true })
    await expect(openFileStore(folder)).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringMatching(/v2.*knows v1/),
    })
    expect(await namesIn(folder)).toEqual(['v2'])
    await mkdir(join(folder, 'v1'))
    const { store } = await openStore(folder)
    expect((await store.putBlob(Buffer.from('x'))).bytes).toBe(1)
  })

  test('that cannot be written is refused before any work', async () => {
    const folder = temporaryFolder()
    await chmod(folder, 0o555)
    const module = new URL('../../dist/store/file-store.js', import.meta.url).href
    const program = `
      const { openFileStore } = await import(${JSON.stringify(module)})
      const opened = openFileStore(${JSON.stringify(join(folder, 'store'))})
      console.log(await opened.then(() => 'opened', ({ code }) => code))`
    const { stdout, stderr } = await startNode(['--input-type=module', '-e', program], {}, nobody).ended
    expect(stdout, stderr).toBe('STORE\n')
    expect(await namesIn(folder)).toEqual([])
    await chmod(folder, 0o755)
  })

  test('opened to look only makes nothing, reads all, and writes nothing', async () => {
    const folder = join(temporaryFolder(), 'absent')
    const looking = await openFileStore(folder, { readOnly: true })
    expect(await looking.getRecord(sha256('key'))).toBeUndefined()
    expect(await looking.statBlob(sha256('blob'))).toBeUndefined()
    expect(existsSync(folder)).toBe(false)
    await expect(looking.putBlob(Buffer.from('x'))).rejects.toThrow(TypeError)
    await expect(looking.scratch('x')).rejects.toThrow(TypeError)

    const { store } = await openStore(folder)
    const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    await store.putRecord(record)
    expect(await looking.getRecord(record.key)).toEqual(record)
  })

  test('that loses its empty folders meanwhile goes on', async () => {
    const { rm } = await import('node:fs/promises')
    const { store } = await openStore(temporaryFolder())
    const { digest } = await store.putBlob(Buffer.from('once'))
    await rm(join(store.layout.blobs, digest.slice(0, 2)), { recursive: true })
    await store.putBlob(Buffer.from('once'))
    expect(await store.statBlob(digest)).toBe(4)
  })

  test("a folder, a pipe or a dangling link in a blob's place is no blob", async () => {
    const { store } = await openStore(temporaryFolder())
    const { digest } = await store.putBlob(Buffer.from('once'))
    const { rm } = await import('node:fs/promises')
    const path = store.layout.blob(digest)
    await rm(path)
    await mkdir(path)
    expect(await store.statBlob(digest)).toBeUndefined()
    await expect(store.readBlobBytes(digest)).rejects.toMatchObject({ code: 'CORRUPT_BLOB' })
    await store.discardBlob(digest)
    expect(existsSync(path)).toBe(false)
    await symlink('/nowhere/at/all', path)
    expect(await store.statBlob(digest)).toBeUndefined()
    await expect(store.readBlobBytes(digest)).rejects.toMatchObject({ code: 'MISSING_BLOB' })
    await store.putBlob(Buffer.from('once'))
    expect(Buffer.from(await store.readBlobBytes(digest)).toString()).toBe('once')
  })

  test('a folder in the place of a record, a build or a blob that is to be written is named, with what to do', async () => {
    const { store } = await openStore(temporaryFolder())
    const bytes = Buffer.from('once')
    const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    const build = makeBuild('mine', await store.putBlob(Buffer.from('lock')), [record])
    const { layout } = store
    const writes: [path: string, write: () => Promise<unknown>][] = [
      [layout.record(record.key), () => store.putRecord(record)],
      [layout.build(build.id), () => store.putBuild(build)],
      [layout.blob(sha256(bytes)), () => store.putBlob(bytes)],
    ]
    for (const [path, write] of writes) {
      await mkdir(path, { recursive: true })
      await expect(write()).rejects.toMatchObject({
        code: 'STORE',
        message: `${path} is a folder, where the store keeps a file`,
        hint: expect.stringContaining('remove it'),
        retryable: false,
      })
      expect(await namesIn(layout.tmp)).toEqual([])
      await rmdir(path)
      await write()
    }
  })
})

describe('records and builds as files', () => {
  test('are JSON that other tools can read', async () => {
    const { store } = await openStore(temporaryFolder())
    const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    await store.putRecord(record)
    const text = await readFile(store.layout.record(record.key), 'utf8')
    expect(JSON.parse(text).value).toEqual(record)
    expect(JSON.parse(text).sha256).toBe(sha256(JSON.stringify(record)))
  })

  test('a record of a newer schema is a miss and stays as it is', async () => {
    const { store, warnings } = await openStore(temporaryFolder())
    const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    await store.putRecord(record)
    const path = store.layout.record(record.key)
    const value = JSON.stringify({ ...record, schema: 2, more: true })
    const newer = `{"sha256":"${sha256(value)}","value":${value}}\n`
    await overwrite(path, Buffer.from(newer))
    expect(await store.getRecord(record.key)).toBeUndefined()
    expect(warnings[0]).toContain('schema 2')
    expect(await readFile(path, 'utf8')).toBe(newer)
  })

  test('a record whose key is not the hash of its question is a miss', async () => {
    const { store, warnings } = await openStore(temporaryFolder())
    const honest = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    const { store: trusting } = await openStore(store.name, { keyOf: () => honest.key })
    const forged = { ...honest, version: 9 }
    await trusting.putRecord(forged)
    expect(await store.getRecord(honest.key)).toBeUndefined()
    expect(warnings[0]).toContain('not the hash')
    await expect(store.putRecord(forged)).rejects.toThrow(TypeError)
  })

  test('a build comes back; a damaged one is a warning', async () => {
    const { store, warnings } = await openStore(temporaryFolder())
    const build = makeBuild('mine', await store.putBlob(Buffer.from('lock')), [])
    await store.putBuild(build)
    expect(await store.getBuild(build.id)).toEqual(build)
    await overwrite(store.layout.build(build.id), Buffer.from('{'))
    expect(await store.getBuild(build.id)).toBeUndefined()
    expect(warnings).toHaveLength(1)
    expect(await store.getBuild(sha256('no such build'))).toBeUndefined()
  })

  test('a record in use is touched, so that gc can tell', async () => {
    const { utimes } = await import('node:fs/promises')
    const { store } = await openStore(temporaryFolder())
    const record = makeRecord({ a: await store.putBlob(Buffer.from('x')) })
    await store.putRecord(record)
    const path = store.layout.record(record.key)
    await utimes(path, 1_000_000, 1_000_000)
    await store.getRecord(record.key)
    expect((await stat(path)).mtimeMs).toBeGreaterThan(1_000_000_000)
  })
})

test('parseDigest takes 64 lower-case hex digits and nothing else', () => {
  const digest: Digest = parseDigest('0123456789abcdef'.repeat(4))
  expect(digest).toHaveLength(64)
  for (const wrong of [
    '',
    'a'.repeat(63),
    'a'.repeat(65),
    'A'.repeat(64),
    `${'a'.repeat(63)}g`,
    `${'a'.repeat(64)}\n`,
  ]) {
    expect(() => parseDigest(wrong)).toThrow(TypeError)
  }
})
