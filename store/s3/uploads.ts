/** Files sent in parts: nothing is visible before the last one has arrived. And uploads of the dead, for `gc`. */

import { ShardmillError } from '../../errors/index.ts'
import { startSha256 } from '../digest.ts'
import { inParallel } from '../entries.ts'
import { type FileHandle, readAt } from '../fs-calls.ts'
import type { BlobRef } from '../types.ts'
import { isMissing, isNotImplemented } from './errors.ts'
import type { PutResult, S3Requests } from './requests.ts'

const MIB = 1 << 20
/** From this size on a file is sent in parts. */
export const MULTIPART_FROM = 16 * MIB
/** S3 allows 10,000 parts. */
const MOST_PARTS = 9_000
const PARTS_AT_ONCE = 3

export interface Upload {
  readonly path: string
  readonly id: string
  readonly startedMs: number
}

/** Where the digest of a blob is noted beside it. */
export function noteOf(blob: BlobRef | undefined): { Metadata?: Record<string, string> } {
  return blob === undefined ? {} : { Metadata: { sha256: blob.digest } }
}

export class S3Uploads {
  readonly #requests: S3Requests

  constructor(requests: S3Requests) {
    this.#requests = requests
  }

  /** Sends an open file in parts, hashed on the way: one that changed since it was hashed is not made visible. */
  async put(path: string, handle: FileHandle, blob: BlobRef, ifAbsent: boolean): Promise<PutResult> {
    const { client, sdk } = this.#requests
    const at = this.#requests.at(path)
    const { UploadId } = await this.#requests.send(`POST ${path}`, () =>
      client.send(
        new sdk.CreateMultipartUploadCommand({
          ...at,
          ContentType: 'application/octet-stream',
          ...noteOf(blob),
        }),
      ),
    )
    const upload = { ...at, UploadId }
    let written: PutResult | undefined
    try {
      const parts: { PartNumber: number; ETag: string | undefined }[] = []
      const hash = startSha256()
      await inParallel(partsOf(handle, blob.bytes, hash), PARTS_AT_ONCE, async ({ number, bytes }) => {
        const { ETag } = await this.#requests.send(`PUT ${path} part ${number}`, () =>
          client.send(new sdk.UploadPartCommand({ ...upload, PartNumber: number, Body: bytes })),
        )
        parts.push({ PartNumber: number, ETag })
      })
      if (hash.digest() !== blob.digest) throw fileChanged(this.#requests.address.url)
      parts.sort((a, b) => a.PartNumber - b.PartNumber)
      written = await this.#requests.sendConditionally(`POST ${path}`, { ifAbsent }, async (headers) => {
        const { ETag = '' } = await client.send(
          new sdk.CompleteMultipartUploadCommand({
            ...upload,
            MultipartUpload: { Parts: parts },
            ...headers,
          }),
        )
        return ETag
      })
    } finally {
      // Parts of an upload that came to nothing take room, and cost, until somebody gives them up.
      if (written?.kind !== 'written') await this.abort(path, UploadId ?? '').catch(() => undefined)
    }
    return written
  }

  /** Uploads that were begun and neither finished nor given up; none where a server cannot tell. */
  async *list(below: string): AsyncGenerator<Upload> {
    const { client, sdk, bucket } = this.#requests
    let KeyMarker: string | undefined
    let UploadIdMarker: string | undefined
    do {
      const page = await this.#requests.send(`LIST uploads ${below}`, async () => {
        try {
          const Prefix = this.#requests.key(below)
          return await client.send(
            new sdk.ListMultipartUploadsCommand({ ...bucket, Prefix, KeyMarker, UploadIdMarker }),
          )
        } catch (error) {
          // Some servers answer so while a bucket has never seen an upload.
          if (isMissing(error) || isNotImplemented(error)) return undefined
          throw error
        }
      })
      for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined) continue
        yield { path: this.#requests.pathOf(Key), id: UploadId, startedMs: Initiated?.getTime() ?? 0 }
      }
      KeyMarker = page?.IsTruncated ? page.NextKeyMarker : undefined
      UploadIdMarker = page?.IsTruncated ? page.NextUploadIdMarker : undefined
    } while (KeyMarker !== undefined)
  }

  /** When the last part of an upload arrived; 0 when none has, or the upload is no more. */
  async lastPartMs(path: string, UploadId: string): Promise<number> {
    const { client, sdk } = this.#requests
    const at = this.#requests.at(path)
    let last = 0
    let PartNumberMarker: string | undefined
    do {
      const page = await this.#requests.sendIfThere(`LIST parts ${path}`, () =>
        client.send(new sdk.ListPartsCommand({ ...at, UploadId, PartNumberMarker })),
      )
      for (const { LastModified } of page?.Parts ?? []) last = Math.max(last, LastModified?.getTime() ?? 0)
      PartNumberMarker = page?.IsTruncated ? page.NextPartNumberMarker : undefined
    } while (PartNumberMarker !== undefined)
    return last
  }

  async abort(path: string, UploadId: string): Promise<void> {
    const { client, sdk } = this.#requests
    await this.#requests.sendIfThere(`DELETE ${path}`, () =>
      client.send(new sdk.AbortMultipartUploadCommand({ ...this.#requests.at(path), UploadId })),
    )
  }
}

/** A file of the store's cache that is no longer what was hashed. */
export function fileChanged(url: string): ShardmillError {
  return new ShardmillError('STORE', `a file for the store ${url} changed while it was sent`, {
    hint: 'look at the disk that holds the cache; run the same command again',
    retryable: true,
  })
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
