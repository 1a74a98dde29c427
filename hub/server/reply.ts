/** Writing answers: JSON, redirects and refusals. Node leaves the body out where the request was a HEAD. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Refusal } from './refusal.ts'

export type Headers = Readonly<Record<string, string | number>>

export function sendJson(response: ServerResponse, value: unknown, headers: Headers = {}): void {
  sendBody(response, 200, 'application/json; charset=utf-8', JSON.stringify(value), headers)
}

export function sendRedirect(response: ServerResponse, location: string, headers: Headers = {}): void {
  const text = `Found. Redirecting to ${location}`
  sendBody(response, 302, 'text/plain; charset=utf-8', text, { ...headers, Location: location })
}

export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  const body = JSON.stringify({ error: refusal.message })
  sendBody(response, refusal.status, 'application/json; charset=utf-8', body, {
    ...refusal.headers,
    ...(refusal.code === undefined ? {} : { 'X-Error-Code': refusal.code }),
    'X-Error-Message': headerText(refusal.message),
  })
}

export function sendBody(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
  headers: Headers = {},
): void {
  const bytes = Buffer.from(body as string)
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': bytes.length, ...headers })
  response.end(bytes)
}

/** The `Link` header that leads to the next page, an absolute address as the clients expect it. */
export function nextLink(
  base: string,
  path: string,
  query: URLSearchParams,
  cursor: string | undefined,
): Headers {
  if (cursor === undefined) return {}
  const next = new URLSearchParams(query)
  next.set('cursor', cursor)
  return { Link: `<${base}${path}?${next}>; rel="next"` }
}

/** The address under which the client reached this server. */
export function baseOf(request: IncomingMessage, fallback: string): string {
  const host = request.headers.host
  if (host === undefined || !/^[A-Za-z0-9.:[\]_-]+$/.test(host)) return fallback
  return `${request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'}://${host}`
}

/** Path segments, each percent-encoded. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeSegment).join('/')
}

/** Like `encodeURIComponent`, which fails on lone surrogates; file names can hold them on some systems. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment.replace(/\p{Surrogate}/gu, '\ufffd'))
}

/** Text that may stand in a header: printable ASCII. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 500)
}
