import { setTimeout as sleep } from 'node:timers/promises'
import { ShardmillError } from '../errors/index.ts'

const tries = 5
const mostBytes = 1 << 28
const silenceMs = 30_000

/** A small file (a word list) from any URL, tried again while that can help. Credentials in the URL are not shown. */
export async function fetchUrl(url: string, where: string, signal: AbortSignal): Promise<Uint8Array> {
  const shown = shownUrl(url)
  let last = ''
  for (let attempt = 1; attempt <= tries; attempt++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]) })
      if (response.ok) {
        const bytes = new Uint8Array(await response.arrayBuffer())
        if (bytes.length > mostBytes)
          throw new ShardmillError('RECIPE', `${where}: ${shown} is larger than ${mostBytes} bytes`)
        return bytes
      }
      last = `answered ${response.status}`
      if (response.status < 500 && response.status !== 429 && response.status !== 408) {
        throw new ShardmillError('NOT_FOUND', `${where}: ${shown} answered ${response.status}`, {
          hint: 'Look at the URL in a browser.',
        })
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ShardmillError) throw error
      last = 'did not answer'
    }
    if (attempt < tries) await sleep(500 * 2 ** attempt, undefined, { signal })
  }
  throw new ShardmillError('HUB_UNREACHABLE', `${where}: ${shown} ${last} (${tries} tries)`, {
    retryable: true,
    hint: 'Try again later, or download the file and name its path.',
  })
}

/** A URL without credentials and query: for errors and locks. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return 'the URL'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
