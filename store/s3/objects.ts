/** The requests a store in a bucket is made of. Paths are keys without the store's prefix. */

import { setTimeout as pause } from 'node:timers/promises'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { ShardmillError } from '../../errors/index.ts'
import { startSha256 } from '../digest.ts'
import { inParallel } from '../entries.ts'
import { type FileHandle, readAt } from '../fs-calls.ts'
import type { BlobRef } from '../types.ts'
import type { S3Address } from './address.ts'
import type { S3Connection } from './connection.ts'
import { isConditionConflict, isConditionFailed, isMissing, isNotImplemented, s3Error } from './errors.ts'

const MIB = 1 << 20
/** From this size on a file is sent in parts. */
export const MULTIPART_FROM = 16 * MIB
/** S3 allows 10,000 parts. */
const MOST_PARTS = 9_000
const PARTS_AT_ONCE = 3
/** A stream that brings nothing for this long is taken up anew. */
const IDLE_MS = 60_000
const MOST_RESUMES = 6
const MOST_CONFLICTS = 5

export interface ObjectFacts {
  readonly size: number
  readonly etag: string
  /** By the server's clock. */
  readonly mtimeMs: number
  /** The digest its writer noted beside it, once it had sent exactly these bytes. */
  readonly sha256: string | undefined
  /** MD5 of the bytes, where the ETag is one: not of uploads in parts, nor under a key of the server's. */
  readonly md5: string | undefined
}

export interface ObjectBody extends ObjectFacts {
  /** To be read to its end, or ended early: it holds a connection. */
  readonly body: AsyncGenerator<Uint8Array>
}

export interface ListedObject {
  readonly path: string
  readonly size: number
  readonly mtimeMs: number
}

export interface PutOptions {
  /** Only where nothing stands yet. A server that does not know such conditions writes in any case. */
  readonly ifAbsent?: boolean
  /** Only in place of what has this ETag. */
  readonly ifMatch?: string
  readonly contentType?: string
  readonly blob?: BlobRef
}

/** ETag of what was written, or that the condition did not hold. */
export type PutResult = { readonly kind: 'written'; readonly etag: string } | { readonly kind: 'refused' }

export class S3Objects {
  readonly address: S3Address
  readonly #connection: S3Connection
  readonly #at: { readonly Bucket: string }
  /** Until the server says that it knows no conditional writes. */
  #conditions = true

  constructor(connection: S3Connection, address: S3Address) {
    this.#connection = connection
    this.address = address
    this.#at = { Bucket: address.bucket }
  }

  close(): void {
    this.#connection.client.destroy()
  }

  /** Undefined when there is no such object. */
  async head(path: string): Promise<ObjectFacts | undefined> {
    const { client, sdk } = this.#connection
    return this.#request(`HEAD ${path}`, async () => {
      try {
        return factsOf(await client.send(new sdk.HeadObjectCommand({ ...this.#at, Key: this.#key(path) })))
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    })
  }

  /** The object's bytes; a broken stream goes on where it broke. Undefined when there is no such object. */
  async get(path: string): Promise<ObjectBody | undefined> {
    const first = await this.#get(path, 0, undefined)
    if (first === undefined) return undefined
    return { ...factsOf(first), body: this.#read(path, first) }
  }

  async #get(
    path: string,
    from: number,
    etag: string | undefined,
  ): Promise<GetObjectCommandOutput | undefined> {
    const { client, sdk } = this.#connection
    return this.#request(`GET ${path}`, async () => {
      try {
        return await client.send(
          new sdk.GetObjectCommand({
            ...this.#at,
            Key: this.#key(path),
            ...(from === 0 ? {} : { Range: `bytes=${from}-` }),
            ...(etag === undefined ? {} : { IfMatch: etag }),
          }),
        )
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    })
  }

  async *#read(path: string, first: GetObjectCommandOutput): AsyncGenerator<Uint8Array> {
    const { size, etag } = factsOf(first)
    let stream = streamOf(first)
    let at = 0
    let failures = 0
    try {
      while (at < size) {
        try {
          const chunk = await nextChunk(stream)
          if (chunk === undefined) throw new Error('the stream ended before its time: premature close')
          at += chunk.length
          failures = 0
          yield chunk
        } catch (error) {
          stream.end()
          failures += 1
          if (failures > MOST_RESUMES) throw s3Error(error, this.address.url, `GET ${path}`)
          await pause(100 * 2 ** failures * Math.random())
          const next = await this.#get(path, at, etag)
          if (next === undefined || factsOf(next).etag !== etag) throw this.#changed(path)
          stream = streamOf(next)
        }
      }
    } finally {
      stream.end()
    }
  }

  #changed(path: string): ShardmillError {
    return new ShardmillError('STORE', `${this.address.url}/${path} was replaced while it was read`, {
      hint: 'run the same command again',
      retryable: true,
    })
  }

  /** A small object whole, or undefined; `most` bytes of it at most. */
  async getBytes(path: string, most: number): Promise<(ObjectFacts & { bytes: Buffer }) | undefined> {
    const found = await this.get(path)
    if (found === undefined) return undefined
    const parts: Uint8Array[] = []
    let length = 0
    for await (const chunk of found.body) {
      parts.push(chunk)
      length += chunk.length
      if (length > most) break
    }
    const { body: _, ...facts } = found
    return { ...facts, bytes: Buffer.concat(parts).subarray(0, most) }
  }

  async put(path: string, bytes: Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    const { client, sdk } = this.#connection
    return this.#conditionally(`PUT ${path}`, options, async (condition) => {
      const { ETag: etag = '' } = await client.send(
        new sdk.PutObjectCommand({
          ...this.#at,
          Key: this.#key(path),
          Body: bytes,
          ContentType: options.contentType ?? 'application/octet-stream',
          ...noteOf(options.blob),
          ...(options.blob === undefined
            ? {}
            : { ChecksumSHA256: Buffer.from(options.blob.digest, 'hex').toString('base64') }),
          ...condition,
        }),
      )
      return etag
    })
  }

  /**
   * Sends an open file, in parts when it is large: nothing is visible before the last one has arrived. What is sent
   * is hashed on the way; a file that changed since it was hashed is not made visible.
   */
  async putFile(path: string, handle: FileHandle, blob: BlobRef, ifAbsent: boolean): Promise<PutResult> {
    if (blob.bytes < MULTIPART_FROM) {
      const bytes = Buffer.allocUnsafe(blob.bytes)
      const got = await readAt(handle, bytes, 0)
      const hash = startSha256()
      hash.update(bytes.subarray(0, got))
      if (hash.digest() !== blob.digest) throw this.#unsteady()
      return this.put(path, bytes, { ifAbsent, blob })
    }
    const { client, sdk } = this.#connection
    const Key = this.#key(path)
    const { UploadId } = await this.#request(`POST ${path}`, () =>
      client.send(
        new sdk.CreateMultipartUploadCommand({
          ...this.#at,
          Key,
          ContentType: 'application/octet-stream',
          ...noteOf(blob),
        }),
      ),
    )
    const upload = { ...this.#at, Key, UploadId }
    let written: PutResult | undefined
    try {
      const parts: { PartNumber: number; ETag: string | undefined }[] = []
      const hash = startSha256()
      await inParallel(partsOf(handle, blob.bytes, hash), PARTS_AT_ONCE, async ({ number, bytes }) => {
        const { ETag } = await this.#request(`PUT ${path} part ${number}`, () =>
          client.send(new sdk.UploadPartCommand({ ...upload, PartNumber: number, Body: bytes })),
        )
        parts.push({ PartNumber: number, ETag })
      })
      if (hash.digest() !== blob.digest) throw this.#unsteady()
      parts.sort((a, b) => a.PartNumber - b.PartNumber)
      written = await this.#conditionally(`POST ${path}`, { ifAbsent }, async (condition) => {
        const { ETag = '' } = await client.send(
          new sdk.CompleteMultipartUploadCommand({
            ...upload,
            MultipartUpload: { Parts: parts },
            ...condition,
          }),
        )
        return ETag
      })
    } finally {
      // Parts of an upload that came to nothing take room, and cost, until somebody gives them up.
      if (written?.kind !== 'written') await this.abortUpload(path, UploadId ?? '').catch(() => undefined)
    }
    return written
  }

  #unsteady(): ShardmillError {
    return new ShardmillError('STORE', `a file for the store ${this.address.url} changed while it was sent`, {
      hint: 'look at the disk that holds the cache; run the same command again',
      retryable: true,
    })
  }

  /** Copies within the store; onto itself it only renews the object's time. False when there is nothing to copy. */
  async copy(from: string, to: string, facts: ObjectFacts): Promise<boolean> {
    const { client, sdk } = this.#connection
    return this.#request(`PUT ${to}`, async () => {
      try {
        await client.send(
          new sdk.CopyObjectCommand({
            ...this.#at,
            Key: this.#key(to),
            CopySource: encodeURI(`${this.address.bucket}/${this.#key(from)}`).replaceAll('+', '%2B'),
            CopySourceIfMatch: facts.etag,
            ...(from === to
              ? {
                  MetadataDirective: 'REPLACE',
                  ...(facts.sha256 === undefined ? {} : { Metadata: { sha256: facts.sha256 } }),
                }
              : {}),
          }),
        )
        return true
      } catch (error) {
        if (isMissing(error) || isConditionFailed(error)) return false
        throw error
      }
    })
  }

  /** Removes an object, or only the one with this ETag; false when another one stands there now. */
  async delete(path: string, etag?: string): Promise<boolean> {
    const { client, sdk } = this.#connection
    const result = await this.#conditionally(
      `DELETE ${path}`,
      etag === undefined ? {} : { ifMatch: etag },
      async (condition) => {
        await client.send(
          new sdk.DeleteObjectCommand({ ...this.#at, Key: this.#key(path), IfMatch: condition.IfMatch }),
        )
        return ''
      },
    )
    return result.kind === 'written'
  }

  /** All objects below a path, in the order of their names. */
  async *list(below: string): AsyncGenerator<ListedObject> {
    const { client, sdk } = this.#connection
    let ContinuationToken: string | undefined
    do {
      const page = await this.#request(`LIST ${below}`, () =>
        client.send(
          new sdk.ListObjectsV2Command({ ...this.#at, Prefix: this.#key(below), ContinuationToken }),
        ),
      )
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue
        const path = Key.slice(this.address.prefix.length)
        yield { path, size: Size ?? 0, mtimeMs: LastModified?.getTime() ?? 0 }
      }
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (ContinuationToken !== undefined)
  }

  /** Names of the folders right below the store's root, as `v1`. */
  async topFolders(): Promise<string[]> {
    const { client, sdk } = this.#connection
    const Prefix = this.address.prefix
    const page = await this.#request('LIST', () =>
      client.send(new sdk.ListObjectsV2Command({ ...this.#at, Prefix: `${Prefix}v`, Delimiter: '/' })),
    )
    return (page.CommonPrefixes ?? []).map((common) => (common.Prefix ?? '').slice(Prefix.length, -1))
  }

  /** Uploads in parts that were begun and neither finished nor given up; none where a server cannot tell. */
  async *uploads(below: string): AsyncGenerator<{ path: string; id: string; startedMs: number }> {
    const { client, sdk } = this.#connection
    let KeyMarker: string | undefined
    let UploadIdMarker: string | undefined
    do {
      const page = await this.#request(`LIST uploads ${below}`, async () => {
        try {
          return await client.send(
            new sdk.ListMultipartUploadsCommand({
              ...this.#at,
              Prefix: this.#key(below),
              KeyMarker,
              UploadIdMarker,
            }),
          )
        } catch (error) {
          // Some servers answer so while a bucket has never seen an upload.
          if (isMissing(error) || isNotImplemented(error)) return undefined
          throw error
        }
      })
      for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined) continue
        const path = Key.slice(this.address.prefix.length)
        yield { path, id: UploadId, startedMs: Initiated?.getTime() ?? 0 }
      }
      KeyMarker = page?.IsTruncated ? page.NextKeyMarker : undefined
      UploadIdMarker = page?.IsTruncated ? page.NextUploadIdMarker : undefined
    } while (KeyMarker !== undefined)
  }

  /** When the last part of an upload arrived; 0 when none has, or the upload is no more. */
  async lastPartMs(path: string, UploadId: string): Promise<number> {
    const { client, sdk } = this.#connection
    let last = 0
    let PartNumberMarker: string | undefined
    do {
      const page = await this.#request(`LIST parts ${path}`, async () => {
        try {
          return await client.send(
            new sdk.ListPartsCommand({ ...this.#at, Key: this.#key(path), UploadId, PartNumberMarker }),
          )
        } catch (error) {
          if (isMissing(error)) return undefined
          throw error
        }
      })
      for (const { LastModified } of page?.Parts ?? []) last = Math.max(last, LastModified?.getTime() ?? 0)
      PartNumberMarker = page?.IsTruncated ? page.NextPartNumberMarker : undefined
    } while (PartNumberMarker !== undefined)
    return last
  }

  async abortUpload(path: string, UploadId: string): Promise<void> {
    const { client, sdk } = this.#connection
    await this.#request(`DELETE ${path}`, async () => {
      try {
        await client.send(
          new sdk.AbortMultipartUploadCommand({ ...this.#at, Key: this.#key(path), UploadId }),
        )
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    })
  }

  #key(path: string): string {
    return this.address.prefix + path
  }

  async #conditionally(
    what: string,
    options: PutOptions,
    send: (condition: { IfNoneMatch?: string; IfMatch?: string }) => Promise<string>,
  ): Promise<PutResult> {
    const { ifAbsent = false, ifMatch } = options
    const asked = ifAbsent || ifMatch !== undefined
    return this.#request(what, async () => {
      for (let conflicts = 0; ; ) {
        const condition = {
          ...(ifAbsent && this.#conditions ? { IfNoneMatch: '*' } : {}),
          ...(ifMatch !== undefined && this.#conditions ? { IfMatch: ifMatch } : {}),
        }
        try {
          return { kind: 'written', etag: await send(condition) }
        } catch (error) {
          if (asked && this.#conditions && isNotImplemented(error)) {
            this.#conditions = false
          } else if (asked && isConditionConflict(error) && conflicts < MOST_CONFLICTS) {
            conflicts += 1
            await pause(50 * 2 ** conflicts * Math.random())
          } else if (asked && (isConditionFailed(error) || (ifMatch !== undefined && isMissing(error)))) {
            return { kind: 'refused' }
          } else {
            throw error
          }
        }
      }
    })
  }

  async #request<T>(what: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send()
    } catch (error) {
      throw s3Error(error, this.address.url, what)
    }
  }
}

function noteOf(blob: BlobRef | undefined): { Metadata?: Record<string, string> } {
  return blob === undefined ? {} : { Metadata: { sha256: blob.digest } }
}

function factsOf(answer: {
  ContentLength?: number | undefined
  ETag?: string | undefined
  LastModified?: Date | undefined
  Metadata?: Record<string, string> | undefined
  ServerSideEncryption?: string | undefined
}): ObjectFacts {
  const isPlain = answer.ServerSideEncryption === undefined || answer.ServerSideEncryption === 'AES256'
  return {
    size: answer.ContentLength ?? 0,
    etag: answer.ETag ?? '',
    mtimeMs: answer.LastModified?.getTime() ?? 0,
    sha256: answer.Metadata?.['sha256'],
    md5: isPlain ? /^"?([0-9a-f]{32})"?$/.exec(answer.ETag ?? '')?.[1] : undefined,
  }
}

interface ChunkStream {
  readonly chunks: AsyncIterator<Uint8Array>
  end(): void
}

function streamOf(answer: GetObjectCommandOutput): ChunkStream {
  // In Node the body is a stream of the http module.
  const body = answer.Body as unknown as AsyncIterable<Uint8Array> & { destroy(): void }
  return { chunks: body[Symbol.asyncIterator](), end: () => body.destroy() }
}

async function nextChunk(stream: ChunkStream): Promise<Uint8Array | undefined> {
  const idle = new AbortController()
  const silence = pause(IDLE_MS, undefined, { signal: idle.signal, ref: false }).then(() => {
    throw Object.assign(new Error('no data came for a while'), { code: 'ETIMEDOUT' })
  })
  silence.catch(() => undefined)
  try {
    const next = await Promise.race([stream.chunks.next(), silence])
    return next.done === true ? undefined : next.value
  } finally {
    idle.abort()
  }
}

/** The file in parts, read and hashed in order. */
async function* partsOf(
  handle: FileHandle,
  size: number,
  hash: { update(chunk: Uint8Array): void },
): AsyncGenerator<{ number: number; bytes: Buffer }> {
  const partSize = Math.max(MULTIPART_FROM, Math.ceil(size / MOST_PARTS / MIB) * MIB)
  for (let at = 0, number = 1; at < size; at += partSize, number += 1) {
    const bytes = Buffer.allocUnsafe(Math.min(partSize, size - at))
    const got = await readAt(handle, bytes, at)
    hash.update(bytes.subarray(0, got))
    yield { number, bytes: bytes.subarray(0, got) }
  }
}
