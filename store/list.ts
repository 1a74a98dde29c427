/** What a store holds, for `store ls`. Reads records and sizes, no blob. */

import { type Entry, inParallel } from './entries.ts'
import type { ManagedStore } from './managed-store.ts'
import type { BuildRecord, Digest, StageRecord } from './types.ts'

export interface StageListing {
  readonly stage: string
  readonly version: number
  readonly records: number
  /** Bytes of all outputs; a blob that several records name counts for each. */
  readonly bytes: number
}

export interface StoreListing {
  readonly root: string
  /** By time of finish, then id. */
  readonly builds: readonly BuildRecord[]
  /** By name and version. */
  readonly stages: readonly StageListing[]
  readonly blobs: { readonly count: number; readonly bytes: number }
  /** Damaged or newer records and builds: not counted above; `store check` says more. */
  readonly unreadable: number
  readonly quarantined: number
}

const WIDTH = 8

export function listStore(store: ManagedStore): Promise<StoreListing> {
  const { holdings } = store
  return holdings.naming(async () => {
    const builds: BuildRecord[] = []
    const stages = new Map<string, { stage: string; version: number; records: number; bytes: number }>()
    const blobs = { count: 0, bytes: 0 }
    let unreadable = 0
    for await (const entry of holdings.builds()) {
      const parsed = await store.parseBuildFile(entry.digest)
      if (parsed?.kind === 'ok') builds.push(parsed.value)
      else if (parsed !== undefined) unreadable += 1
    }
    await inParallel(holdings.records(), WIDTH, async (entry) => {
      const parsed = await store.parseRecordFile(entry.digest)
      if (parsed?.kind !== 'ok') {
        if (parsed !== undefined) unreadable += 1
        return
      }
      const { stage, version, outputs } = parsed.value
      const name = `${stage} ${version}`
      const listing = stages.get(name) ?? { stage, version, records: 0, bytes: 0 }
      listing.records += 1
      for (const ref of Object.values(outputs)) listing.bytes += ref.bytes
      stages.set(name, listing)
    })
    await inParallel(holdings.blobs(), WIDTH, async (entry) => {
      const stats = await holdings.stat(entry)
      if (!stats?.isFile()) return
      blobs.count += 1
      blobs.bytes += stats.size
    })
    const when = (build: BuildRecord): [string, Digest] => [build.finishedAt, build.id]
    return {
      root: store.name,
      builds: builds.sort((a, b) => compare(when(a), when(b))),
      stages: [...stages.values()].sort((a, b) => compare([a.stage, a.version], [b.stage, b.version])),
      blobs,
      unreadable,
      quarantined: await holdings.quarantined(),
    }
  })
}

function compare(a: readonly [string, string | number], b: readonly [string, string | number]): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1
  return a[1] === b[1] ? 0 : a[1] < b[1] ? -1 : 1
}

/** Every stage record that can be read, in no particular order. Blobs are not looked at. */
export async function* eachRecord(store: ManagedStore): AsyncGenerator<StageRecord> {
  const read = async (entries: readonly Entry[]) => {
    const parsed = await Promise.all(entries.map((entry) => store.parseRecordFile(entry.digest)))
    return parsed.flatMap((record) => (record?.kind === 'ok' ? [record.value] : []))
  }
  let entries: Entry[] = []
  for await (const entry of store.holdings.records()) {
    entries.push(entry)
    if (entries.length < WIDTH) continue
    yield* await read(entries)
    entries = []
  }
  yield* await read(entries)
}
