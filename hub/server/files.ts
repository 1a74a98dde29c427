/**
 * The bytes of files: `/resolve` (small files at once, large ones by redirect), `/cdn` (large files by their
 * sha256) and `/raw` (what git holds: for a large file its pointer).
 *
 * A response never mixes two versions of a file: it is read from one open file, whose stamp is compared after
 * every read and before those bytes are sent; once it differs, the connection is cut short of Content-Length.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { FileHandle } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname } from 'node:path/posix'
import { isVersion, pointerFile } from './digests.ts'
import { type ByteRange, matchesAny, parseRange } from './range.ts'
import { noEntry, Refusal } from './refusal.ts'
import { encodePath, encodeSegment, type Headers, sendRedirect } from './reply.ts'
import type { Repo } from './repos.ts'
import type { HubFile } from './snapshot.ts'

const CHUNK = 512 << 10

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export async function resolve(
  { request, response }: Exchange,
  repo: Repo,
  revision: string,
  path: string,
  base: string,
): Promise<void> {
  const snapshot = await repo.at(revision)
  const file = snapshot.files.get(path)
  if (file === undefined) throw noEntry(path, snapshot.commit)
  const headers = fileHeaders(snapshot.commit, file, path)
  if (matchesAny(request.headers['if-none-match'], String(headers['ETag'])))
    return notModified(response, headers)
  if (file.lfs) {
    await (await repo.open(snapshot, file)).close() // is it still there?
    const place = `${repo.id}/${snapshot.commit}/${file.lfs.sha256}/${encodePath(path)}`
    const { 'Content-Type': _, 'Content-Disposition': __, ...facts } = headers
    return sendRedirect(response, `${base}/cdn/${repo.kind}/${place}`, facts)
  }
  const content = await repo.read(snapshot, file)
  await sendRanges({ request, response }, headers, content.length, async function* (range) {
    yield content.subarray(range.start, range.end + 1)
  })
}

export async function cdn(
  { request, response }: Exchange,
  repo: Repo,
  commit: string,
  sha256: string,
  path: string,
): Promise<void> {
  const found = await repo.findLarge(commit, sha256)
  if (found === undefined)
    throw new Refusal(404, 'No file of this repository has this digest any more', 'EntryNotFound')
  const { snapshot, file } = found
  const headers = fileHeaders(/^[0-9a-f]{40}$/.test(commit) ? commit : snapshot.commit, file, path)
  if (matchesAny(request.headers['if-none-match'], String(headers['ETag'])))
    return notModified(response, headers)
  const handle = await repo.open(snapshot, file)
  try {
    await sendRanges({ request, response }, headers, file.stamp.size, (range) =>
      readRange(handle, file, range),
    )
  } finally {
    await handle.close()
  }
}

/** What git holds under the path. */
export async function raw(
  { request, response }: Exchange,
  repo: Repo,
  revision: string,
  path: string,
): Promise<void> {
  const snapshot = await repo.at(revision)
  const file = snapshot.files.get(path)
  if (file === undefined) throw noEntry(path, snapshot.commit)
  const content = file.lfs ? pointerFile(file.lfs.sha256, file.stamp.size) : await repo.read(snapshot, file)
  const { 'Content-Disposition': _, ...facts } = fileHeaders(
    snapshot.commit,
    { ...file, lfs: undefined },
    path,
  )
  const headers = { ...facts, 'Content-Type': 'text/plain; charset=utf-8' }
  await sendRanges({ request, response }, headers, content.length, async function* (range) {
    yield content.subarray(range.start, range.end + 1)
  })
}

interface Tagged {
  readonly oid: string
  readonly lfs?: HubFile['lfs'] | undefined
  readonly stamp: HubFile['stamp']
}

function fileHeaders(commit: string, file: Tagged, path: string): Headers {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const etag = `"${file.lfs?.sha256 ?? file.oid}"`
  return {
    'X-Repo-Commit': commit,
    ETag: etag,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'no-cache',
    'Content-Type': TYPES[extname(name).toLowerCase()] ?? 'application/octet-stream',
    'Content-Disposition': `inline; filename*=UTF-8''${encodeSegment(name)}; filename="${plainName(name)}";`,
    ...(file.lfs ? { 'X-Linked-Etag': etag, 'X-Linked-Size': file.stamp.size } : {}),
  }
}

const TEXT = 'text/plain; charset=utf-8'
const TYPES: Readonly<Record<string, string>> = {
  '.json': TEXT,
  '.jsonl': TEXT,
  '.md': TEXT,
  '.txt': TEXT,
  '.csv': TEXT,
  '.tsv': TEXT,
  '.yaml': TEXT,
  '.yml': TEXT,
}

function plainName(name: string): string {
  return name.replace(/[^\x20-\x7e]|["\\]/g, '_')
}

function notModified(response: ServerResponse, headers: Headers): void {
  const { 'Content-Type': _, 'Content-Disposition': __, ...facts } = headers
  response.writeHead(304, facts)
  response.end()
}

/** Answers with all of a body or the ranges asked for: 200, 206 (several as multipart/byteranges) or 416. */
async function sendRanges(
  { request, response }: Exchange,
  headers: Headers,
  size: number,
  read: (range: ByteRange) => AsyncIterable<Buffer>,
): Promise<void> {
  const ranges = wantedRanges(request, String(headers['ETag']), size)
  if (ranges === 'unsatisfiable') {
    throw new Refusal(416, 'The requested range is not satisfiable', undefined, {
      'Content-Range': `bytes */${size}`,
      'Accept-Ranges': 'bytes',
    })
  }
  const whole = { start: 0, end: size - 1 }
  if (ranges === undefined) {
    response.writeHead(200, { ...headers, 'Content-Length': size })
    return stream(request, response, size === 0 ? [] : [{ range: whole }], read)
  }
  const [only, ...others] = ranges
  if (only !== undefined && others.length === 0) {
    const length = only.end - only.start + 1
    response.writeHead(206, {
      ...headers,
      'Content-Length': length,
      'Content-Range': contentRange(only, size),
    })
    return stream(request, response, [{ range: only }], read)
  }
  const boundary = randomUUID()
  const type = `Content-Type: ${String(headers['Content-Type'])}`
  const parts = ranges.map((range) => ({
    head: Buffer.from(`\r\n--${boundary}\r\n${type}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`),
    range,
  }))
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const length = parts.reduce(
    (total, { head, range }) => total + head.length + range.end - range.start + 1,
    tail.length,
  )
  const multipart = `multipart/byteranges; boundary=${boundary}`
  response.writeHead(206, { ...headers, 'Content-Type': multipart, 'Content-Length': length })
  return stream(request, response, [...parts, { head: tail }], read)
}

function wantedRanges(request: IncomingMessage, etag: string, size: number): ReturnType<typeof parseRange> {
  if (request.method !== 'GET') return undefined
  // A date never matches: nothing here has a Last-Modified.
  const condition = request.headers['if-range']
  if (condition !== undefined && String(condition) !== etag) return undefined
  return parseRange(request.headers.range, size)
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`
}

async function stream(
  request: IncomingMessage,
  response: ServerResponse,
  parts: readonly { head?: Buffer; range?: ByteRange }[],
  read: (range: ByteRange) => AsyncIterable<Buffer>,
): Promise<void> {
  if (request.method !== 'HEAD') {
    for (const { head, range } of parts) {
      if (head !== undefined) response.write(head)
      if (range === undefined) continue
      for await (const chunk of read(range)) {
        if (!response.write(chunk) && !response.destroyed) await drained(response)
        if (response.destroyed) return // the client has gone
      }
    }
  }
  response.end()
}

async function drained(response: ServerResponse): Promise<void> {
  const done = new AbortController()
  const options = { signal: done.signal }
  try {
    await Promise.race([once(response, 'drain', options), once(response, 'close', options)])
  } finally {
    done.abort()
  }
}

async function* readRange(
  handle: FileHandle,
  file: HubFile,
  { start, end }: ByteRange,
): AsyncGenerator<Buffer> {
  for (let at = start; at <= end; ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, end - at + 1))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0 || !(await isVersion(handle, file.stamp))) {
      throw new Error(`${file.path} changed while it was being sent`)
    }
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
