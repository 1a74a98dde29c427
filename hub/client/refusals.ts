/** What a status that no retry can change means to the user. */
import { ShardmillError } from '../../errors/index.ts'
import { type Answer, readAll } from './http.ts'
import { nounOf, pageOf, type RepoType } from './paths.ts'
import { scrub, showUrl } from './redact.ts'
import type { HubSettings } from './settings.ts'

/** What was asked for, as far as it is known. */
export interface Asked {
  readonly repo: string
  readonly type?: RepoType
  readonly revision?: string
  readonly path?: string
}

/**
 * Turns a 4xx answer into the error for it. The hub hides private datasets behind 401 (and 404), so a missing one
 * cannot be told from one we may not see: the text says both. `X-Error-Code` tells the rest where it is sent.
 */
export async function refusal(answer: Answer, asked: Asked, settings: HubSettings): Promise<ShardmillError> {
  const said = await whatItSaid(answer, settings.token)
  const { status } = answer
  const code = answer.headers.get('x-error-code') ?? ''
  const { repo, type, revision, path } = asked
  const noun = nounOf(type)
  const page = pageOf(settings.endpoint, repo, type)
  const details = {
    status,
    repo,
    ...(revision === undefined ? {} : { revision }),
    ...(path === undefined ? {} : { path }),
  }
  const quote = said === '' ? '' : `; it says: ${said}`
  const known = settings.token !== undefined

  if (!answer.fromHub) {
    const where = showUrl(answer.url)
    const file = path === undefined ? repo : `${path} of ${repo}`
    const denied = status === 401 || status === 403
    return new ShardmillError(
      denied ? 'HUB_DENIED' : 'HUB_ANSWER',
      `${where}, where the hub sends us for ${file}, answered ${status}${quote}`,
      { details, hint: 'Such links expire; try again, and check any proxy on the way.', retryable: true },
    )
  }
  if (
    code === 'GatedRepo' ||
    (status === 403 && /gated|access to (this )?(dataset|model|repo)|awaiting/i.test(said))
  ) {
    return new ShardmillError(
      'HUB_DENIED',
      `${noun} ${repo} is gated${known ? ', and the token has no access' : ''}${quote}`,
      {
        details,
        hint: `Ask for access at ${page}${known ? '' : ', then set HF_TOKEN'}.`,
      },
    )
  }
  if (status === 401 && /invalid credentials/i.test(said)) {
    return new ShardmillError('HUB_DENIED', `the hub at ${settings.endpoint} does not accept the token`, {
      details,
      hint: 'Set HF_TOKEN to a valid token, or HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to go without one.',
    })
  }
  if (status === 401 || code === 'RepoNotFound') {
    const why = known ? 'or this token may not see it' : 'or is private and no token is set'
    const hint = `Check the spelling at ${page}; for a private ${noun} set HF_TOKEN to a token that may read it.`
    const text = `there is no ${noun} ${repo} on ${settings.endpoint}, ${why}`
    return new ShardmillError(code === 'RepoNotFound' ? 'NOT_FOUND' : 'HUB_DENIED', text, { details, hint })
  }
  if (status === 403) {
    return new ShardmillError(
      'HUB_DENIED',
      `the hub at ${settings.endpoint} refuses access to ${noun} ${repo}${quote}`,
      {
        details,
        hint: `Check at ${page} what the token may read.`,
      },
    )
  }
  if (status === 404 || status === 410) return notFound(asked, code, settings, details)
  return new ShardmillError(
    'HUB_ANSWER',
    `the hub at ${settings.endpoint} answered ${status} for ${noun} ${repo}${quote}`,
    {
      details,
      hint: 'Check HF_ENDPOINT, and any proxy on the way.',
    },
  )
}

function notFound(
  { repo, type, revision, path }: Asked,
  code: string,
  { endpoint }: HubSettings,
  details: Readonly<Record<string, unknown>>,
): ShardmillError {
  const noun = nounOf(type)
  const page = pageOf(endpoint, repo, type)
  const at = revision === undefined ? '' : ` at revision ${JSON.stringify(revision)}`
  if (path !== undefined && code !== 'RevisionNotFound') {
    return new ShardmillError('NOT_FOUND', `${noun} ${repo}${at} has no file ${JSON.stringify(path)}`, {
      details,
      hint: `Its files are listed at ${page}/tree/main.`,
    })
  }
  if (revision !== undefined && code === 'RevisionNotFound') {
    return new ShardmillError('NOT_FOUND', `${noun} ${repo} has no revision ${JSON.stringify(revision)}`, {
      details,
      hint: `Its branches and tags are listed at ${page}.`,
    })
  }
  const or =
    revision === undefined || revision === 'main' ? '' : `, or it has no revision ${JSON.stringify(revision)}`
  return new ShardmillError('NOT_FOUND', `there is no ${noun} ${repo} on ${endpoint}${or}`, {
    details,
    hint: `Check the spelling at ${page}; for a private ${noun} set HF_TOKEN to a token that may read it.`,
  })
}

/** The server's own words: a header, or the `error` field of a JSON body. */
async function whatItSaid(answer: Answer, token: string | undefined): Promise<string> {
  const header = answer.headers.get('x-error-message')
  if (header !== null) {
    answer.discard()
    return scrub(header, token)
  }
  try {
    const body: unknown = JSON.parse(Buffer.from(await readAll(answer, 65_536)).toString('utf8'))
    if (typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'string') {
      return scrub(body.error, token)
    }
  } catch {
    // no JSON, cut short or too long: the status says enough
  }
  return ''
}
