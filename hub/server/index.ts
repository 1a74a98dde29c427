/**
 * `shardmill hub DIR`: serves a folder laid out `datasets/<org>/<name>/<files>` with the HTTP API of the
 * Hugging Face hub, for `huggingface_hub`, `datasets` and `@huggingface/hub`. Read only.
 */
import { realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { FileChanged } from './digests.ts'
import { busy, fromSystemError, Refusal } from './refusal.ts'
import { baseOf, sendRefusal } from './reply.ts'
import { Repos } from './repos.ts'
import { checkToken, parseTarget } from './request.ts'
import { route } from './routes.ts'

export interface HubServerOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number
  readonly host?: string
  /** When set, every request needs `Authorization: Bearer <token>`. */
  readonly token?: string
  /**
   * Read all files for their digests at once, in the background, and not when they are first asked for: with
   * many gigabytes the first answer may else come later than a client is ready to wait.
   */
  readonly warm?: boolean
  /** Gets a line per request and per thing left out; never a secret. */
  readonly log?: (line: string) => void
}

export interface HubServer {
  /** Where it listens, without a slash at the end: what HF_ENDPOINT takes. */
  readonly url: string
  /** Stops listening, lets running responses end for up to two seconds and cuts off the rest. */
  close(): Promise<void>
}

const ATTEMPTS = 3
const GRACE_MS = 2000
// Clients keep connections for reuse; closing one just as a request comes in looks to them like a failure.
const KEEP_ALIVE_MS = 65_000

/**
 * Starts the server.
 *
 * @param dir the folder that holds `datasets/`
 * @throws ShardmillError NOT_FOUND for a folder that does not exist, USAGE for a port that cannot be had
 */
export async function startHubServer(dir: string, options: HubServerOptions = {}): Promise<HubServer> {
  const { port = 0, host = '127.0.0.1', token, warm = false, log = () => {} } = options
  const root = await realpath(dir).catch((cause: unknown) => {
    throw new ShardmillError('NOT_FOUND', `the folder "${dir}" does not exist`, {
      hint: 'Give the folder that holds datasets/<org>/<name>/<files>.',
      cause,
    })
  })
  if (!(await stat(root)).isDirectory()) {
    throw new ShardmillError('NOT_FOUND', `"${dir}" is a file, expected a folder`, {
      hint: 'Give the folder that holds datasets/<org>/<name>/<files>.',
    })
  }
  const stopping = new AbortController()
  const repos = new Repos(root, log, stopping.signal)
  let url = ''
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    response.once('close', () => {
      log(logLine(request, response))
      if (!server.listening) setImmediate(() => server.closeIdleConnections())
    })
    response.on('error', () => {}) // the client has gone; 'close' follows
    void answer(request, response, { repos, token, log, base: baseOf(request, url) })
  })
  server.on('clientError', (_error, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    else socket.destroy()
  })
  await listen(server, port, host)
  url = addressOf(server.address() as AddressInfo)
  if (warm) void warmUp(repos, stopping.signal, log)
  return { url, close: () => close(server, stopping) }
}

/** Takes a first look at every dataset. Never rejects: what is wrong will be told to whoever asks. */
async function warmUp(repos: Repos, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  try {
    for (const id of await repos.list()) {
      const [org, name] = id.split('/')
      const repo = await repos.open(org, name)
      await repo.at('main').catch((error: unknown) => log(`${id}: ${messageOf(error)}`))
      if (signal.aborted) return
    }
  } catch (error) {
    log(`warm-up: ${messageOf(error)}`)
  }
}

interface Setting {
  readonly repos: Repos
  readonly token: string | undefined
  readonly log: (line: string) => void
  readonly base: string
}

/** Answers one request, whatever it is. Never rejects. */
async function answer(request: IncomingMessage, response: ServerResponse, setting: Setting): Promise<void> {
  try {
    if (setting.token !== undefined) checkToken(request, setting.token)
    const target = parseTarget(request.url ?? '/')
    for (let attempt = 1; ; attempt++) {
      try {
        return await route({ request, response }, target, setting.repos, setting.base)
      } catch (error) {
        if (!(error instanceof FileChanged) || response.headersSent || attempt === ATTEMPTS) throw error
      }
    }
  } catch (error) {
    if (response.headersSent) {
      if (!response.destroyed) setting.log(`cut off ${request.url}: ${messageOf(error)}`)
      response.destroy()
      return
    }
    sendRefusal(response, toRefusal(error, setting.log))
  }
}

function toRefusal(error: unknown, log: (line: string) => void): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof FileChanged) return busy('The files of this dataset are being changed')
  const known = fromSystemError(error)
  if (known !== undefined) return known
  log(`failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  return new Refusal(
    500,
    isShardmillError(error) ? error.message : 'Internal Error - the server could not answer',
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function logLine(request: IncomingMessage, response: ServerResponse): string {
  const cut = response.writableFinished ? '' : ' (cut off)'
  return `${request.method} ${request.url} ${response.headersSent ? response.statusCode : '-'}${cut}`
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ShardmillError('USAGE', `${port} is not a port; ports are whole numbers from 0 to 65535`)
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const hint = 'Choose another port, or 0 for any free one.'
      reject(
        new ShardmillError('USAGE', `cannot listen on ${host}, port ${port}: ${cause.message}`, {
          hint,
          cause,
        }),
      )
    })
    server.listen(port, host, resolve)
  })
  server.removeAllListeners('error')
  server.on('error', () => {}) // a failed accept (no file handles left) concerns one client, not the server
}

/** The address for clients; a server on all interfaces is named by the loopback one. */
function addressOf({ address, family, port }: AddressInfo): string {
  const any = address === '0.0.0.0' || address === '::'
  if (family === 'IPv6') return `http://[${any ? '::1' : address}]:${port}`
  return `http://${any ? '127.0.0.1' : address}:${port}`
}

async function close(server: Server, stopping: AbortController): Promise<void> {
  if (!server.listening) return
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => {
    stopping.abort()
    server.closeAllConnections()
  }, GRACE_MS)
  await closed
  clearTimeout(timer)
  stopping.abort()
}
