/** Requests to one bucket: names below the store's prefix, failures in words, and writes that depend on what stands there. */

import { setTimeout as pause } from 'node:timers/promises'
import type { S3Client } from '@aws-sdk/client-s3'
import type { S3Address } from './address.ts'
import type { S3Connection, Sdk } from './connection.ts'
import { isConditionConflict, isConditionFailed, isMissing, isNotImplemented, s3Error } from './errors.ts'

const MOST_CONFLICTS = 5

/** What has to hold for a write to be done. */
export interface Condition {
  /** Only where nothing stands yet. A server that does not know such conditions writes in any case. */
  readonly ifAbsent?: boolean
  /** Only in place of what has this ETag. */
  readonly ifMatch?: string
}

/** ETag of what was written, or that the condition did not hold. */
export type PutResult = { readonly kind: 'written'; readonly etag: string } | { readonly kind: 'refused' }

export class S3Requests {
  readonly address: S3Address
  readonly client: S3Client
  readonly sdk: Sdk
  readonly bucket: { readonly Bucket: string }
  /** Until the server says that it knows no conditional writes. */
  #conditions = true

  constructor({ client, sdk }: S3Connection, address: S3Address) {
    this.client = client
    this.sdk = sdk
    this.address = address
    this.bucket = { Bucket: address.bucket }
  }

  /** Bucket and key of a path, which is a key without the store's prefix. */
  at(path: string): { Bucket: string; Key: string } {
    return { ...this.bucket, Key: this.key(path) }
  }

  key(path: string): string {
    return this.address.prefix + path
  }

  pathOf(key: string): string {
    return key.slice(this.address.prefix.length)
  }

  /** Sends; a failure is a STORE error that names the request (`GET v1/…`). */
  async send<T>(what: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send()
    } catch (error) {
      throw s3Error(error, this.address.url, what)
    }
  }

  /** As `send`; undefined where what is asked for is not there. */
  sendIfThere<T>(what: string, send: () => Promise<T>): Promise<T | undefined> {
    return this.send(what, async () => {
      try {
        return await send()
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    })
  }

  /** As `send`, for a write that returns its ETag and takes the headers of the condition. */
  async sendConditionally(
    what: string,
    { ifAbsent = false, ifMatch }: Condition,
    send: (headers: { IfNoneMatch?: string; IfMatch?: string }) => Promise<string>,
  ): Promise<PutResult> {
    const asked = ifAbsent || ifMatch !== undefined
    return this.send(what, async () => {
      for (let conflicts = 0; ; ) {
        const headers = {
          ...(ifAbsent && this.#conditions ? { IfNoneMatch: '*' } : {}),
          ...(ifMatch !== undefined && this.#conditions ? { IfMatch: ifMatch } : {}),
        }
        try {
          return { kind: 'written', etag: await send(headers) }
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
}
