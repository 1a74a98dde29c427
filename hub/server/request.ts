/** Taking a request apart: path segments, query, body. Nothing here trusts the client. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { badRequest, Refusal } from './refusal.ts'

export interface Target {
  /** Decoded path segments; one may contain a `/` that was percent-encoded. */
  readonly segments: readonly string[]
  readonly query: URLSearchParams
}

/** @throws Refusal 400 for broken percent-encoding or a NUL */
export function parseTarget(url: string): Target {
  // Proxies may send the absolute form. `new URL` would also read `//host/path` as one, and drop `..` unseen.
  const relative = url.replace(/^https?:\/\/[^/?]*/i, '')
  const [path = '', ...rest] = relative.split('?')
  const parts = path.split('/').slice(1)
  if (parts.at(-1) === '') parts.pop()
  const segments = parts.map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      throw badRequest('The path is not valid percent-encoded UTF-8')
    }
  })
  if (segments.some((segment) => segment.includes('\0')))
    throw badRequest('The path contains a NUL character')
  return { segments, query: new URLSearchParams(rest.join('?')) }
}

/** Splits `<revision>/<path…>`; `refs/convert/parquet` may stand there with its slashes encoded or not. */
export function takeRevision(segments: readonly string[]): { revision: string; path: string } {
  const length = segments[0] === 'refs' && segments.length >= 3 ? 3 : 1
  return { revision: segments.slice(0, length).join('/'), path: segments.slice(length).join('/') }
}

/** A list parameter as the clients write it: `key=a&key=b` or `key[]=a`. */
export function listParam(query: URLSearchParams, key: string): string[] {
  return [...query.getAll(key), ...query.getAll(`${key}[]`)]
}

/** True for `true`, `True` and `1`: JavaScript and Python clients differ. */
export function flag(value: unknown): boolean {
  return value === true || value === 'true' || value === 'True' || value === '1'
}

/** @throws Refusal 400 when it is not a whole number from 1 to `most` */
export function limitParam(query: URLSearchParams, usual: number, most: number): number {
  const text = query.get('limit')
  if (text === null) return Math.min(usual, most)
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > most) throw badRequest(`"limit" must be a number from 1 to ${most}`)
  return limit
}

/** A page of `items`, and where the next one starts. Cursors are opaque to clients: they hold an offset. */
export function page<T>(
  items: readonly T[],
  query: URLSearchParams,
  limit: number,
): { items: T[]; next?: string } {
  const cursor = query.get('cursor')
  let from = 0
  if (cursor !== null) {
    const text = Buffer.from(cursor, 'base64url').toString('latin1')
    if (!/^\d{1,9}$/.test(text)) throw badRequest('"cursor" is not one that this server gave')
    from = Number(text)
  }
  const to = from + limit
  const next = to < items.length ? Buffer.from(String(to), 'latin1').toString('base64url') : undefined
  return { items: items.slice(from, to), ...(next === undefined ? {} : { next }) }
}

/**
 * The body's fields, from JSON or a form; a field given several times in a form is a list.
 * @throws Refusal 400 or 413
 */
export async function readFields(request: IncomingMessage, most: number): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > most)
      throw new Refusal(413, `The body is larger than ${most} bytes`, undefined, { Connection: 'close' })
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  if (request.headers['content-type']?.includes('application/x-www-form-urlencoded')) {
    const fields: Record<string, unknown> = {}
    const form = new URLSearchParams(text)
    for (const key of new Set(form.keys())) {
      const values = form.getAll(key)
      fields[key] = values.length === 1 ? values[0] : values
    }
    return fields
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw badRequest('The body is not valid JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('The body should be a JSON object')
  }
  return { ...value }
}

/** @throws Refusal 401 unless the request carries `Authorization: Bearer <token>` */
export function checkToken(request: IncomingMessage, token: string): void {
  const given = request.headers.authorization
  const sent = given === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(given)?.[1]
  if (sent !== undefined && timingSafeEqual(sha256(sent), sha256(token))) return
  const why =
    given === undefined ? 'Invalid username or password.' : 'Invalid credentials in Authorization header'
  throw new Refusal(401, why, undefined, { 'WWW-Authenticate': 'Bearer realm="Authentication required"' })
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
