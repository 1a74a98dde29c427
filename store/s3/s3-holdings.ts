/** What lies in a store's bucket, for `store ls`, `check` and `gc`. */

import { isDigest, startSha256 } from '../digest.ts'
import type { Entry, OnForeign } from '../entries.ts'
import { justLooking, type LeaseTimes } from '../leases.ts'
import type { Collection, Counting, HashOptions, Holdings } from '../managed-store.ts'
import type { SweepOptions, Swept } from '../sweep.ts'
import type { BlobRef } from '../types.ts'
import { buildsOn, takeGcLeaseOn } from '../using.ts'
import { blobPath, FOLDERS, recordPath } from './address.ts'
import type { LocalArea } from './local-area.ts'
import type { S3Objects } from './objects.ts'
import { s3LeaseBoard } from './s3-leases.ts'

export interface HoldingsOptions {
  readonly objects: S3Objects
  readonly local: LocalArea
  readonly leaseTimes: LeaseTimes
  quarantine(path: string): Promise<string | undefined>
}

export function s3Holdings({ objects, local, leaseTimes, quarantine }: HoldingsOptions): Holdings {
  const root = `${objects.address.url}/`
  const pathOf = (url: string) => url.slice(root.length)

  async function* entries(below: string, fanOut: boolean, ending: string, onForeign?: OnForeign) {
    for await (const { path, size, mtimeMs } of objects.list(below)) {
      const parts = path.slice(below.length).split('/')
      const name = parts.at(-1)!
      const digest = name.endsWith(ending) ? name.slice(0, name.length - ending.length) : ''
      const place = fanOut ? `${digest.slice(0, 2)}/${name}` : name
      if (isDigest(digest) && place === parts.join('/')) {
        const held = { size, mtimeMs, isFile: () => true }
        yield { digest, path: root + path, held } satisfies Entry
      } else if (name !== '' && !name.startsWith('.')) {
        // An empty name is a folder as some tools draw it.
        onForeign?.(root + path)
      }
    }
  }

  async function hash({ path }: Entry, options: HashOptions): Promise<BlobRef | undefined> {
    const found = await objects.get(pathOf(path))
    if (found === undefined) return undefined
    const sum = startSha256()
    let bytes = 0
    for await (const chunk of found.body) {
      options.signal?.throwIfAborted()
      sum.update(chunk)
      bytes += chunk.length
      options.onBytes?.(chunk.length)
    }
    return { digest: sum.digest(), bytes }
  }

  const board = s3LeaseBoard(objects, leaseTimes)

  async function collection(): Promise<Collection> {
    const lease = await takeGcLeaseOn(board)
    try {
      const startedMs = await lease.now()
      return {
        startedMs,
        assertHeld: () => lease.assertHeld(),
        settle: async () => undefined,
        async sweep(options) {
          const total = await sweep(options, startedMs, true)
          for (const other of await board.survey(lease))
            if (other.liveness !== 'live') await board.revoke(other)
          return total
        },
        release: () => lease.release(),
      }
    } catch (error) {
      await lease.release()
      throw error
    }
  }

  async function counting(): Promise<Counting> {
    const startedMs = await justLooking.now()
    return {
      startedMs,
      builds: await buildsOn(board),
      sweep: (options) => sweep(options, startedMs, false),
    }
  }

  /** What is given up of uploads, damaged blobs and this machine's files; only counted unless `really`. */
  async function sweep(options: SweepOptions, startedMs: number, really: boolean): Promise<Swept> {
    const total = await local.sweep(options, !really)
    for await (const { path, id, startedMs: begun } of objects.uploads.list(FOLDERS.blobs)) {
      const before = startedMs - options.ageMs
      if (begun > before || (await objects.uploads.lastPartMs(path, id)) > before) continue
      total.files += 1
      if (really) await objects.uploads.abort(path, id)
    }
    // Damaged blobs stay seven times as long, for whoever wants to know what happened to them.
    for await (const { path, size, mtimeMs } of objects.list(FOLDERS.quarantine)) {
      if (mtimeMs > startedMs - 7 * options.ageMs) continue
      total.files += 1
      total.bytes += size
      if (really) await objects.delete(path)
    }
    return total
  }

  return {
    blobs: (onForeign) => entries(FOLDERS.blobs, true, '', onForeign),
    records: (onForeign) => entries(FOLDERS.records, true, '.json', onForeign),
    builds: (onForeign) => entries(FOLDERS.builds, false, '.json', onForeign),
    blobPath: (digest) => root + blobPath(digest),
    recordPath: (key) => root + recordPath(key),
    async stat(entry) {
      if (entry.held !== undefined) return entry.held
      const facts = await objects.head(pathOf(entry.path))
      return facts && { size: facts.size, mtimeMs: facts.mtimeMs, isFile: () => true }
    },
    hash,
    remove: ({ path }) => objects.delete(pathOf(path)),
    quarantine: async (path) => {
      const place = await quarantine(pathOf(path))
      return place === undefined ? undefined : root + place
    },
    async quarantined() {
      let count = 0
      for await (const _ of objects.list(FOLDERS.quarantine)) count += 1
      return count
    },
    damagedTags: async () => [],
    relative: (path) => (path.startsWith(root) ? pathOf(path) : path),
    collection,
    counting,
    // Requests fail in words already.
    naming: (work) => work(),
  }
}
