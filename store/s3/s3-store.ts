/**
 * A store in a bucket of an S3-compatible server, under the same names as in a folder. Several processes and
 * machines may use it at once: an object is visible whole or not at all, and records come after their blobs.
 * What it takes of the server: reads and listings that show what was written before them.
 */

import { ShardmillError } from '../../errors/index.ts'
import { VERSION } from '../layout.ts'
import type { Lease, LeaseTimes } from '../leases.ts'
import type { Holdings, ManagedStore } from '../managed-store.ts'
import { type RecordOptions, RecordStore } from '../records.ts'
import type { BlobRef, BlobWriter, Digest, ReadOptions } from '../types.ts'
import { type BuildLeaseOptions, takeBuildLeaseOn } from '../using.ts'
import { buildPath, parseS3Address, recordPath } from './address.ts'
import { BlobCache, type CacheBounds } from './blob-cache.ts'
import { connect } from './connection.ts'
import { LocalArea } from './local-area.ts'
import { S3Objects } from './objects.ts'
import { S3Blobs } from './s3-blobs.ts'
import { s3Holdings } from './s3-holdings.ts'
import { S3_LEASE_TIMES, s3LeaseBoard } from './s3-leases.ts'
import { cacheBounds, cacheFolder } from './settings.ts'

export interface S3StoreOptions extends RecordOptions {
  /** Look only: takes no lease, writes nothing to the bucket. */
  readonly readOnly?: boolean
  readonly env?: NodeJS.ProcessEnv
  /** For tests: other intervals for heartbeats, another bound for the cache. */
  readonly leaseTimes?: LeaseTimes
  readonly cache?: CacheBounds
}

/**
 * Opens the store at `s3://bucket/prefix`; the bucket must exist. One request shows at once whether it can be
 * reached. Throws USAGE for a wrong address or setting, STORE when the bucket cannot be used or holds only a newer
 * layout.
 */
export async function openS3Store(location: string, options: S3StoreOptions = {}): Promise<ManagedStore> {
  const env = options.env ?? process.env
  const address = parseS3Address(location)
  const bounds = options.cache ?? cacheBounds(env)
  const objects = new S3Objects(await connect(env), address)
  try {
    const folders = await objects.topFolders()
    const newer = folders.filter((name) => /^v[2-9]\d*$|^v1\d+$/.test(name))
    if (newer.length > 0 && !folders.includes(VERSION)) {
      throw new ShardmillError(
        'STORE',
        `the store ${address.url} has layout ${newer.join(', ')}, this version of shardmill knows ${VERSION}`,
        { hint: 'use the newer shardmill that made it, or choose another prefix with --store' },
      )
    }
  } catch (error) {
    objects.close()
    throw error
  }
  const local = new LocalArea(cacheFolder(address, env), address.url)
  return new BucketStore(objects, local, new BlobCache(local.layout, bounds), options)
}

/** No record is larger: what is, is none. */
const MOST_RECORD_BYTES = 256 << 20

class BucketStore extends RecordStore implements ManagedStore {
  readonly name: string
  readonly readOnly: boolean
  readonly holdings: Holdings
  readonly #objects: S3Objects
  readonly #local: LocalArea
  readonly #blobs: S3Blobs
  readonly #leaseTimes: LeaseTimes
  readonly #leases = new Set<Lease>()
  #closed = false

  constructor(objects: S3Objects, local: LocalArea, cache: BlobCache, options: S3StoreOptions) {
    const blobs = new S3Blobs(objects, local, cache)
    const shown = (path: string) => `${objects.address.url}/${path}`
    super({ ...blobs.places, record: recordPath, build: buildPath, shown }, options)
    this.name = objects.address.url
    this.readOnly = options.readOnly ?? false
    this.#objects = objects
    this.#local = local
    this.#blobs = blobs
    this.#leaseTimes = options.leaseTimes ?? S3_LEASE_TIMES
    this.holdings = s3Holdings({
      objects,
      local,
      leaseTimes: this.#leaseTimes,
      quarantine: (path) => this.#writing(() => this.#blobs.quarantine(path)),
    })
  }

  createBlob(): Promise<BlobWriter> {
    return this.#writing(() => this.#blobs.writer())
  }

  putBlob(bytes: Uint8Array): Promise<BlobRef> {
    return this.#writing(() => this.#blobs.putBytes(bytes))
  }

  statBlob(digest: Digest): Promise<number | undefined> {
    return this.#blobs.size(digest)
  }

  async identity(): Promise<undefined> {}

  readBlob(digest: Digest, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    return this.#blobs.read(digest, options)
  }

  readBlobBytes(digest: Digest): Promise<Uint8Array> {
    return this.#blobs.readWhole(digest)
  }

  localFile(digest: Digest, bytes?: number): Promise<string> {
    return this.#blobs.localFile(digest, bytes)
  }

  importFile(path: string, expect: { digest?: Digest; bytes?: number } = {}): Promise<BlobRef> {
    return this.#writing(() => this.#blobs.importFile(path, expect))
  }

  protected async readSmall(path: string): ReturnType<RecordStore['readSmall']> {
    const found = await this.#objects.getBytes(path, MOST_RECORD_BYTES)
    return (
      found && {
        kind: 'read',
        bytes: found.bytes,
        usedMs: async () => found.mtimeMs,
        renew: () => this.#objects.copy(path, path, found),
      }
    )
  }

  protected writeSmall(path: string, bytes: Uint8Array): Promise<void> {
    return this.#writing(async () => {
      await this.#objects.put(path, bytes, { contentType: 'application/json' })
    })
  }

  scratch(name: string): Promise<string> {
    return this.#writing(() => this.#local.scratch(name))
  }

  discardBlob(digest: Digest): Promise<void> {
    return this.#writing(() => this.#blobs.discard(digest))
  }

  leaseForBuild(options: BuildLeaseOptions = {}): Promise<Lease> {
    return this.#writing(async () => {
      const lease = await takeBuildLeaseOn(s3LeaseBoard(this.#objects, this.#leaseTimes), options)
      this.#leases.add(lease)
      return lease
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const lease of this.#leases) await lease.release()
    await this.#local.close()
    this.#objects.close()
  }

  #writing<T>(work: () => Promise<T>): Promise<T> {
    if (this.readOnly) return Promise.reject(new TypeError(`the store ${this.name} was opened to look only`))
    if (this.#closed) return Promise.reject(new TypeError(`the store ${this.name} was closed`))
    return work()
  }
}
