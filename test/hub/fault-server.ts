/**
 * A hub that misbehaves to order. It serves files as the real one does (`ETag`, `Range`, `If-Range`, `X-Repo-Commit`,
 * paged listings); a plan may give any request another fate. Every request is kept in `log`.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Fault {
  /** Instead of the right status. A status from 300 on has no file in its body. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Milliseconds before the answer begins. */
  readonly delayMs?: number
  /** Never answers. */
  readonly hang?: boolean
  /** Falls silent after so many bytes of the body. */
  readonly hangAfter?: number
  /** Drops the connection before any answer. */
  readonly drop?: boolean
  /** Drops the connection after so many bytes of the body. */
  readonly resetAfter?: number
  /** Ends the answer properly after so many bytes, as if that were all (Content-Length says so too). */
  readonly shortAfter?: number
  /** Flips a bit of every byte, leaving the length. */
  readonly wrongBytes?: boolean
  /** Sends so many bytes more than the file has. */
  readonly extra?: number
  /** Answers 200 with the whole file whatever range was asked for. */
  readonly ignoreRange?: boolean
  /** Ignores If-Range, sending the range of the file as it is now. */
  readonly ignoreIfRange?: boolean
  readonly etag?: string
}

export interface Logged {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Set once the answer has been made. */
  status: number
  /** Bytes of the body given to the socket. */
  sent: number
}

export interface FaultServer {
  readonly url: string
  readonly log: Logged[]
  /** Requests whose path holds `part`. */
  requests(part: string): Logged[]
  close(): Promise<void>
}

export interface FaultServerOptions {
  /** `org/name/path/of/file` → content. */
  readonly files?: Readonly<Record<string, Uint8Array>>
  /** Given the request and its number (from 0) among those to the same path, its fate; undefined: none. */
  readonly plan?: (request: Logged, nth: number) => Fault | undefined
  /** Bytes per write to the socket, with a turn of the event loop between them. */
  readonly chunk?: number
  /** Milliseconds between such writes. */
  readonly paceMs?: number
  /** Entries per page of a listing. */
  readonly page?: number
}

export const COMMIT = 'c0ffee00'.repeat(5)

export async function startFaultServer(options: FaultServerOptions = {}): Promise<FaultServer> {
  const log: Logged[] = []
  const counts = new Map<string, number>()

  const server = createServer((req, res) => {
    const path = decodeURIComponent(req.url ?? '')
    const entry: Logged = { path, headers: req.headers, status: 0, sent: 0 }
    log.push(entry)
    const nth = counts.get(path) ?? 0
    counts.set(path, nth + 1)
    const fault = options.plan?.(entry, nth) ?? {}
    res.on('error', () => {})
    answer(req, res, entry, fault).catch(() => res.destroy())
  })

  async function answer(
    req: IncomingMessage,
    res: ServerResponse,
    entry: Logged,
    fault: Fault,
  ): Promise<void> {
    if (fault.delayMs !== undefined) await new Promise((done) => setTimeout(done, fault.delayMs))
    if (fault.hang) return
    if (fault.drop) {
      res.destroy()
      return
    }
    const made = fault.status !== undefined && fault.status >= 300 ? {} : route(entry, req, fault)
    const status = fault.status ?? made.status ?? 200
    let body = Buffer.from(fault.body ?? made.body ?? '')
    if (fault.wrongBytes) body = body.map((byte) => byte ^ 1) as Buffer<ArrayBuffer>
    if (fault.extra !== undefined) body = Buffer.concat([body, Buffer.alloc(fault.extra)])
    if (fault.shortAfter !== undefined) body = body.subarray(0, fault.shortAfter)
    entry.status = status
    res.writeHead(status, { 'content-length': body.length, ...made.headers, ...fault.headers })
    res.flushHeaders()
    const end = Math.min(body.length, fault.resetAfter ?? fault.hangAfter ?? body.length)
    const step = options.chunk ?? 65_536
    for (let at = 0; at < end; at += step) {
      const part = body.subarray(at, Math.min(end, at + step))
      await new Promise((done) => res.write(part, done))
      entry.sent += part.length
      if (options.paceMs !== undefined) await new Promise((done) => setTimeout(done, options.paceMs))
    }
    if (fault.resetAfter !== undefined) {
      // The bytes are to arrive before the reset does.
      await new Promise((done) => setTimeout(done, 20))
      res.destroy()
    } else if (fault.hangAfter === undefined) res.end()
  }

  function route(entry: Logged, req: IncomingMessage, fault: Fault): Made {
    const files = options.files ?? {}
    const tree = /^\/api\/datasets\/(.+)\/tree\/[^?]+/.exec(entry.path)
    if (tree !== null) return listing(files, tree[1]!, entry.path, `http://${req.headers.host}`)
    if (/^\/api\/datasets\/.+\/revision\//.test(entry.path)) return json({ id: 'x', sha: COMMIT })
    const file = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/[^/]+\/([^?]+)/.exec(entry.path)
    const content = file === null ? undefined : files[`${file[1]}/${file[2]}`]
    if (content === undefined) return { status: 404, headers: { 'x-error-code': 'EntryNotFound' } }
    return fileAnswer(content, req.headers, fault)
  }

  function listing(
    files: Readonly<Record<string, Uint8Array>>,
    repo: string,
    url: string,
    origin: string,
  ): Made {
    const entries = Object.entries(files)
      .filter(([name]) => name.startsWith(`${repo}/`))
      .map(([name, content]) => treeEntry(name.slice(repo.length + 1), content))
    if (entries.length === 0) return { ...json({ error: 'Repository not found' }), status: 404 }
    const page = options.page ?? 1000
    const at = Number(/cursor=(\d+)/.exec(url)?.[1] ?? 0)
    const next = `${origin}/api/datasets/${repo}/tree/${COMMIT}?cursor=${at + page}`
    const link = at + page < entries.length ? { link: `<${next}>; rel="next"` } : {}
    const made = json(entries.slice(at, at + page))
    return { ...made, headers: { ...made.headers, ...link } }
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    log,
    requests: (part) => log.filter(({ path }) => path.includes(part)),
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

interface Made {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

function fileAnswer(content: Uint8Array, asked: IncomingHttpHeaders, fault: Fault): Made {
  const etag = fault.etag ?? `"${sha256(content)}"`
  const headers = { etag, 'x-repo-commit': COMMIT, 'accept-ranges': 'bytes' }
  const range = /^bytes=(\d+)-(\d*)$/.exec(String(asked.range ?? ''))
  const stillTheSame = fault.ignoreIfRange || asked['if-range'] === undefined || asked['if-range'] === etag
  if (range === null || fault.ignoreRange || !stillTheSame) return { status: 200, headers, body: content }
  const start = Number(range[1])
  if (start >= content.length) {
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${content.length}` } }
  }
  const end = range[2] === '' ? content.length : Math.min(content.length, Number(range[2]) + 1)
  const held = { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }
  return { status: 206, headers: { ...headers, ...held }, body: content.subarray(start, end) }
}

/** As the hub lists a file: `.parquet` in LFS, everything else in git itself. */
export function treeEntry(path: string, content: Uint8Array): Record<string, unknown> {
  const entry = { type: 'file', path, size: content.length }
  if (!path.endsWith('.parquet')) return { ...entry, oid: gitOid(content) }
  const lfs = { oid: sha256(content), size: content.length, pointerSize: 131 }
  return { ...entry, oid: gitOid(Buffer.from(`pointer to ${lfs.oid}`)), lfs }
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

export function gitOid(content: Uint8Array): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

/** Bytes that look random and are the same for the same seed. */
export function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  let x = seed | 1
  for (let i = 0; i < length; i++) {
    x = Math.imul(x, 1_664_525) + 1_013_904_223
    bytes[i] = x >>> 24
  }
  return bytes
}

function json(value: unknown): Made {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}
