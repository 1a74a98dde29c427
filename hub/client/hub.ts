/** The hub as the rest of shardmill sees it: commits, file lists, small files. Big files: download.ts. */
import { createHash } from 'node:crypto'
import { datasetInfo, listFiles as listFilesOfHub, modelInfo } from '@huggingface/hub'
import { z } from 'zod'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { compareCodePoints } from '../data-files.ts'
import { type Answer, createHttp, type HubHttp, readAll } from './http.ts'
import {
  checkListedPath,
  checkRepo,
  checkRepoPath,
  checkRevision,
  type HubFile,
  nounOf,
  type RepoType,
  resolveUrl,
} from './paths.ts'
import { type Asked, refusal } from './refusals.ts'
import { HubFault, type RetryNote, withRetries } from './retry.ts'
import type { HubSettings } from './settings.ts'

export type { HubFile, RepoType } from './paths.ts'
export type { RetryNote } from './retry.ts'

/** A listing page holds a thousand entries of a few hundred bytes; a README is text for people. */
const MAX_API_BYTES = 64 << 20
export const MAX_README_BYTES = 16 << 20

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly onRetry?: ((note: RetryNote) => void) | undefined
}

export interface HubOptions extends CallOptions {
  readonly fetch?: typeof fetch | undefined
}

export interface Hub {
  readonly endpoint: string
  /** For download.ts: single requests with redirects, timeouts and the token's rule. */
  readonly http: HubHttp
  /** Signal and retry callback given to `createHub`. */
  readonly defaults: CallOptions
  /** Commit (40 hex digits) of a branch, tag or commit; default `main`. A full commit is taken as it is. */
  resolveRevision(repo: string, revision?: string, type?: RepoType): Promise<string>
  /** Every file of the repository at a commit, sorted by path (code points). */
  listFiles(repo: string, commit: string, type?: RepoType): Promise<HubFile[]>
  /** The dataset card, or undefined when there is none. */
  readme(repo: string, commit: string): Promise<string | undefined>
  /** A file of at most `maxBytes` in memory, checked against its digest. */
  readFile(file: HubFile, maxBytes: number, options?: CallOptions): Promise<Uint8Array>
}

const Entry = z.object({
  type: z.string(),
  path: z.string().min(1),
  size: z.int().nonnegative().optional(),
  oid: z.string().optional(),
  lfs: z.object({ oid: z.string(), size: z.int().nonnegative() }).optional(),
})

/**
 * A hub for one build: a revision keeps the commit it had when first asked for, so that all splits of a dataset come
 * from one commit. Nothing is sent before the first call. Errors of all methods: see refusals.ts and retry.ts.
 */
export function createHub(settings: HubSettings, options: HubOptions = {}): Hub {
  const http = createHttp(settings, options.fetch)
  const { endpoint } = settings
  const retrying = <T>(attempt: () => Promise<T>, call: CallOptions = {}) =>
    withRetries(attempt, {
      limits: settings.retry,
      signal: call.signal ?? options.signal,
      onRetry: call.onRetry ?? options.onRetry,
    })

  /** A `fetch` for the client library: whole JSON answers, retried; refusals thrown as our errors. */
  function apiFetch(asked: Asked): typeof fetch {
    const seen = new Set<string>()
    return async (input) => {
      const url = new URL(input instanceof Request ? input.url : input, endpoint).href
      if (seen.has(url)) throw badAnswer(endpoint, asked, 'gives the same page of a list twice')
      seen.add(url)
      return retrying(async () => {
        const answer = await http.get(url, {
          headers: { accept: 'application/json' },
          signal: options.signal,
        })
        if (answer.status < 200 || answer.status > 299) throw await refusal(answer, asked, settings)
        const body = await readAll(answer, MAX_API_BYTES)
        if (!isJson(body)) {
          throw new HubFault(
            `the hub at ${endpoint} sent something that is not JSON for ${nounOf(asked.type)} ${asked.repo}`,
            {
              code: 'HUB_ANSWER',
              hint: 'Check HF_ENDPOINT: a login page or a proxy may answer in its place.',
            },
          )
        }
        const next = nextPage(answer.headers.get('link') ?? '', answer.url)
        if (next === null)
          throw badAnswer(endpoint, asked, 'names a next page of a list that is no web address')
        return new Response(new Uint8Array(body), {
          headers: { 'content-type': 'application/json', ...next },
        })
      })
    }
  }

  /** Runs a call of the client library; what it throws by itself comes from an answer it did not expect. */
  async function asking<T>(asked: Asked, call: (ask: typeof fetch) => Promise<T>): Promise<T> {
    checkRepo(asked.repo, asked.type)
    try {
      return await call(apiFetch(asked))
    } catch (error) {
      if (isShardmillError(error)) throw error
      throw badAnswer(endpoint, asked, 'sent an answer of another shape than expected', error)
    }
  }

  const commits = new Map<string, Promise<string>>()
  const listings = new Map<string, Promise<HubFile[]>>()

  async function resolveRevision(repo: string, revision = 'main', type?: RepoType): Promise<string> {
    checkRepo(repo, type)
    checkRevision(revision)
    if (/^[0-9a-f]{40}$/.test(revision)) return revision
    return once(commits, `${nounOf(type)} ${repo}@${revision}`, () => askCommit(repo, revision, type))
  }

  async function listFiles(repo: string, commit: string, type?: RepoType): Promise<HubFile[]> {
    return [
      ...(await once(listings, `${nounOf(type)} ${repo}@${commit}`, () => askFiles(repo, commit, type))),
    ]
  }

  async function askCommit(repo: string, revision: string, type: RepoType): Promise<string> {
    const info = await asking({ repo, type, revision }, (ask) => {
      const query = { name: repo, revision, hubUrl: endpoint, fetch: ask }
      return type === 'model'
        ? modelInfo({ ...query, additionalFields: ['sha'] })
        : datasetInfo({ ...query, additionalFields: ['sha'] })
    })
    const commit: unknown = info.sha
    if (typeof commit === 'string' && /^[0-9a-f]{40}$/.test(commit)) return commit
    throw badAnswer(endpoint, { repo, type }, `names no commit for revision ${JSON.stringify(revision)}`)
  }

  async function askFiles(repo: string, commit: string, type: RepoType): Promise<HubFile[]> {
    const files = await asking({ repo, type, revision: commit }, async (ask) => {
      const found = new Map<string, HubFile>()
      const all = {
        repo: { type: type ?? 'dataset', name: repo },
        revision: commit,
        recursive: true,
      } as const
      for await (const listed of listFilesOfHub({ ...all, hubUrl: endpoint, fetch: ask })) {
        const entry = Entry.parse(listed)
        checkListedPath(entry.path, repo)
        if (entry.type === 'file') found.set(entry.path, fileOf(entry, repo, type, commit))
      }
      return found
    })
    return [...files.values()].sort((a, b) => compareCodePoints(a.path, b.path))
  }

  async function readme(repo: string, commit: string): Promise<string | undefined> {
    const file = (await listFiles(repo, commit)).find((f) => f.path === 'README.md')
    if (file === undefined) return undefined
    return Buffer.from(await readFile(file, MAX_README_BYTES)).toString('utf8')
  }

  async function readFile(file: HubFile, maxBytes: number, call: CallOptions = {}): Promise<Uint8Array> {
    if (file.bytes > maxBytes) {
      const why = `is ${file.bytes} bytes long, more than the ${maxBytes} that are read of such a file`
      throw new ShardmillError('BAD_FILE', why, { at: { file: `${file.repo}/${file.path}` } })
    }
    return retrying(async () => {
      const bytes = await readAll(await open(file, call), file.bytes)
      if (bytes.length === file.bytes && contentMatches(file, bytes)) return bytes
      throw new HubFault(`the hub sent other bytes of ${file.repo}/${file.path} than its listing says`, {
        code: 'HUB_ANSWER',
      })
    }, call)
  }

  async function open(file: HubFile, call: CallOptions): Promise<Answer> {
    checkRepoPath(file.path, file.repo)
    const answer = await http.get(resolveUrl(endpoint, file), {
      headers: { 'accept-encoding': 'identity' },
      signal: call.signal ?? options.signal,
    })
    if (answer.status === 200) return answer
    const { repo, type, commit, path } = file
    throw await refusal(answer, { repo, type, revision: commit, path }, settings)
  }

  const defaults = { signal: options.signal, onRetry: options.onRetry }
  return { endpoint, http, defaults, resolveRevision, listFiles, readme, readFile }
}

/** The promise under `key`, made when there is none. A failed one is forgotten, so that it can be tried again. */
function once<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const there = made.get(key)
  if (there !== undefined) return there
  const promise = make()
  made.set(key, promise)
  promise.catch(() => made.delete(key))
  return promise
}

/**
 * The `Link` to the next page (RFC 8288) in the one form that the client library reads: it takes any other for the end
 * of the list. Undefined when there is none, null when it is no web address.
 */
function nextPage(header: string, base: URL): { readonly link: string } | undefined | null {
  for (const [, target = '', params = ''] of header.matchAll(/<([^>]*)>((?:\s*;[^;,"]*(?:"[^"]*")?)*)/g)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]*))/i.exec(params)
    const names = (rel?.[1] ?? rel?.[2] ?? '').toLowerCase().split(/\s+/)
    if (!names.includes('next')) continue
    const next = URL.canParse(target, base.href) ? new URL(target, base) : undefined
    return next?.protocol.startsWith('http') ? { link: `<${next.href}>; rel="next"` } : null
  }
  return undefined
}

/** Git's id of a file's content. */
export function gitBlobOid(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
}

function fileOf(entry: z.infer<typeof Entry>, repo: string, type: RepoType, commit: string): HubFile {
  const { path, oid, lfs } = entry
  const bytes = lfs?.size ?? entry.size
  const sha256 = lfs?.oid.replace(/^sha256:/, '').toLowerCase()
  const sound =
    bytes !== undefined &&
    (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256)) &&
    (oid === undefined || /^[0-9a-f]{40}$/.test(oid))
  if (!sound) throw new TypeError(`entry of ${path} has no size, or a digest that is none`)
  return {
    repo,
    ...(type === undefined ? {} : { type }),
    commit,
    path,
    bytes,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(oid === undefined ? {} : { gitOid: oid }),
  }
}

function contentMatches({ sha256, gitOid }: HubFile, bytes: Uint8Array): boolean {
  if (sha256 !== undefined) return createHash('sha256').update(bytes).digest('hex') === sha256
  return gitOid === undefined || gitBlobOid(bytes) === gitOid
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString('utf8'))
    return true
  } catch {
    return false
  }
}

function badAnswer(endpoint: string, { repo, type }: Asked, what: string, cause?: unknown): ShardmillError {
  return new ShardmillError('HUB_ANSWER', `for ${nounOf(type)} ${repo} the hub at ${endpoint} ${what}`, {
    hint: 'Check HF_ENDPOINT, and any proxy on the way.',
    cause,
  })
}
