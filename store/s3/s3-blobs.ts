/**
 * Blobs in a bucket, with copies on the local disk.
 *
 * A blob's key is its digest, which is known only when its last byte is. So it is written to a local file first and
 * sent from there: an upload begins when the key is known, can be repeated from any byte, and costs no request
 * before that; nothing is ever visible under another name, and the file then serves as the local copy. (The other
 * way, parts sent while writing and then copied to the key, needs no disk but twice the requests, leaves objects of
 * the dead behind, and S3 copies at most 5 GiB at once.)
 *
 * Whoever sends a blob notes its digest beside it, so one look tells whether a whole one is there already; what
 * was put there by other means is written again. As some servers keep the note of an object that was replaced, the
 * ETag must agree as well where it is an MD5.
 */

import { createHash, type Hash, randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import { ShardmillError } from '../../errors/index.ts'
import { type BlobPlaces, corruptBlob, FileBlobWriter, missingBlob, Publisher } from '../blob-files.ts'
import { sha256, startSha256 } from '../digest.ts'
import {
  closeQuietly,
  errno,
  type FileHandle,
  makeHandleReadOnly,
  openNew,
  openToRead,
  removeIfThere,
  syncFile,
  writeAll,
} from '../fs-calls.ts'
import { type Expected, type ImportTarget, importFile } from '../import-file.ts'
import type { BlobRef, BlobWriter, Digest, ReadOptions } from '../types.ts'
import { blobPath, FOLDERS } from './address.ts'
import type { BlobCache } from './blob-cache.ts'
import { checkedChunks, fileChunks } from './blob-source.ts'
import type { LocalArea } from './local-area.ts'
import type { ObjectFacts, S3Objects } from './objects.ts'

/** Up to this size a blob is sent without looking first whether it is there. */
const LOOK_FIRST_FROM = 1 << 20

export class S3Blobs {
  readonly places: BlobPlaces
  readonly #objects: S3Objects
  readonly #local: LocalArea
  readonly #cache: BlobCache
  readonly #downloads = new Map<string, Promise<string>>()

  constructor(objects: S3Objects, local: LocalArea, cache: BlobCache) {
    this.#objects = objects
    this.#local = local
    this.#cache = cache
    const { url } = objects.address
    this.places = { root: url, blob: (digest) => `${url}/${blobPath(digest)}` }
  }

  async size(digest: Digest): Promise<number | undefined> {
    return (await this.#objects.head(blobPath(digest)))?.size
  }

  async putBytes(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { digest: sha256(bytes), bytes: bytes.length }
    await this.#send(ref, {
      put: (ifAbsent) => this.#objects.put(blobPath(ref.digest), bytes, { ifAbsent, blob: ref }),
      chunks: () => [bytes],
    })
    return ref
  }

  async writer(): Promise<BlobWriter> {
    const { layout } = this.#local
    const naming = <T>(work: () => Promise<T>) => this.#local.naming(work)
    const owner = await naming(() => this.#local.owner())
    const sender = new Sender((file) => this.#sendFile(file.path, file.ref))
    const file = await naming(() => FileBlobWriter.create(layout, sender, owner))
    return {
      write: (chunk) => naming(() => file.write(chunk)),
      get bytes() {
        return file.bytes
      },
      commit: () => {
        sender.bytes = file.bytes
        return naming(() => file.commit())
      },
      abort: () => file.abort(),
    }
  }

  /** Sends a durable local file and keeps it as the local copy. */
  async #sendFile(path: string, ref: BlobRef): Promise<void> {
    const handle = await openToRead(path)
    try {
      const etag = await this.#send(ref, this.#sourceOf(handle, ref))
      await this.#cache.keep(path, ref.digest, etag)
    } finally {
      await closeQuietly(handle)
    }
  }

  #sourceOf(handle: FileHandle, ref: BlobRef): Source {
    return {
      put: (ifAbsent) => this.#objects.putFile(blobPath(ref.digest), handle, ref, ifAbsent),
      chunks: () => fileChunks(handle, { keepOpen: true }),
    }
  }

  /** Makes a whole blob stand under its key, unless one does; its ETag. */
  async #send(ref: BlobRef, source: Source): Promise<string> {
    const path = blobPath(ref.digest)
    let there = ref.bytes < LOOK_FIRST_FROM ? undefined : await this.#objects.head(path)
    if (there === undefined) {
      const result = await source.put(true)
      if (result.kind === 'written') return this.#writtenTag(ref, result.etag)
      there = await this.#objects.head(path)
    }
    if (there !== undefined && (await isWhole(there, ref, source))) return there.etag
    // A damaged one, or one that came there by other means: equal bytes are written over it.
    const result = await source.put(false)
    return this.#writtenTag(ref, result.kind === 'written' ? result.etag : '')
  }

  /** Some servers give an upload in parts another ETag than the finished object. */
  async #writtenTag(ref: BlobRef, etag: string): Promise<string> {
    if (etag !== '' && !/-\d+"?$/.test(etag)) return etag
    const found = await this.#objects.head(blobPath(ref.digest))
    if (found === undefined) throw missingBlob(this.places, ref.digest)
    return found.etag
  }

  async *read(digest: Digest, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const copy = await this.#openCopy(digest)
    if (copy !== undefined) {
      const damaged = async (why: string) => {
        await this.#cache.drop(digest)
        return corruptBlob(this.places, digest, `in the local copy, ${why}`)
      }
      yield* this.#chunks(fileChunks(copy), digest, damaged, options)
      return
    }
    const found = await this.#objects.get(blobPath(digest))
    if (found === undefined) throw missingBlob(this.places, digest)
    yield* this.#chunks(found.body, digest, (why) => corruptBlob(this.places, digest, why), options)
  }

  async *#chunks(...args: Parameters<typeof checkedChunks>): AsyncGenerator<Uint8Array> {
    const chunks = checkedChunks(...args)
    try {
      for (;;) {
        const next = await this.#local.naming(() => chunks.next())
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await chunks.return(undefined)
    }
  }

  async readWhole(digest: Digest): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for await (const chunk of this.read(digest)) parts.push(chunk)
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Opens the local copy of the object that stands in the bucket now. */
  async #openCopy(digest: Digest): Promise<FileHandle | undefined> {
    return this.#local.naming(async () => {
      if (!(await this.#cache.mayHave(digest))) return undefined
      const facts = await this.#objects.head(blobPath(digest))
      if (facts === undefined) throw missingBlob(this.places, digest)
      const path = await this.#cache.find(digest, facts.etag, facts.size)
      if (path === undefined) return undefined
      try {
        return await openToRead(path)
      } catch (error) {
        if (errno(error) === 'ENOENT') return undefined
        throw error
      }
    })
  }

  async localFile(digest: Digest, bytes: number | undefined): Promise<string> {
    const facts = await this.#objects.head(blobPath(digest))
    if (facts === undefined) throw missingBlob(this.places, digest)
    if (bytes !== undefined && facts.size !== bytes) {
      throw corruptBlob(this.places, digest, `it has ${facts.size} bytes, expected ${bytes}`)
    }
    if (facts.size === 0 && digest !== sha256('')) throw corruptBlob(this.places, digest, 'it is empty')
    return this.#local.naming(async () => {
      const copy = await this.#cache.find(digest, facts.etag, facts.size)
      return copy ?? (await this.#download(digest, facts.etag))
    })
  }

  /** Several who want the same blob at once wait for one download. */
  #download(digest: Digest, etag: string): Promise<string> {
    const name = `${digest}.${etag}`
    let download = this.#downloads.get(name)
    if (download === undefined) {
      download = this.#fetch(digest).finally(() => this.#downloads.delete(name))
      this.#downloads.set(name, download)
    }
    return download
  }

  async #fetch(digest: Digest): Promise<string> {
    const temporary = await this.#local.temporary()
    const found = await this.#objects.get(blobPath(digest))
    if (found === undefined) throw missingBlob(this.places, digest)
    try {
      const hash = startSha256()
      const handle = await openNew(temporary)
      try {
        for await (const chunk of found.body) {
          hash.update(chunk)
          await writeAll(handle, chunk)
        }
        const digestFound = hash.digest()
        if (digestFound !== digest) {
          throw corruptBlob(this.places, digest, `its ${found.size} bytes hash to ${digestFound}`)
        }
        await makeHandleReadOnly(handle)
        await syncFile(handle)
      } finally {
        await closeQuietly(handle)
      }
      const path = await this.#cache.keep(temporary, digest, found.etag)
      if (path !== undefined) return path
    } catch (error) {
      await removeIfThere(temporary).catch(() => undefined)
      throw error
    }
    throw new ShardmillError('STORE', `a copy of blob ${digest} vanished from the local cache`, {
      hint: 'something removes files from the cache while it is used; run the same command again',
      retryable: true,
    })
  }

  importFile(path: string, expect: Expected): Promise<BlobRef> {
    const target: ImportTarget = {
      layout: this.#local.layout,
      sizeOf: (digest) => this.size(digest),
      createBlob: () => this.writer(),
      moveIn: async (handle, path, ref) => {
        const etag = await this.#send(ref, this.#sourceOf(handle, ref))
        // Not before: a part file left by a crash in between must stay writable for whoever goes on with it.
        await makeHandleReadOnly(handle)
        await this.#cache.keep(path, ref.digest, etag)
      },
    }
    return this.#local.naming(async () => {
      // The scratch folder is made with the lease that names its owner.
      await this.#local.owner()
      return importFile(target, path, expect)
    })
  }

  async discard(digest: Digest): Promise<void> {
    // A copy may be what was damaged: it is fetched again when it is wanted.
    await this.#local.naming(() => this.#cache.drop(digest))
    const found = await this.#objects.get(blobPath(digest))
    if (found === undefined) return
    const hash = startSha256()
    for await (const chunk of found.body) hash.update(chunk)
    if (hash.digest() !== digest) await this.quarantine(blobPath(digest), found)
  }

  /** Out of sight; with `facts` only the object that has their ETag, for another process may have healed it. */
  async quarantine(path: string, facts?: ObjectFacts): Promise<string | undefined> {
    const seen = facts ?? (await this.#objects.head(path))
    if (seen === undefined) return undefined
    const place = `${FOLDERS.quarantine}${basename(path)}-${randomBytes(4).toString('hex')}`
    // No copy (too large for one request, no room): out of sight matters more than keeping the evidence.
    const kept = await this.#objects.copy(path, place, seen).catch(() => false)
    const removed = await this.#objects.delete(path, seen.etag)
    if (kept && !removed) await this.#objects.delete(place)
    return kept && removed ? place : undefined
  }
}

/** A blob's bytes as they lie here. */
interface Source {
  put(ifAbsent: boolean): ReturnType<S3Objects['put']>
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

async function isWhole(there: ObjectFacts, ref: BlobRef, source: Source): Promise<boolean> {
  if (there.size !== ref.bytes || there.sha256 !== ref.digest) return false
  const hash = there.md5 === undefined ? undefined : md5IfAllowed()
  if (hash === undefined) return true
  for await (const chunk of source.chunks()) hash.update(chunk)
  return hash.digest('hex') === there.md5
}

/** Undefined where a policy of the system (FIPS) forbids MD5. */
function md5IfAllowed(): Hash | undefined {
  try {
    return createHash('md5')
  } catch {
    return undefined
  }
}

/** Where a finished file would get its name, it is sent. */
class Sender extends Publisher {
  bytes = 0
  readonly #send: (file: { path: string; ref: BlobRef }) => Promise<void>

  constructor(send: (file: { path: string; ref: BlobRef }) => Promise<void>) {
    super()
    this.#send = send
  }

  override async publish(from: string, to: string): Promise<void> {
    await this.#send({ path: from, ref: { digest: basename(to) as Digest, bytes: this.bytes } })
    // Another writer of the same blob may stand where the copy would have gone; then this file is not needed.
    await removeIfThere(from)
  }
}
