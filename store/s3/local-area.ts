/**
 * What a store in a bucket keeps on this machine, in a folder laid out like a store's: files being written (tmp/),
 * partial downloads (scratch/), who is alive here (leases/), and copies of blobs (see blob-cache.ts). All of it may
 * be deleted while nothing runs. Made when first needed.
 */

import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { Publisher, temporaryPath } from '../blob-files.ts'
import { hasTag, writeTag } from '../cache-tag.ts'
import { makeFolder } from '../fs-calls.ts'
import { naming } from '../fs-errors.ts'
import { type Layout, layoutOf } from '../layout.ts'
import { LEASE_TIMES, type Lease, takeLease } from '../leases.ts'
import { leaveScratch, openScratch } from '../scratch.ts'
import { type SweepOptions, type Swept, sweepDead, sweepScratch, sweepTmp } from '../sweep.ts'

export class LocalArea {
  readonly layout: Layout
  readonly publisher = new Publisher()
  readonly #storeName: string
  readonly #scratch = new Map<string, Promise<string>>()
  #member: Promise<Lease> | undefined

  constructor(folder: string, storeName: string) {
    this.layout = layoutOf(folder)
    this.#storeName = storeName
  }

  /** A new name for a file that this process writes. */
  async temporary(): Promise<string> {
    return temporaryPath(this.layout, await this.owner())
  }

  /** Names this process's files in tmp/ and scratch/. */
  async owner(): Promise<string> {
    return (await this.#lease()).token
  }

  #lease(): Promise<Lease> {
    this.#member ??= this.#open().catch((error) => {
      this.#member = undefined
      throw error
    })
    return this.#member
  }

  async #open(): Promise<Lease> {
    const { layout } = this
    for (const folder of [layout.blobs, layout.tmp, layout.scratch, layout.leases]) await makeFolder(folder)
    const lease = await takeLease(layout, 'member')
    if (!(await hasTag(layout.root))) await writeTag(layout.root, temporaryPath(layout, lease.token))
    await sweepDead(layout, lease, LEASE_TIMES).catch(() => undefined)
    return lease
  }

  scratch(name: string): Promise<string> {
    const before = this.#scratch.get(name) ?? Promise.resolve('')
    const folder = before
      .catch(() => '')
      .then(() => this.naming(async () => openScratch(this.layout, name, await this.#lease(), LEASE_TIMES)))
    this.#scratch.set(name, folder)
    return folder
  }

  /** Left-overs of the dead, removed or only counted; none where nothing was ever kept here. */
  sweep(options: SweepOptions, countOnly: boolean): Promise<Swept> {
    return this.naming(async () => {
      const lease = countOnly ? undefined : await this.#lease()
      const tmp = await sweepTmp(this.layout, lease, LEASE_TIMES, options)
      const scratch = await sweepScratch(this.layout, lease, LEASE_TIMES, options)
      return { files: tmp.files + scratch.files, bytes: tmp.bytes + scratch.bytes }
    })
  }

  async close(): Promise<void> {
    const member = await this.#member?.catch(() => undefined)
    if (member === undefined) return
    for (const name of this.#scratch.keys()) {
      await leaveScratch(this.layout, name, member).catch(() => undefined)
    }
    await member.release()
  }

  /** Runs a piece of work; failures of the local disk come out as the cache's, not the bucket's. */
  async naming<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await naming(this.layout.root, work)
    } catch (error) {
      if (!isShardmillError(error, 'STORE') || error.details?.['errno'] === undefined) throw error
      throw new ShardmillError(
        'STORE',
        `the local cache of ${this.#storeName} cannot be used: ${String(error.details['errno'])} in ${this.layout.root}`,
        {
          hint: 'free some space or give this user the right to write there, bound the cache with SHARDMILL_S3_CACHE_BYTES, or move it with XDG_CACHE_HOME; what is finished is kept',
          retryable: error.retryable,
          details: error.details,
        },
      )
    }
  }
}
