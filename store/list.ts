/** What a store holds, for `store ls`. Reads records and sizes, no blob. */

import { blobEntries, buildEntries, inParallel, recordEntries } from './entries.ts'
import type { FileStore } from './file-store.ts'
import { list, statIfThere } from './fs-calls.ts'
import { naming } from './fs-errors.ts'
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

export function listStore(store: FileStore): Promise<StoreListing> {
  return naming(store.layout.root, async () => {
    const builds: BuildRecord[] = []
    const stages = new Map<string, { stage: string; version: number; records: number; bytes: number }>()
    const blobs = { count: 0, bytes: 0 }
    let unreadable = 0
    for await (const entry of buildEntries(store.layout)) {
      const parsed = await store.parseBuildFile(entry.digest)
      if (parsed?.kind === 'ok') builds.push(parsed.value)
      else if (parsed !== undefined) unreadable += 1
    }
    await inParallel(recordEntries(store.layout), 8, async (entry) => {
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
    await inParallel(blobEntries(store.layout), 8, async (entry) => {
      const stats = await statIfThere(entry.path)
      if (!stats?.isFile()) return
      blobs.count += 1
      blobs.bytes += stats.size
    })
    const when = (build: BuildRecord): [string, Digest] => [build.finishedAt, build.id]
    return {
      root: store.layout.root,
      builds: builds.sort((a, b) => compare(when(a), when(b))),
      stages: [...stages.values()].sort((a, b) => compare([a.stage, a.version], [b.stage, b.version])),
      blobs,
      unreadable,
      quarantined: (await list(store.layout.quarantine)).length,
    }
  })
}

function compare(a: readonly [string, string | number], b: readonly [string, string | number]): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1
  return a[1] === b[1] ? 0 : a[1] < b[1] ? -1 : 1
}

/** Every stage record that can be read, in no particular order. Blobs are not looked at. */
export async function* eachRecord(store: FileStore): AsyncGenerator<StageRecord> {
  for await (const entry of recordEntries(store.layout)) {
    const parsed = await store.parseRecordFile(entry.digest)
    if (parsed?.kind === 'ok') yield parsed.value
  }
}
