/** What was read for the last time leaves the page cache: seen by what the next reading takes from the disk. */
import { closeSync, constants, openSync, readFileSync, readSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { dropFromPageCache } from '../../store/page-cache.ts'
import { openStore, temporaryFolder } from './helpers.ts'

const size = 8 << 20

/** Bytes that this thread had read from a disk so far. */
function readFromDisk(): number {
  return Number(/^read_bytes: (\d+)$/m.exec(readFileSync('/proc/thread-self/io', 'latin1'))![1])
}

/** Bytes of the disk that reading a file takes. */
function bytesTaken(path: string, flags = 0): number {
  const { buffer } = new WebAssembly.Memory({ initial: 16 })
  const file = openSync(path, constants.O_RDONLY | flags)
  try {
    const before = readFromDisk()
    while (readSync(file, new Uint8Array(buffer)) > 0);
    return readFromDisk() - before
  } finally {
    closeSync(file)
  }
}

async function storeWithBlob() {
  const folder = temporaryFolder()
  const { store } = await openStore(folder)
  const { digest } = await store.putBlob(Buffer.alloc(size, 'conversation '))
  return { folder, store, digest, path: store.layout.blob(digest) }
}

/** Not on a file system in memory, nor where reads are not counted. */
const counted = await (async () => {
  const { O_DIRECT } = constants as { readonly O_DIRECT?: number }
  if (process.platform !== 'linux' || O_DIRECT === undefined) return false
  const { path } = await storeWithBlob()
  try {
    return bytesTaken(path, O_DIRECT) >= size
  } catch {
    return false
  }
})()

describe.runIf(counted)('page cache', () => {
  test('a blob stays in it until it was read for the last time', async () => {
    const { store, digest, path } = await storeWithBlob()
    const read = async (last: boolean) => {
      for await (const _ of store.readBlob(digest, { reuse: true, last }));
    }
    await read(false)
    expect(bytesTaken(path)).toBeLessThan(size / 2)
    await read(true)
    expect(bytesTaken(path)).toBeGreaterThanOrEqual(size)
    await read(true)
  })

  test('in folders of any name, and through links', async () => {
    const { folder, path } = await storeWithBlob()
    const link = join(temporaryFolder(), 'ein Ort, 場所')
    symlinkSync(folder, link)
    expect(dropFromPageCache(path.replace(folder, link))).toBe(true)
    expect(bytesTaken(path)).toBeGreaterThanOrEqual(size)
  })
})

test('what is not there, and names no system has, are no error', () => {
  for (const path of ['/not/there', '', '/', `/${'x'.repeat(100_000)}`])
    expect(dropFromPageCache(path)).toBe(false)
})
