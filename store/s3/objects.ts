/** The objects a store in a bucket is made of. Paths are keys without the store's prefix. */

import { startSha256 } from '../digest.ts'
import { type FileHandle, readAt } from '../fs-calls.ts'
import type { BlobRef } from '../types.ts'
import type { S3Address } from './address.ts'
import type { S3Connection } from './connection.ts'
import { isConditionFailed, isMissing } from './errors.ts'
import { factsOf, type ObjectBody, type ObjectFacts, openObject } from './object-body.ts'
import { type Condition, type PutResult, S3Requests } from './requests.ts'
import { fileChanged, MULTIPART_FROM, noteOf, S3Uploads } from './uploads.ts'

export type { ObjectBody, ObjectFacts } from './object-body.ts'
export type { PutResult } from './requests.ts'

export interface ListedObject {
  readonly path: string
  readonly size: number
  readonly mtimeMs: number
}

export interface PutOptions extends Condition {
  readonly contentType?: string
  readonly blob?: BlobRef
}

export class S3Objects {
  readonly uploads: S3Uploads
  readonly #requests: S3Requests

  constructor(connection: S3Connection, address: S3Address) {
    this.#requests = new S3Requests(connection, address)
    this.uploads = new S3Uploads(this.#requests)
  }

  get address(): S3Address {
    return this.#requests.address
  }

  close(): void {
    this.#requests.client.destroy()
  }

  /** Undefined when there is no such object. */
  async head(path: string): Promise<ObjectFacts | undefined> {
    const { client, sdk } = this.#requests
    const answer = await this.#requests.sendIfThere(`HEAD ${path}`, () =>
      client.send(new sdk.HeadObjectCommand(this.#requests.at(path))),
    )
    return answer && factsOf(answer)
  }

  /** The object's bytes; a broken stream goes on where it broke. Undefined when there is no such object. */
  get(path: string): Promise<ObjectBody | undefined> {
    return openObject(this.#requests, path)
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
    const { client, sdk } = this.#requests
    const { blob, contentType = 'application/octet-stream' } = options
    return this.#requests.sendConditionally(`PUT ${path}`, options, async (headers) => {
      const { ETag: etag = '' } = await client.send(
        new sdk.PutObjectCommand({
          ...this.#requests.at(path),
          Body: bytes,
          ContentType: contentType,
          ...noteOf(blob),
          ...(blob === undefined
            ? {}
            : { ChecksumSHA256: Buffer.from(blob.digest, 'hex').toString('base64') }),
          ...headers,
        }),
      )
      return etag
    })
  }

  /** Sends an open file, in parts when it is large. A file that changed since it was hashed is not made visible. */
  async putFile(path: string, handle: FileHandle, blob: BlobRef, ifAbsent: boolean): Promise<PutResult> {
    if (blob.bytes >= MULTIPART_FROM) return this.uploads.put(path, handle, blob, ifAbsent)
    const bytes = Buffer.allocUnsafe(blob.bytes)
    const got = await readAt(handle, bytes, 0)
    const hash = startSha256()
    hash.update(bytes.subarray(0, got))
    if (hash.digest() !== blob.digest) throw fileChanged(this.address.url)
    return this.put(path, bytes, { ifAbsent, blob })
  }

  /** Copies within the store; onto itself it only renews the object's time. False when there is nothing to copy. */
  async copy(from: string, to: string, facts: ObjectFacts): Promise<boolean> {
    const { client, sdk, address } = this.#requests
    return this.#requests.send(`PUT ${to}`, async () => {
      try {
        await client.send(
          new sdk.CopyObjectCommand({
            ...this.#requests.at(to),
            CopySource: encodeURI(`${address.bucket}/${this.#requests.key(from)}`).replaceAll('+', '%2B'),
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
    const { client, sdk } = this.#requests
    const condition = etag === undefined ? {} : { ifMatch: etag }
    const result = await this.#requests.sendConditionally(
      `DELETE ${path}`,
      condition,
      async ({ IfMatch }) => {
        await client.send(new sdk.DeleteObjectCommand({ ...this.#requests.at(path), IfMatch }))
        return ''
      },
    )
    return result.kind === 'written'
  }

  /** All objects below a path, in the order of their names. */
  async *list(below: string): AsyncGenerator<ListedObject> {
    const { client, sdk, bucket } = this.#requests
    let ContinuationToken: string | undefined
    do {
      const page = await this.#requests.send(`LIST ${below}`, () =>
        client.send(
          new sdk.ListObjectsV2Command({ ...bucket, Prefix: this.#requests.key(below), ContinuationToken }),
        ),
      )
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue
        yield { path: this.#requests.pathOf(Key), size: Size ?? 0, mtimeMs: LastModified?.getTime() ?? 0 }
      }
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (ContinuationToken !== undefined)
  }

  /** Names of the folders right below the store's root, as `v1`. */
  async topFolders(): Promise<string[]> {
    const { client, sdk, bucket } = this.#requests
    const Prefix = this.#requests.key('v')
    const page = await this.#requests.send('LIST', () =>
      client.send(new sdk.ListObjectsV2Command({ ...bucket, Prefix, Delimiter: '/' })),
    )
    return (page.CommonPrefixes ?? []).map((common) =>
      this.#requests.pathOf(common.Prefix ?? '').slice(0, -1),
    )
  }
}
