/**
 * One request to the hub, redirects followed by hand: the token goes to the hub's own origin only, at most ten hops,
 * no loops, no step down from https. A side that sends no byte for `idleMs` is given up. Failures that may pass are
 * `HubFault`s (see retry.ts); every other status is the caller's to judge.
 */
import { setMaxListeners } from 'node:events'
import { ShardmillError } from '../../errors/index.ts'
import { scrub, showUrl } from './redact.ts'
import { askedWait, HubFault, throwIfAborted } from './retry.ts'
import { rootCause } from './root-cause.ts'
import type { HubSettings } from './settings.ts'

const MAX_REDIRECTS = 10
const MAY_PASS = new Set([408, 429, 500, 502, 503, 504])
const CERTIFICATE =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|HOSTNAME_MISMATCH)/

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Headers of the hub's own answer, before any redirect: `X-Repo-Commit`, `X-Error-Code`, … */
  readonly hubHeaders: Headers
  /** Where the answer came from in the end. */
  readonly url: URL
  /** True when that is the hub itself and not a host it sent us to. */
  readonly fromHub: boolean
  /** The body, once. Ends early only with an error. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>
  /** Lets go of a body that is not wanted. */
  discard(): void
}

export interface GetOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

export interface HubHttp {
  readonly settings: HubSettings
  get(url: string, options?: GetOptions): Promise<Answer>
}

export function createHttp(settings: HubSettings, fetchFn: typeof fetch = fetch): HubHttp {
  const hubOrigin = new URL(settings.endpoint).origin

  async function get(url: string, { headers = {}, signal }: GetOptions = {}): Promise<Answer> {
    if (settings.offline) throw offline(url)
    const seen = new Set<string>()
    let at = new URL(url)
    checkStep(new URL(settings.endpoint), at) // the page after this one is an address that the hub sent
    let hubHeaders: Headers | undefined
    for (;;) {
      if (seen.has(at.href)) throw nonsense(`redirects in a circle at ${showUrl(at)}`)
      if (seen.size > MAX_REDIRECTS)
        throw nonsense(`redirects more than ${MAX_REDIRECTS} times, last to ${showUrl(at)}`)
      seen.add(at.href)
      const fromHub = at.origin === hubOrigin
      const authorization =
        fromHub && settings.token !== undefined ? { authorization: `Bearer ${settings.token}` } : {}
      const watch = watchFor(settings.retry.idleMs, signal)
      const response = await send(at, { ...headers, ...authorization }, watch)
      hubHeaders ??= response.headers
      const next = targetOrLetGo(response, at, watch)
      if (next === undefined && !MAY_PASS.has(response.status)) {
        return answer(response, { url: at, fromHub, hubHeaders, watch })
      }
      letGo(response, watch)
      if (next === undefined) throw statusFault(response, at, fromHub)
      at = next
    }
  }

  async function send(at: URL, headers: Record<string, string>, watch: Watch): Promise<Response> {
    watch.arm()
    try {
      return await fetchFn(at.href, { headers, redirect: 'manual', signal: watch.signal })
    } catch (error) {
      watch.close()
      throw failed(error, at, watch)
    } finally {
      watch.disarm()
    }
  }

  function answer(
    response: Response,
    facts: { url: URL; fromHub: boolean; hubHeaders: Headers; watch: Watch },
  ): Answer {
    const { watch, ...rest } = facts
    async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
      const reader = response.body?.getReader()
      try {
        while (reader !== undefined) {
          watch.arm()
          const { done, value } = await reader.read().catch((error: unknown) => {
            throw failed(error, facts.url, watch, 'broke off in the middle')
          })
          watch.disarm()
          if (done) return
          yield value
        }
      } finally {
        watch.close()
        reader?.cancel().catch(() => {}) // the connection may be gone already
      }
    }
    return {
      status: response.status,
      headers: response.headers,
      ...rest,
      chunks,
      discard: () => letGo(response, watch),
    }
  }

  function targetOrLetGo(response: Response, at: URL, watch: Watch): URL | undefined {
    try {
      return redirectTarget(response, at)
    } catch (error) {
      letGo(response, watch)
      throw error
    }
  }

  function redirectTarget(response: Response, from: URL): URL | undefined {
    if (![301, 302, 303, 307, 308].includes(response.status)) return undefined
    const location = response.headers.get('location')
    if (location === null || !URL.canParse(location, from.href)) {
      throw nonsense(`redirects from ${showUrl(from)} to an address that is no URL`)
    }
    const to = new URL(location, from)
    to.hash = ''
    checkStep(from, to)
    return to
  }

  /** Where one address may lead to another: a redirect, or the next page of a list. */
  function checkStep(from: URL, to: URL): void {
    if (to.protocol !== 'http:' && to.protocol !== 'https:')
      throw nonsense(`sends us to a ${to.protocol} address`)
    if (from.protocol === 'https:' && to.protocol === 'http:') {
      throw nonsense(`sends us from https to plain http at ${showUrl(to)}`)
    }
    if (to.username !== '' || to.password !== '') {
      throw nonsense(`sends us to an address with a user name in it at ${showUrl(to)}`)
    }
  }

  function statusFault({ status, headers }: Response, at: URL, fromHub: boolean): HubFault {
    const who = fromHub ? `the hub at ${settings.endpoint}` : `${at.origin}, where the hub sends us,`
    const hint =
      status === 429 && settings.token === undefined
        ? 'Set HF_TOKEN: the hub allows more requests to those it knows.'
        : undefined
    return new HubFault(`${who} answered ${status}`, { status, waitMs: askedWait(headers), hint })
  }

  function failed(error: unknown, at: URL, watch: Watch, how = 'cannot be reached'): Error {
    const who =
      at.origin === hubOrigin ? `the hub at ${settings.endpoint}` : `${at.origin}, where the hub sends us,`
    if (watch.silent)
      return new HubFault(`${who} sent nothing for ${settings.retry.idleMs / 1000} s`, { cause: error })
    try {
      throwIfAborted(watch.outer)
    } catch (interrupted) {
      return interrupted as Error
    }
    const { code, text, forbiddenPort } = rootCause(error)
    if (code !== undefined && CERTIFICATE.test(code)) {
      return new ShardmillError(
        'HUB_UNREACHABLE',
        `the certificate of ${at.origin} is not trusted (${code})`,
        {
          hint: 'Behind a proxy that opens TLS, point NODE_EXTRA_CA_CERTS to its certificate.',
          cause: error,
        },
      )
    }
    if (forbiddenPort) {
      return new ShardmillError(
        'HUB_UNREACHABLE',
        `${who} is at port ${at.port}, which belongs to another protocol: no HTTP client connects to it`,
        { hint: 'Let the hub listen on another port, for example 8080, and set HF_ENDPOINT.', cause: error },
      )
    }
    return new HubFault(`${who} ${how} (${code ?? scrub(text, settings.token)})`, { cause: error })
  }

  function nonsense(what: string): ShardmillError {
    return new ShardmillError('HUB_ANSWER', `the hub at ${settings.endpoint} ${what}`, {
      hint: 'Check HF_ENDPOINT, and any proxy on the way.',
    })
  }

  function offline(url: string): ShardmillError {
    return new ShardmillError(
      'HUB_UNREACHABLE',
      `HF_HUB_OFFLINE is set, but ${showUrl(url)} would be needed`,
      {
        hint: 'Unset HF_HUB_OFFLINE, or build with --locked on a store that has the files already.',
      },
    )
  }

  return { settings, get }
}

/** Reads a body whole; `HUB_ANSWER` when it is longer than `limit` bytes. */
export async function readAll(answer: Answer, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.chunks()) {
    bytes += chunk.length
    if (bytes > limit) {
      throw new ShardmillError(
        'HUB_ANSWER',
        `${showUrl(answer.url)} is longer than the ${limit} bytes we read of it`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** An abort signal that fires when no byte comes for `idleMs` while armed, or when the caller's own signal fires. */
interface Watch {
  readonly signal: AbortSignal
  readonly outer: AbortSignal | undefined
  readonly silent: boolean
  arm(): void
  disarm(): void
  close(): void
}

function watchFor(idleMs: number, outer: AbortSignal | undefined): Watch {
  const controller = new AbortController()
  const forward = () => controller.abort(outer?.reason)
  if (outer?.aborted) forward()
  // Not AbortSignal.any: on Node 20 it keeps every derived signal as long as a long-lived source.
  if (outer !== undefined) setMaxListeners(0, outer) // one for each request under way, which may be dozens
  outer?.addEventListener('abort', forward)
  let timer: NodeJS.Timeout | undefined
  let silent = false
  const disarm = () => clearTimeout(timer)
  return {
    signal: controller.signal,
    outer,
    get silent() {
      return silent
    },
    arm() {
      disarm()
      timer = setTimeout(() => {
        silent = true
        controller.abort()
      }, idleMs)
    },
    disarm,
    close() {
      disarm()
      outer?.removeEventListener('abort', forward)
    },
  }
}

function letGo(response: Response, watch: Watch): void {
  watch.close()
  response.body?.cancel().catch(() => {})
}
