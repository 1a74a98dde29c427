/** What lies in a store's folder. */

import { dirname, relative } from 'node:path'
import { temporaryPath } from './blob-files.ts'
import { isTagDamaged, writeTag } from './cache-tag.ts'
import { blobEntries, buildEntries, type Entry, inParallel, recordEntries } from './entries.ts'
import type { FileStore } from './file-store.ts'
import {
  closeQuietly,
  errno,
  hashHandle,
  list,
  openToRead,
  removeIfThere,
  statHandle,
  statIfThere,
  syncFolder,
} from './fs-calls.ts'
import { naming } from './fs-errors.ts'
import { justLooking, type Lease } from './leases.ts'
import type { Collection, Counting, HashOptions, Holdings } from './managed-store.ts'
import { type SweepOptions, type Swept, sweepQuarantine, sweepScratch, sweepTmp } from './sweep.ts'
import type { BlobRef } from './types.ts'
import { boardOf, buildsOn, takeGcLease } from './using.ts'

const WIDTH = 8

export function fileHoldings(store: FileStore): Holdings {
  const { layout } = store
  const fromRoot = (path: string) => relative(layout.root, path).replaceAll('\\', '/')
  return {
    blobs: (onForeign) => blobEntries(layout, onForeign),
    records: (onForeign) => recordEntries(layout, onForeign),
    builds: (onForeign) => buildEntries(layout, onForeign),
    blobPath: (digest) => layout.blob(digest),
    recordPath: (key) => layout.record(key),
    stat: ({ path }) => statIfThere(path),
    hash,
    remove,
    quarantine: (path) => store.quarantine(path),
    quarantined: async () => (await list(layout.quarantine)).length,
    async damagedTags(repair) {
      const damaged: string[] = []
      for (const folder of [layout.root, layout.base]) {
        if (!(await isTagDamaged(folder))) continue
        damaged.push(`${folder}/CACHEDIR.TAG`)
        if (repair) await writeTag(folder, temporaryPath(layout, (await store.member()).token))
      }
      return damaged
    },
    relative: fromRoot,
    collection: () => collection(store),
    counting: () => counting(store),
    naming: (work) => naming(layout.root, work),
  }
}

async function hash(entry: Entry, options: HashOptions): Promise<BlobRef | string | undefined> {
  try {
    return await hashFile(entry.path, options)
  } catch (error) {
    if (!['EIO', 'ELOOP', 'ENXIO'].includes(errno(error) ?? '')) throw error
    return `it cannot be read (${errno(error)})`
  }
}

async function hashFile(path: string, options: HashOptions): Promise<BlobRef | string | undefined> {
  let handle: Awaited<ReturnType<typeof openToRead>>
  try {
    handle = await openToRead(path)
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    if (!(await statHandle(handle)).isFile()) return 'it is not a regular file'
    return await hashHandle(handle, options)
  } finally {
    await closeQuietly(handle)
  }
}

async function remove(entry: Entry): Promise<boolean> {
  try {
    return await removeIfThere(entry.path)
  } catch (error) {
    // Something that is no file (a folder by that name) is left for `store check` to report.
    if (errno(error) === 'EISDIR' || (await statIfThere(entry.path))?.isDirectory()) return false
    throw error
  }
}

async function collection(store: FileStore): Promise<Collection> {
  const { layout, leaseTimes } = store
  const lease = await takeGcLease(layout, leaseTimes)
  try {
    return {
      startedMs: await lease.now(),
      assertHeld: () => lease.assertHeld(),
      settle: (entries) =>
        inParallel(new Set(entries.map((entry) => dirname(entry.path))), WIDTH, syncFolder),
      sweep: (options) => sweepAll(store, lease, options),
      release: () => lease.release(),
    }
  } catch (error) {
    await lease.release()
    throw error
  }
}

async function counting(store: FileStore): Promise<Counting> {
  return {
    startedMs: await justLooking.now(),
    builds: await buildsOn(boardOf(store.layout, store.leaseTimes)),
    sweep: (options) => sweepAll(store, undefined, options),
  }
}

async function sweepAll(
  { layout, leaseTimes }: FileStore,
  lease: Lease | undefined,
  options: SweepOptions,
): Promise<Swept> {
  const total = { files: 0, bytes: 0 }
  for (const swept of [
    await sweepTmp(layout, lease, leaseTimes, options),
    await sweepScratch(layout, lease, leaseTimes, options),
    await sweepQuarantine(layout, lease, options),
  ]) {
    total.files += swept.files
    total.bytes += swept.bytes
  }
  return total
}
