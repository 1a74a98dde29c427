/** What a failed `fetch` was about, which it tells in the errors behind its own only. */

/** What `fetch` says of ports that it never connects to (Fetch standard, "port blocking"): 22, 25, 6000, 6667, … */
const FORBIDDEN_PORT = 'bad port'

export interface RootCause {
  readonly code: string | undefined
  readonly text: string
  /** The address, or one that it redirects to: no retry can help. */
  readonly forbiddenPort: boolean
}

export function rootCause(error: unknown): RootCause {
  let code: string | undefined
  let text = String(error)
  for (let next: unknown = error, depth = 0; next instanceof Error && depth < 5; depth++) {
    if ('code' in next && typeof next.code === 'string') code = next.code
    if (next.message !== '') text = next.message
    // Several addresses of one host, all in vain.
    next = next instanceof AggregateError ? (next.errors as unknown[])[0] : next.cause
  }
  return { code, text, forbiddenPort: text === FORBIDDEN_PORT }
}
