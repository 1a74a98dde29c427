/**
 * Where things lie in the store's folder. The version of the layout is a folder of its own, so that a later
 * layout never meets this one's files.
 *
 *   CACHEDIR.TAG             keeps backup tools out
 *   v1/blobs/sha256/ab/<digest>   bytes, read-only; `sha256sum` alone can check them
 *   v1/records/ab/<key>.json      what a stage made (see record-files.ts)
 *   v1/builds/<id>.json           the roots that gc keeps
 *   v1/tmp/<owner>-<random>       being written
 *   v1/scratch/<name>/<owner>/    partial work that survives a crash
 *   v1/leases/                    who is alive (see leases.ts)
 *   v1/quarantine/                damaged files, out of sight
 */

import { join } from 'node:path'
import type { Digest } from './types.ts'

export const VERSION = 'v1'

export interface Layout {
  readonly root: string
  readonly base: string
  readonly blobs: string
  readonly records: string
  readonly builds: string
  readonly tmp: string
  readonly scratch: string
  readonly leases: string
  readonly quarantine: string
  blob(digest: Digest): string
  record(key: Digest): string
  build(id: Digest): string
}

export function layoutOf(root: string): Layout {
  const base = join(root, VERSION)
  const blobs = join(base, 'blobs', 'sha256')
  const records = join(base, 'records')
  const builds = join(base, 'builds')
  return {
    root,
    base,
    blobs,
    records,
    builds,
    tmp: join(base, 'tmp'),
    scratch: join(base, 'scratch'),
    leases: join(base, 'leases'),
    quarantine: join(base, 'quarantine'),
    blob: (digest) => join(blobs, digest.slice(0, 2), digest),
    record: (key) => join(records, key.slice(0, 2), `${key}.json`),
    build: (id) => join(builds, `${id}.json`),
  }
}

/** The folders that hold entries directly, in the order they are made. */
export function foldersOf(layout: Layout): string[] {
  return [
    layout.blobs,
    layout.records,
    layout.builds,
    layout.tmp,
    layout.scratch,
    layout.leases,
    layout.quarantine,
  ]
}
