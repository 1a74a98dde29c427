/** Blobs as files: written under a temporary name and renamed when durable, checked when read. */

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { giveBack, takeScratch } from '../memory/buffers.ts'
import { startSha256 } from './digest.ts'
import {
  closeQuietly,
  errno,
  type FileHandle,
  makeFolder,
  makeHandleReadOnly,
  openNew,
  openToRead,
  READ_CHUNK,
  type Reading,
  readAt,
  removeIfThere,
  rename,
  statHandle,
  statHandleExactly,
  statIfThere,
  syncFile,
  syncFolder,
  writeAll,
} from './fs-calls.ts'
import { naming } from './fs-errors.ts'
import type { Layout } from './layout.ts'
import { dropFromPageCache } from './page-cache.ts'
import type { BlobRef, BlobWriter, Digest, ReadOptions } from './types.ts'

/** Small chunks are gathered to writes of this size. */
const WRITE_BUFFER = 256 * 1024

/** A new name in tmp/. Not the pid: two containers may share a store and pids. */
export function temporaryPath(layout: Layout, owner: string): string {
  return join(layout.tmp, `${owner}-${randomBytes(8).toString('hex')}`)
}

/**
 * Gives a durable temporary file its name, replacing what stood there: equal bytes for a blob, so that a
 * damaged one heals. Folders are fsynced: the file's own, and once per process the one above (another
 * process may have made the folder and not yet got round to it).
 */
export class Publisher {
  readonly #synced = new Set<string>()

  async publish(from: string, to: string): Promise<void> {
    const folder = dirname(to)
    if (!this.#synced.has(folder)) {
      await makeFolder(folder)
      await syncFolder(dirname(folder))
      this.#synced.add(folder)
    }
    try {
      await rename(from, to)
    } catch (error) {
      if (errno(error) === 'EISDIR') throw folderInPlace(to, error)
      if (errno(error) !== 'ENOENT') throw error
      await makeFolder(folder) // someone tidied empty folders away
      await syncFolder(dirname(folder))
      await rename(from, to)
    }
    await syncFolder(folder)
  }
}

/** No crash of ours leaves one, so it may hold what somebody wants to keep. */
function folderInPlace(path: string, cause: unknown): ShardmillError {
  return new ShardmillError('STORE', `${path} is a folder, where the store keeps a file`, {
    hint: 'remove it, or have `shardmill store check` set it aside, and run the same command again; what is finished is kept',
    details: { path },
    cause,
  })
}

export class FileBlobWriter implements BlobWriter {
  readonly #layout: Layout
  readonly #publisher: Publisher
  readonly #path: string
  readonly #hash = startSha256()
  #handle: FileHandle | undefined
  #buffer: Uint8Array<ArrayBuffer> | undefined
  #buffered = 0
  #tail: Promise<void> = Promise.resolve()
  #state: 'open' | 'failed' | 'committed' | 'aborted' = 'open'
  bytes = 0

  private constructor(layout: Layout, publisher: Publisher, path: string, handle: FileHandle) {
    this.#layout = layout
    this.#publisher = publisher
    this.#path = path
    this.#handle = handle
  }

  static async create(layout: Layout, publisher: Publisher, owner: string): Promise<FileBlobWriter> {
    const path = temporaryPath(layout, owner)
    const handle = await openNew(path)
    return new FileBlobWriter(layout, publisher, path, handle)
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') return Promise.reject(this.#notOpen('write'))
    this.#hash.update(chunk)
    this.bytes += chunk.length
    return this.#then(() => this.#append(chunk))
  }

  async commit(): Promise<BlobRef> {
    if (this.#state !== 'open') throw this.#notOpen('commit')
    const ref = { digest: this.#hash.digest(), bytes: this.bytes }
    await this.#then(async () => {
      const handle = this.#handle!
      await this.#flush()
      await makeHandleReadOnly(handle)
      await syncFile(handle)
      this.#handle = undefined
      await handle.close()
      await this.#publisher.publish(this.#path, this.#layout.blob(ref.digest))
    })
    this.#state = 'committed'
    this.#freeBuffer()
    return ref
  }

  async abort(): Promise<void> {
    if (this.#state === 'committed' || this.#state === 'aborted') return
    this.#state = 'aborted'
    await this.#tail.catch(() => undefined)
    await this.#discard()
  }

  /** One step after the other; the first failure ends the writer and removes its file. */
  #then(step: () => Promise<void>): Promise<void> {
    const run = this.#tail.then(() => naming(this.#layout.root, step))
    this.#tail = run.catch(async (error) => {
      if (this.#state === 'open') this.#state = 'failed'
      await this.#discard()
      throw error
    })
    // Callers may abort instead of awaiting: no unhandled rejection for that.
    this.#tail.catch(() => undefined)
    return this.#tail
  }

  async #append(chunk: Uint8Array): Promise<void> {
    if (chunk.length >= WRITE_BUFFER) {
      await this.#flush()
      await writeAll(this.#handle!, chunk)
      return
    }
    this.#buffer ??= new Uint8Array(takeScratch(WRITE_BUFFER), 0, WRITE_BUFFER)
    let at = 0
    while (at < chunk.length) {
      const part = chunk.subarray(at, at + WRITE_BUFFER - this.#buffered)
      this.#buffer.set(part, this.#buffered)
      this.#buffered += part.length
      at += part.length
      if (this.#buffered === WRITE_BUFFER) await this.#flush()
    }
  }

  async #flush(): Promise<void> {
    if (this.#buffered === 0) return
    await writeAll(this.#handle!, this.#buffer!.subarray(0, this.#buffered))
    this.#buffered = 0
  }

  async #discard(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    this.#freeBuffer()
    if (handle !== undefined) await closeQuietly(handle)
    // Best effort: a left-over in tmp/ is swept later, the failure itself is what the caller must hear of.
    await removeIfThere(this.#path).catch(() => undefined)
  }

  #freeBuffer(): void {
    const buffer = this.#buffer
    this.#buffer = undefined
    if (buffer !== undefined) giveBack(buffer.buffer)
  }

  #notOpen(what: string): TypeError {
    return new TypeError(`cannot ${what}: this blob writer is ${this.#state}`)
  }
}

/** Size of a blob's file, or undefined when there is none (or something that is no file). */
export async function statBlobFile(path: string): Promise<number | undefined> {
  const stats = await statIfThere(path)
  return stats?.isFile() ? stats.size : undefined
}

/** Opens a blob. MISSING_BLOB when it is not there, CORRUPT_BLOB when something else stands in its place. */
export async function openBlobFile(
  layout: Layout,
  digest: Digest,
): Promise<{ handle: FileHandle; size: number }> {
  const path = layout.blob(digest)
  let handle: FileHandle
  try {
    handle = await openToRead(path)
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') throw missingBlob(layout, digest)
    throw error
  }
  try {
    const stats = await statHandle(handle)
    if (!stats.isFile()) throw corruptBlob(layout, digest, 'it is not a regular file')
    return { handle, size: stats.size }
  } catch (error) {
    await closeQuietly(handle)
    throw error
  }
}

/**
 * The blob in chunks of 1 MiB, each a buffer of its own unless `reuse`; the next one is read meanwhile. The last one
 * comes only once the digest agrees, or, with `hashedAs`, once it is clear that the file is still what was hashed.
 */
export async function* readBlobFile(
  layout: Layout,
  digest: Digest,
  { reuse = false, hashedAs, last = false }: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const { handle, size } = await naming(layout.root, () => openBlobFile(layout, digest))
  const free: Uint8Array[] = []
  const scratch: ArrayBuffer[] = []
  const chunk = () => {
    if (!reuse) return Buffer.allocUnsafeSlow(READ_CHUNK)
    const buffer = takeScratch(READ_CHUNK)
    scratch.push(buffer)
    return new Uint8Array(buffer, 0, READ_CHUNK)
  }
  const read = async (at: number) => {
    const into = free.pop() ?? chunk()
    return { into, got: await naming(layout.root, () => readAt(handle, into, at, shown)) }
  }
  const shown: Reading = { slow: false }
  let at = 0
  let reading: ReturnType<typeof read> | undefined
  try {
    const known = hashedAs !== undefined && (await identityOf(handle)) === hashedAs
    const hash = known ? undefined : startSha256()
    reading = read(at)
    let held: Uint8Array | undefined
    for (;;) {
      const { into, got } = await reading
      at += got
      const more = got === READ_CHUNK
      if (more) {
        reading = read(at)
        reading.catch(() => undefined) // met when it is waited for
      }
      hash?.update(into.subarray(0, got))
      if (!more) {
        if (hash === undefined) {
          if (at !== size || (await identityOf(handle)) !== hashedAs)
            throw corruptBlob(layout, digest, 'it was changed while it was read')
        } else {
          const found = hash.digest()
          if (found !== digest) throw corruptBlob(layout, digest, `its ${at} bytes hash to ${found}`)
        }
      }
      if (held !== undefined) {
        yield held
        if (reuse) free.push(held)
      }
      if (!more) {
        if (got > 0) yield into.subarray(0, got)
        return
      }
      held = into
    }
  } finally {
    await reading?.catch(() => undefined)
    for (const buffer of scratch) giveBack(buffer)
    await closeQuietly(handle)
    if (last) dropFromPageCache(layout.blob(digest))
  }
}

/** Which file this is, its size, and when it was last changed in any way: writing to a file sets its ctime. */
export async function identityOf(handle: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await statHandleExactly(handle)
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

/** The whole blob in one buffer, checked. */
export async function readBlobFileWhole(layout: Layout, digest: Digest): Promise<Uint8Array> {
  const { handle, size } = await openBlobFile(layout, digest)
  try {
    const bytes = Buffer.allocUnsafeSlow(size)
    const got = await readAt(handle, bytes, 0)
    const hash = startSha256()
    hash.update(bytes.subarray(0, got))
    const found = hash.digest()
    if (found !== digest) throw corruptBlob(layout, digest, `its ${got} bytes hash to ${found}`)
    return bytes
  } finally {
    await closeQuietly(handle)
  }
}

/** How a store names itself and its blobs to people. */
export type BlobPlaces = Pick<Layout, 'root' | 'blob'>

const HEAL = 'run `shardmill store check`: it sets damaged files aside, and the next build makes them again'

export function corruptBlob(layout: BlobPlaces, digest: Digest, why: string): ShardmillError {
  return new ShardmillError('CORRUPT_BLOB', `blob ${digest} is damaged: ${why}`, {
    at: { file: layout.blob(digest) },
    hint: HEAL,
    details: { digest },
  })
}

export function missingBlob(layout: BlobPlaces, digest: Digest): ShardmillError {
  return new ShardmillError('MISSING_BLOB', `blob ${digest} is not in the store ${layout.root}`, {
    hint: 'run the build again: what is missing is made again',
    details: { digest },
  })
}
