/** What looking after a store needs beside what builds need: `store ls`, `check` and `gc` go through this. */

import type { Entry, OnForeign } from './entries.ts'
import type { Lease } from './leases.ts'
import type { Parsed } from './record-files.ts'
import type { SweepOptions, Swept } from './sweep.ts'
import type { BlobRef, BuildRecord, Digest, StageRecord, Store } from './types.ts'
import type { BuildLeaseOptions } from './using.ts'

/** A store in a folder or in a bucket. */
export interface ManagedStore extends Store {
  /** Opened to look only: it writes nothing and takes no lease. */
  readonly readOnly: boolean
  readonly holdings: Holdings
  /** A build's record, or undefined when there is none or it is damaged (with a warning). */
  getBuild(id: Digest): Promise<BuildRecord | undefined>
  /** What is stored under a stage key, without looking at blobs; undefined when there is nothing. */
  parseRecordFile(key: Digest): Promise<Parsed<StageRecord> | undefined>
  parseBuildFile(id: Digest): Promise<Parsed<BuildRecord> | undefined>
  /**
   * To be held while a build (or anything that relies on what it found) runs: `gc` keeps away meanwhile.
   * Waits for a collection that is under way. Release it at the end, also after a failure.
   */
  leaseForBuild(options?: BuildLeaseOptions): Promise<Lease>
  /** Gives leases back and leaves scratch folders to others. The store may not be used afterwards. */
  close(): Promise<void>
}

/** Size in bytes and time of the last change, as the store's own clock has it. */
export interface Held {
  readonly size: number
  readonly mtimeMs: number
  isFile(): boolean
}

export interface HashOptions {
  readonly signal?: AbortSignal | undefined
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** What lies in the store, by path (of a file, or a key of the bucket). */
export interface Holdings {
  blobs(onForeign?: OnForeign): AsyncIterable<Entry>
  records(onForeign?: OnForeign): AsyncIterable<Entry>
  builds(onForeign?: OnForeign): AsyncIterable<Entry>
  blobPath(digest: Digest): string
  recordPath(key: Digest): string
  /** Undefined when nothing stands there. */
  stat(entry: Entry): Promise<Held | undefined>
  /** Reads and hashes all of it: a text says why it cannot be read, undefined that it is gone. */
  hash(entry: Entry, options: HashOptions): Promise<BlobRef | string | undefined>
  /** False when there was nothing to remove, or nothing that may be removed. */
  remove(entry: Entry): Promise<boolean>
  /** Out of sight; returns its place, or undefined when it was gone (or there was no room to keep it). */
  quarantine(path: string): Promise<string | undefined>
  quarantined(): Promise<number>
  /** Tags for other tools that are not as written any more, made anew with `repair`. */
  damagedTags(repair: boolean): Promise<string[]>
  /** A path as people are shown it, from the store's root, with forward slashes. */
  relative(path: string): string
  /** Starts a collection: throws STORE (retryable) when a build or another collection is using the store. */
  collection(): Promise<Collection>
  /** For one who only counts what would go: no lease is taken, nothing is written or removed. */
  counting(): Promise<Counting>
  /** Runs a piece of work; failures of the disk or the network come out in words. */
  naming<T>(work: () => Promise<T>): Promise<T>
}

/** A build that uses the store. */
export interface StoreUser {
  /** `pid 123 on host abc, since …` */
  readonly who: string
  /** False when it runs on another machine, and only its heartbeat is not very old. */
  readonly certain: boolean
}

export interface Counting {
  /** When it began, ms since 1970: by the store's own clock, or where nothing is written by this machine's. */
  readonly startedMs: number
  readonly builds: readonly StoreUser[]
  /** Left-overs of the dead. */
  sweep(options: SweepOptions): Promise<Swept>
}

export interface Collection extends Omit<Counting, 'builds'> {
  /** Throws STORE when another process took this one for dead. */
  assertHeld(): Promise<void>
  /** Makes the removal of these durable. */
  settle(entries: readonly Entry[]): Promise<void>
  release(): Promise<void>
}
