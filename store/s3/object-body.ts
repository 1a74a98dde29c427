/** The bytes of an object as a stream that goes on where it broke, and what the server says of them. */

import { setTimeout as pause } from 'node:timers/promises'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { ShardmillError } from '../../errors/index.ts'
import { s3Error } from './errors.ts'
import type { S3Requests } from './requests.ts'

/** A stream that brings nothing for this long is taken up anew. */
const IDLE_MS = 60_000
const MOST_RESUMES = 6

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

/** What an answer to HEAD or GET says. */
export function factsOf(answer: {
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

/**
 * Opens an object; undefined when there is none. Reading throws STORE (retryable) when it breaks too often, or when
 * another object takes its place.
 */
export async function openObject(requests: S3Requests, path: string): Promise<ObjectBody | undefined> {
  const first = await getFrom(requests, path, 0, undefined)
  return first && { ...factsOf(first), body: readOn(requests, path, first) }
}

function getFrom(
  requests: S3Requests,
  path: string,
  from: number,
  etag: string | undefined,
): Promise<GetObjectCommandOutput | undefined> {
  const { client, sdk } = requests
  return requests.sendIfThere(`GET ${path}`, () =>
    client.send(
      new sdk.GetObjectCommand({
        ...requests.at(path),
        ...(from === 0 ? {} : { Range: `bytes=${from}-` }),
        ...(etag === undefined ? {} : { IfMatch: etag }),
      }),
    ),
  )
}

async function* readOn(
  requests: S3Requests,
  path: string,
  first: GetObjectCommandOutput,
): AsyncGenerator<Uint8Array> {
  const { url } = requests.address
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
        if (failures > MOST_RESUMES) throw s3Error(error, url, `GET ${path}`)
        await pause(100 * 2 ** failures * Math.random())
        const next = await getFrom(requests, path, at, etag)
        if (next === undefined || factsOf(next).etag !== etag) throw changed(`${url}/${path}`)
        stream = streamOf(next)
      }
    }
  } finally {
    stream.end()
  }
}

function changed(what: string): ShardmillError {
  return new ShardmillError('STORE', `${what} was replaced while it was read`, {
    hint: 'run the same command again',
    retryable: true,
  })
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
