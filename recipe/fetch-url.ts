import { ShardmillError } from '../errors/index.ts'
import { askedWait, HubFault, type RetryLimits, withRetries } from '../hub/client/retry.ts'
import { rootCause } from '../hub/client/root-cause.ts'

const mostBytes = 1 << 28
const patience: RetryLimits = { tries: 6, idleMs: 30_000, baseMs: 500, totalMs: 600_000 }

/**
 * A small file (a word list) from any URL, tried again while that can help. Credentials in the URL are refused, its
 * query is not shown.
 *
 * Errors: RECIPE for an address that cannot be meant, NOT_FOUND for one where there is nothing, HUB_UNREACHABLE
 * after all tries.
 */
export async function fetchUrl(
  url: string,
  where: string,
  signal: AbortSignal,
  limits: RetryLimits = patience,
): Promise<Uint8Array> {
  if (!URL.canParse(url)) throw new ShardmillError('RECIPE', `${where}: is not a URL`)
  const { username, password } = new URL(url)
  if (username !== '' || password !== '') {
    throw new ShardmillError('RECIPE', `${where}: ${shownUrl(url)} holds a user name or password`, {
      hint: 'A recipe is no place for secrets: download the file and name its path.',
    })
  }
  return withRetries(() => fetchOnce(url, where, signal, limits.idleMs), { limits, signal })
}

async function fetchOnce(
  url: string,
  where: string,
  signal: AbortSignal,
  idleMs: number,
): Promise<Uint8Array> {
  const shown = `${where}: ${shownUrl(url)}`
  const hint = 'Try again later, or download the file and name its path.'
  const silence = new AbortController()
  const silent = () => silence.abort()
  let timer = setTimeout(silent, idleMs)
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, silence.signal]) })
    const { status } = response
    if (status >= 500 || status === 429 || status === 408) {
      throw new HubFault(`${shown} answered ${status}`, { status, waitMs: askedWait(response.headers), hint })
    }
    if (!response.ok || response.body === null) {
      throw new ShardmillError('NOT_FOUND', `${shown} answered ${status}`, {
        hint: 'Look at the URL in a browser.',
      })
    }
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      clearTimeout(timer)
      timer = setTimeout(silent, idleMs)
      length += chunk.length
      if (length > mostBytes)
        throw new ShardmillError('RECIPE', `${shown} is larger than ${mostBytes} bytes`, {
          hint: 'Is it a word list?',
        })
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    if (error instanceof HubFault || error instanceof ShardmillError || signal.aborted) throw error
    if (rootCause(error).forbiddenPort)
      throw new ShardmillError(
        'RECIPE',
        `${shown} is at, or leads to, a port that belongs to another protocol: no HTTP client connects to it`,
        { hint: 'Look at the URL in a browser.', cause: error },
      )
    throw new HubFault(`${shown} ${silence.signal.aborted ? 'fell silent' : 'cannot be reached'}`, {
      hint,
      cause: error,
    })
  } finally {
    clearTimeout(timer)
  }
}

/** A URL without credentials and query: for errors and locks. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return 'the URL'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
