/**
 * Garbage collection: keeps what build records reach and removes the rest. First the records, made durable,
 * then the blobs: killed at any point it leaves blobs that nothing names, never a record without its blobs.
 * It needs no room on the disk. Builds and collections exclude each other (see leases.ts).
 */

import { ShardmillError } from '../errors/index.ts'
import { type Entry, inParallel } from './entries.ts'
import type { Collection, Counting, ManagedStore, StoreUser } from './managed-store.ts'
import { DAY_MS } from './sweep.ts'
import type { BuildRecord, Digest, StageRecord } from './types.ts'

export interface GcOptions {
  /** Count only: nothing is written, and builds may go on meanwhile (what they add is not counted). */
  readonly dryRun?: boolean
  /** The builds that stay; the records of all others are removed. Default: all stay. */
  readonly keep?: 'all' | readonly Digest[]
  /** Keep what no build reaches when it was made or last used less than this ago. Default 0. */
  readonly olderThanMs?: number
  /** Abandoned partial downloads are kept this long after they were last touched. Default a day. */
  readonly leftoverAgeMs?: number
  readonly signal?: AbortSignal
}

export interface GcCounts {
  readonly builds: number
  readonly records: number
  readonly blobs: number
  /** Half-written files of dead processes, abandoned partial downloads, old quarantined files. */
  readonly leftovers: number
  readonly bytes: number
}

export interface GcResult {
  readonly dryRun: boolean
  readonly kept: Omit<GcCounts, 'leftovers'>
  /** What was removed, or would be. */
  readonly removed: GcCounts
  /** Of a dry run: builds that use the store now. While one does, a collection does not begin. */
  readonly inUse?: readonly StoreUser[]
}

/**
 * Removes what no kept build reaches. Throws STORE, with nothing removed, when a build or another collection
 * is using the store (retryable), or when a record cannot be understood that may keep things: a damaged build
 * record, or any of a newer schema. Throws NOT_FOUND when `keep` names a build that is not there.
 */
export async function collectGarbage(store: ManagedStore, options: GcOptions = {}): Promise<GcResult> {
  return store.holdings.naming(async () => {
    if (options.dryRun === true) {
      const counting = await store.holdings.counting()
      const { builds } = counting
      const counts = await collect(store, counting, undefined, options)
      return { dryRun: true, ...counts, ...(builds.length === 0 ? {} : { inUse: builds }) }
    }
    if (store.readOnly) throw new TypeError(`the store ${store.name} was opened to look only`)
    const collection = await store.holdings.collection()
    try {
      return { dryRun: false, ...(await collect(store, collection, collection, options)) }
    } finally {
      await collection.release()
    }
  })
}

const WIDTH = 8

/** Without a collection all is only counted. */
async function collect(
  store: ManagedStore,
  { startedMs, sweep }: Pick<Counting, 'startedMs' | 'sweep'>,
  collection: Collection | undefined,
  options: GcOptions,
): Promise<Pick<GcResult, 'kept' | 'removed'>> {
  const { holdings } = store
  const kept = { builds: 0, records: 0, blobs: 0, bytes: 0 }
  const removed = { builds: 0, records: 0, blobs: 0, leftovers: 0, bytes: 0 }
  const young = startedMs - (options.olderThanMs ?? 0)

  // All is read before anything is removed.
  const roots = await readRoots(store, options.keep ?? 'all')
  const records = await readRecords(
    store,
    roots.records,
    options.olderThanMs === undefined ? undefined : young,
  )
  const blobs = new Set<Digest>(roots.blobs)
  for (const record of records.kept) {
    for (const ref of Object.values(record.outputs)) blobs.add(ref.digest)
  }

  async function drop(entry: Entry): Promise<boolean> {
    if (collection === undefined) return true
    if (options.signal?.aborted) {
      throw new ShardmillError('INTERRUPTED', 'the collection was interrupted; what it removed is not missed')
    }
    await collection.assertHeld()
    return holdings.remove(entry)
  }

  kept.builds = roots.kept
  for (const entry of roots.dropped) if (await drop(entry)) removed.builds += 1
  kept.records = records.kept.length
  await inParallel(records.dropped, WIDTH, async (entry) => {
    if (await drop(entry)) removed.records += 1
  })
  await collection?.settle(roots.dropped)
  await collection?.settle(records.dropped)

  await inParallel(holdings.blobs(), WIDTH, async (entry) => {
    const stats = await holdings.stat(entry)
    if (stats === undefined) return
    if (blobs.has(entry.digest) || (options.olderThanMs !== undefined && stats.mtimeMs > young)) {
      kept.blobs += 1
      kept.bytes += stats.size
    } else if (await drop(entry)) {
      removed.blobs += 1
      removed.bytes += stats.size
    }
  })

  const ageMs = options.leftoverAgeMs ?? DAY_MS
  const swept = await sweep({ alsoStale: true, ageMs })
  removed.leftovers += swept.files
  removed.bytes += swept.bytes
  return { kept, removed }
}

interface Roots {
  readonly kept: number
  readonly dropped: Entry[]
  readonly records: Set<Digest>
  readonly blobs: Set<Digest>
}

async function readRoots(store: ManagedStore, keep: 'all' | readonly Digest[]): Promise<Roots> {
  const wanted = keep === 'all' ? undefined : new Set(keep)
  const found = new Set<Digest>()
  const builds: BuildRecord[] = []
  const dropped: Entry[] = []
  for await (const entry of store.holdings.builds()) {
    found.add(entry.digest)
    if (wanted !== undefined && !wanted.has(entry.digest)) {
      dropped.push(entry)
      continue
    }
    const parsed = await store.parseBuildFile(entry.digest)
    if (parsed === undefined) continue
    if (parsed.kind !== 'ok') throw cannotTell(entry.path, parsed)
    builds.push(parsed.value)
  }
  const unknown = wanted === undefined ? [] : [...wanted].filter((id) => !found.has(id))
  if (unknown.length > 0) {
    throw new ShardmillError('NOT_FOUND', `there is no build ${unknown[0]} in the store ${store.name}`, {
      hint: '`shardmill store ls` lists the builds; nothing was removed',
    })
  }
  return {
    kept: builds.length,
    dropped,
    records: new Set(builds.flatMap((build) => build.records)),
    blobs: new Set(builds.flatMap((build) => [build.lock.digest, ...build.blobs])),
  }
}

async function readRecords(
  store: ManagedStore,
  reachable: ReadonlySet<Digest>,
  young: number | undefined,
): Promise<{ kept: StageRecord[]; dropped: Entry[] }> {
  const kept: StageRecord[] = []
  const dropped: Entry[] = []
  await inParallel(store.holdings.records(), WIDTH, async (entry) => {
    const parsed = await store.parseRecordFile(entry.digest)
    if (parsed === undefined) return
    if (parsed.kind === 'newer' || parsed.kind === 'unreadable') throw cannotTell(entry.path, parsed)
    const isKept =
      reachable.has(entry.digest) ||
      (young !== undefined && ((await store.holdings.stat(entry))?.mtimeMs ?? 0) > young)
    // A damaged record is of no use to any build: it counts as a miss.
    if (isKept && parsed.kind === 'ok') kept.push(parsed.value)
    else dropped.push(entry)
  })
  return { kept, dropped }
}

function cannotTell(
  path: string,
  parsed: { kind: 'damaged' | 'newer' | 'unreadable'; why: string },
): ShardmillError {
  const hint =
    parsed.kind === 'newer'
      ? 'use the newer shardmill that wrote it; nothing was removed'
      : 'run `shardmill store check`, which sets it aside, or repeat its build; nothing was removed'
  return new ShardmillError('STORE', `gc cannot tell what this record keeps: ${parsed.why}`, {
    at: { file: path },
    hint,
  })
}
