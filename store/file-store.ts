/**
 * A store in a folder, local or on a shared file system. Several processes and machines may use it at once:
 * everything appears by rename, under its final name, when it is durable.
 */

import { randomBytes } from 'node:crypto'
import { readdir, stat as statPath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import {
  corruptBlob,
  FileBlobWriter,
  identityOf,
  missingBlob,
  openBlobFile,
  Publisher,
  readBlobFile,
  readBlobFileWhole,
  statBlobFile,
  temporaryPath,
} from './blob-files.ts'
import { hasTag, writeTag } from './cache-tag.ts'
import { sha256 } from './digest.ts'
import { fileHoldings } from './file-holdings.ts'
import {
  closeQuietly,
  errno,
  hashHandle,
  list,
  makeFolder,
  makeReadOnly,
  openNew,
  readSmallFile,
  remove,
  removeIfThere,
  rename,
  setTimes,
  statIfThere,
  syncFile,
  syncFolder,
  writeAll,
} from './fs-calls.ts'
import { isFullDisk, naming } from './fs-errors.ts'
import { type Expected, type ImportTarget, importFile } from './import-file.ts'
import { foldersOf, type Layout, layoutOf, VERSION } from './layout.ts'
import { LEASE_TIMES, type Lease, type LeaseTimes, takeLease } from './leases.ts'
import type { Holdings, ManagedStore } from './managed-store.ts'
import { type RecordOptions, RecordStore } from './records.ts'
import { leaveScratch, openScratch } from './scratch.ts'
import { sweepDead } from './sweep.ts'
import type { BlobRef, BlobWriter, Digest, ReadOptions } from './types.ts'
import { type BuildLeaseOptions, takeBuildLease } from './using.ts'

export interface FileStoreOptions extends RecordOptions {
  /** Look only: makes no folder, takes no lease; a store that does not exist is an empty one. */
  readonly readOnly?: boolean
  /** For tests: other intervals for heartbeats. */
  readonly leaseTimes?: LeaseTimes
}

export interface FileStore extends ManagedStore {
  readonly layout: Layout
  readonly leaseTimes: LeaseTimes
  /** This store's member lease: names the owner in tmp/ and scratch/. */
  member(): Promise<Lease>
  /** Moves a damaged file out of sight; returns its place in quarantine/, or undefined when it was gone. */
  quarantine(path: string): Promise<string | undefined>
}

/**
 * Opens, and makes when needed, the store in a folder. Throws STORE before any work when the path is a file,
 * cannot be written, or holds only a newer layout.
 */
export async function openFileStore(folder: string, options: FileStoreOptions = {}): Promise<FileStore> {
  const layout = layoutOf(resolve(folder))
  await naming(layout.root, () => checkFolder(layout))
  const store = new FolderStore(layout, options)
  if (options.readOnly) return store
  await naming(layout.root, async () => {
    await prepare(layout)
    try {
      // Making a lease shows at once what permissions, mounts and quotas say together.
      await tag(layout, (await store.member()).token)
    } catch (error) {
      // A full disk still serves what is cached.
      if (!isFullDisk(error)) throw error
    }
  })
  return store
}

/** Whether a folder holds a store, of any layout; true also for what `openFileStore` has to say more about. */
export async function holdsStore(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).some((name) => /^v\d+$/.test(name))
  } catch (error) {
    return errno(error) !== 'ENOENT'
  }
}

async function checkFolder(layout: Layout): Promise<void> {
  let stats: Awaited<ReturnType<typeof statPath>> | undefined
  try {
    stats = await statPath(layout.root)
  } catch (error) {
    if (errno(error) === 'ENOENT') return
    if (errno(error) !== 'ENOTDIR') throw error
  }
  if (stats === undefined || !stats.isDirectory()) {
    const what = stats === undefined ? 'a part of its path is a file' : 'it is a file'
    throw new ShardmillError('STORE', `the store ${layout.root} should be a folder, but ${what}`, {
      hint: 'choose another folder with --store or SHARDMILL_STORE',
    })
  }
  const names = (await list(layout.root)).map((entry) => entry.name)
  const newer = names.filter((name) => /^v[2-9]\d*$|^v1\d+$/.test(name))
  if (newer.length > 0 && !names.includes(VERSION)) {
    throw new ShardmillError(
      'STORE',
      `the store ${layout.root} has layout ${newer.join(', ')}, this version of shardmill knows ${VERSION}`,
      { hint: 'use the newer shardmill that made it, or choose another folder with --store' },
    )
  }
}

/** Makes what is missing of the layout, also when it was left half-made. */
async function prepare(layout: Layout): Promise<void> {
  const there = new Set((await list(layout.base)).map((entry) => join(layout.base, entry.name)))
  const missing = foldersOf(layout).filter((folder) => !there.has(folder) && !there.has(dirname(folder)))
  if (missing.length === 0) return
  for (const folder of missing) await makeFolder(folder)
  for (const folder of [dirname(layout.blobs), layout.base, layout.root]) await syncFolder(folder)
}

/** In a folder with other things in it the tag must speak of the store's own folder alone. */
async function tag(layout: Layout, owner: string): Promise<void> {
  if ((await hasTag(layout.root)) || (await hasTag(layout.base))) return
  const alone = (await list(layout.root)).every((entry) => /^v\d+$/.test(entry.name))
  await writeTag(alone ? layout.root : layout.base, temporaryPath(layout, owner))
}

/** Below this a blob that seems stored already is compared instead of written again. */
const COMPARE_UP_TO = 1 << 20

class FolderStore extends RecordStore implements FileStore {
  readonly name: string
  readonly layout: Layout
  readonly readOnly: boolean
  readonly leaseTimes: LeaseTimes
  readonly holdings: Holdings
  readonly #publisher = new Publisher()
  readonly #scratch = new Map<string, Promise<string>>()
  readonly #leases = new Set<Lease>()
  #member: Promise<Lease> | undefined
  #closed = false

  constructor(layout: Layout, options: FileStoreOptions) {
    super({ ...layout, shown: (path) => path }, options)
    this.layout = layout
    this.name = layout.root
    this.readOnly = options.readOnly ?? false
    this.leaseTimes = options.leaseTimes ?? LEASE_TIMES
    this.holdings = fileHoldings(this)
  }

  createBlob(): Promise<BlobWriter> {
    return this.#writing(async () =>
      FileBlobWriter.create(this.layout, this.#publisher, (await this.member()).token),
    )
  }

  async putBlob(bytes: Uint8Array): Promise<BlobRef> {
    if (bytes.length <= COMPARE_UP_TO) {
      const digest = sha256(bytes)
      if (await this.#holds(digest, bytes)) return { digest, bytes: bytes.length }
    }
    const writer = await this.createBlob()
    try {
      await writer.write(bytes)
      return await writer.commit()
    } finally {
      await writer.abort()
    }
  }

  /** True when exactly these bytes are stored. Its folder is fsynced: whoever wrote it may be just before that. */
  async #holds(digest: Digest, bytes: Uint8Array): Promise<boolean> {
    const path = this.layout.blob(digest)
    try {
      if (this.readOnly || (await statBlobFile(path)) !== bytes.length) return false
      if (!(await readSmallFile(path)).equals(bytes)) return false
      await syncFolder(dirname(path))
      await setTimes(path, new Date())
      return true
    } catch {
      return false // writing it again heals it, or meets the failure
    }
  }

  statBlob(digest: Digest): Promise<number | undefined> {
    return naming(this.layout.root, () => statBlobFile(this.layout.blob(digest)))
  }

  readBlob(digest: Digest, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    return readBlobFile(this.layout, digest, options)
  }

  identity(digest: Digest): Promise<string | undefined> {
    return naming(this.layout.root, async () => {
      const { handle } = await openBlobFile(this.layout, digest)
      try {
        return await identityOf(handle)
      } finally {
        await closeQuietly(handle)
      }
    })
  }

  readBlobBytes(digest: Digest): Promise<Uint8Array> {
    return naming(this.layout.root, () => readBlobFileWhole(this.layout, digest))
  }

  localFile(digest: Digest, bytes?: number): Promise<string> {
    return naming(this.layout.root, async () => {
      const path = this.layout.blob(digest)
      const size = await statBlobFile(path)
      if (size === undefined) throw missingBlob(this.layout, digest)
      if (bytes !== undefined && size !== bytes) {
        throw corruptBlob(this.layout, digest, `it has ${size} bytes, expected ${bytes}`)
      }
      if (size === 0 && digest !== sha256('')) throw corruptBlob(this.layout, digest, 'it is empty')
      return path
    })
  }

  importFile(path: string, expect: Expected = {}): Promise<BlobRef> {
    const { layout } = this
    const target: ImportTarget = {
      layout,
      sizeOf: (digest) => statBlobFile(layout.blob(digest)),
      createBlob: () => this.createBlob(),
      moveIn: async (_handle, path, { digest, bytes }) => {
        try {
          await this.#publisher.publish(path, layout.blob(digest))
          // Not before: a part file left by a crash in between must stay writable for whoever goes on with it.
          await makeReadOnly(layout.blob(digest))
        } catch (error) {
          // Another importer of the same file was quicker: its blob is ours.
          const isThere = errno(error) === 'ENOENT' && (await statBlobFile(layout.blob(digest))) === bytes
          if (!isThere) throw error
        }
      },
    }
    return this.#writing(() => importFile(target, path, expect))
  }

  protected readSmall(path: string): ReturnType<RecordStore['readSmall']> {
    return naming(this.layout.root, async () => {
      try {
        return {
          kind: 'read',
          bytes: await readSmallFile(path),
          usedMs: async () => (await statIfThere(path))?.mtimeMs,
          renew: () => setTimes(path, new Date()),
        }
      } catch (error) {
        const code = errno(error) ?? ''
        if (code === 'ENOENT') return undefined
        if (['EIO', 'EISDIR', 'ENOTDIR', 'ELOOP', 'ERR_FS_FILE_TOO_LARGE'].includes(code)) {
          return { kind: 'unreadable', why: `it cannot be read (${code})` }
        }
        throw error
      }
    })
  }

  protected writeSmall(path: string, bytes: Uint8Array): Promise<void> {
    return this.#writing(async () => {
      const temporary = temporaryPath(this.layout, (await this.member()).token)
      try {
        const handle = await openNew(temporary)
        try {
          await writeAll(handle, bytes)
          await syncFile(handle)
        } finally {
          await closeQuietly(handle)
        }
        await this.#publisher.publish(temporary, path)
      } catch (error) {
        await removeIfThere(temporary).catch(() => undefined)
        throw error
      }
    })
  }

  scratch(name: string): Promise<string> {
    const before = this.#scratch.get(name) ?? Promise.resolve('')
    const folder = before
      .catch(() => '')
      .then(() =>
        this.#writing(async () => openScratch(this.layout, name, await this.member(), this.leaseTimes)),
      )
    this.#scratch.set(name, folder)
    return folder
  }

  discardBlob(digest: Digest): Promise<void> {
    return this.#writing(async () => {
      let opened: Awaited<ReturnType<typeof openBlobFile>>
      try {
        opened = await openBlobFile(this.layout, digest)
      } catch (error) {
        if (error instanceof ShardmillError && error.code === 'MISSING_BLOB') return
        if (!(error instanceof ShardmillError)) throw error
        await this.quarantine(this.layout.blob(digest)) // a folder in its place, say
        return
      }
      try {
        // Another process may have healed it meanwhile: what is right stays.
        if ((await hashHandle(opened.handle)).digest === digest) return
      } finally {
        await closeQuietly(opened.handle)
      }
      await this.quarantine(this.layout.blob(digest))
    })
  }

  quarantine(path: string): Promise<string | undefined> {
    return this.#writing(async () => {
      const place = join(this.layout.quarantine, `${basename(path)}-${randomBytes(4).toString('hex')}`)
      try {
        await makeFolder(this.layout.quarantine)
        await rename(path, place)
        return place
      } catch (error) {
        if (errno(error) === 'ENOENT') return undefined
        // No room for a new name: out of sight matters more than keeping the evidence.
        if (errno(error) !== 'ENOSPC' && errno(error) !== 'EDQUOT') throw error
        await remove(path)
        return undefined
      }
    })
  }

  async leaseForBuild(options: BuildLeaseOptions = {}): Promise<Lease> {
    return this.#writing(async () => {
      const lease = await takeBuildLease(this.layout, this.leaseTimes, options)
      this.#leases.add(lease)
      // Tidiness is no reason to fail.
      await sweepDead(this.layout, lease, this.leaseTimes).catch(() => undefined)
      return lease
    })
  }

  member(): Promise<Lease> {
    this.#member ??= naming(this.layout.root, () => takeLease(this.layout, 'member', this.leaseTimes)).catch(
      (error) => {
        this.#member = undefined
        throw error
      },
    )
    return this.#member
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await naming(this.layout.root, async () => {
      for (const lease of this.#leases) await lease.release()
      const member = await this.#member
      if (member === undefined) return
      for (const name of this.#scratch.keys()) await leaveScratch(this.layout, name, member)
      await member.release()
    })
  }

  #writing<T>(work: () => Promise<T>): Promise<T> {
    if (this.readOnly) return Promise.reject(new TypeError(`the store ${this.name} was opened to look only`))
    if (this.#closed) return Promise.reject(new TypeError(`the store ${this.name} was closed`))
    return naming(this.layout.root, work)
  }
}
