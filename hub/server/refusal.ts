/** An answer that is an error, in the hub's form: a status, `X-Error-Code`, `X-Error-Message` and a JSON body. */

/** The hub's names for what went wrong; clients choose their exception by them. */
export type HubErrorCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo'

export class Refusal extends Error {
  override readonly name = 'Refusal'

  constructor(
    readonly status: number,
    message: string,
    readonly code?: HubErrorCode,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
  }
}

export function noRepo(): Refusal {
  return new Refusal(404, 'Repository not found', 'RepoNotFound')
}

export function noRevision(revision: string): Refusal {
  return new Refusal(404, `Invalid rev id: ${revision}`, 'RevisionNotFound')
}

/** `commit` is told, as the hub does, so that a client can remember that this commit has no such file. */
export function noEntry(path: string, commit: string): Refusal {
  return new Refusal(404, `Entry not found: ${path}`, 'EntryNotFound', { 'X-Repo-Commit': commit })
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, message)
}

/** The files are changing right now; the same request may succeed in a moment. */
export function busy(message: string): Refusal {
  return new Refusal(503, message, undefined, { 'Retry-After': '1' })
}

/** Translates what the file system says; undefined for what is nobody's fault but ours. */
export function fromSystemError(error: unknown): Refusal | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EACCES' || code === 'EPERM') {
    return new Refusal(403, 'Access denied: the server may not read the files of this dataset', 'GatedRepo')
  }
  if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM' || code === 'EIO' || code === 'ESTALE') {
    return busy(`The server cannot read its files at the moment (${String(code)})`)
  }
  return undefined
}
