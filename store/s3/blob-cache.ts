/**
 * Copies of blobs on the local disk, up to a bound; the least recently used go first. A copy's name holds the ETag
 * of the object it is a copy of, so that an object that was replaced (damaged, say) never passes for its copy.
 *
 * A file handed out lately stays: whoever got its path has yet to open it. Once open, a file may be removed without
 * its reader noticing. So the bound may be passed for that time.
 */

import { join } from 'node:path'
import { errno, list, makeFolder, removeIfThere, rename, setTimes, stat, statIfThere } from '../fs-calls.ts'
import type { Layout } from '../layout.ts'
import type { Digest } from '../types.ts'

export interface CacheBounds {
  readonly bytes: number
  /** A file used less than this ago stays. */
  readonly graceMs: number
}

interface Copy {
  readonly path: string
  readonly size: number
  readonly mtimeMs: number
}

/** After this share of the bound was added, other processes may have added as much: count anew. */
const COUNT_AGAIN = 20

export class BlobCache {
  readonly #layout: Layout
  readonly #bounds: CacheBounds
  /** What lay there when it was last counted, and what this process added since. */
  #counted: number | undefined
  #added = 0
  #evicting: Promise<void> | undefined

  constructor(layout: Layout, bounds: CacheBounds) {
    this.#layout = layout
    this.#bounds = bounds
  }

  /** The copy of an object, marked as used; undefined when there is none of this size. */
  async find(digest: Digest, etag: string, size: number): Promise<string | undefined> {
    const path = this.#path(digest, etag)
    const stats = await statIfThere(path)
    if (!stats?.isFile() || stats.size !== size) return undefined
    try {
      await setTimes(path, new Date())
      return path
    } catch (error) {
      if (errno(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** True when there may be a copy: of this object or of one that stood in its place. */
  async mayHave(digest: Digest): Promise<boolean> {
    return (await this.#copiesOf(digest)).length > 0
  }

  /** Takes a durable file in as a copy. Undefined when the file is gone: another process took it. */
  async keep(file: string, digest: Digest, etag: string): Promise<string | undefined> {
    const path = this.#path(digest, etag)
    try {
      await setTimes(file, new Date())
      const { size } = await stat(file)
      await makeFolder(this.#folder(digest))
      await rename(file, path)
      this.#added += size
    } catch (error) {
      if (errno(error) === 'ENOENT') return undefined
      throw error
    }
    await this.#keepBound()
    return path
  }

  async drop(digest: Digest): Promise<void> {
    for (const path of await this.#copiesOf(digest)) await removeIfThere(path)
  }

  async #keepBound(): Promise<void> {
    const { bytes } = this.#bounds
    const within = this.#counted !== undefined && this.#counted + this.#added <= bytes
    if (within && this.#added < bytes / COUNT_AGAIN) return
    // What cannot be removed now is no reason to fail: the next one tries again.
    this.#evicting ??= this.#evict()
      .catch(() => undefined)
      .finally(() => {
        this.#evicting = undefined
      })
    await this.#evicting
  }

  async #evict(): Promise<void> {
    const copies: Copy[] = []
    for (const { name } of await list(this.#layout.blobs)) {
      const folder = join(this.#layout.blobs, name)
      for (const entry of await list(folder)) {
        const path = join(folder, entry.name)
        const stats = await statIfThere(path)
        if (stats !== undefined) copies.push({ path, size: stats.size, mtimeMs: stats.mtimeMs })
      }
    }
    let total = copies.reduce((sum, copy) => sum + copy.size, 0)
    const before = Date.now() - this.#bounds.graceMs
    // A little more than needed, so that not every new file counts and removes.
    const goal = total > this.#bounds.bytes ? this.#bounds.bytes * 0.9 : total
    for (const copy of copies.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= goal || copy.mtimeMs > before) break
      await removeIfThere(copy.path)
      total -= copy.size
    }
    this.#counted = total
    this.#added = 0
  }

  async #copiesOf(digest: Digest): Promise<string[]> {
    const names = (await list(this.#folder(digest))).map((entry) => entry.name)
    return names
      .filter((name) => name.startsWith(`${digest}.`))
      .map((name) => join(this.#folder(digest), name))
  }

  #folder(digest: Digest): string {
    return join(this.#layout.blobs, digest.slice(0, 2))
  }

  #path(digest: Digest, etag: string): string {
    return join(this.#folder(digest), `${digest}.${etag.replace(/[^A-Za-z0-9-]+/g, '').slice(0, 100)}`)
  }
}
