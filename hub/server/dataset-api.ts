/** `/api/datasets` and `/api/datasets/{repo}`: what datasets there are, and what is known of one. */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { isShardmillError } from '../../errors/index.ts'
import { isMapping, readCard } from '../data-files.ts'
import { badRequest, Refusal } from './refusal.ts'
import { nextLink, sendJson } from './reply.ts'
import type { Repo, RepoKind, Repos } from './repos.ts'
import { flag, limitParam, listParam, page } from './request.ts'
import { COMMIT_DATE, COMMIT_TITLE, type Snapshot } from './snapshot.ts'

type Info = Readonly<Record<string, unknown>>

const LISTED = [
  'author',
  'createdAt',
  'disabled',
  'downloads',
  'gated',
  'lastModified',
  'likes',
  'private',
  'tags',
]
const SHOWN = [...LISTED, 'cardData', 'citation', 'description', 'sha', 'siblings', 'usedStorage']
const EXPANDABLE = new Set([...SHOWN, 'downloadsAllTime', 'mainSize', 'paperswithcode_id', 'trendingScore'])
// Fields of the hub that a folder has nothing to say about; asking for them is no mistake.
const EMPTY = new Set(['gitalyUid', 'resourceGroup', 'xetEnabled'])
// And those of models alone.
const EMPTY_OF_MODELS = new Set([
  'pipeline_tag',
  'library_name',
  'config',
  'safetensors',
  'gguf',
  'baseModels',
])

/** The answer to `dataset_info`: all fields, or those that `expand` names. */
export async function datasetInfo(
  response: ServerResponse,
  repo: Repo,
  revision: string,
  query: URLSearchParams,
): Promise<void> {
  const fields = expandParam(query, repo.kind) ?? SHOWN
  const snapshot = await repo.at(revision)
  const info = await describe(repo, snapshot, flag(query.get('blobs')))
  sendJson(response, pick(info, fields), { 'X-Repo-Commit': snapshot.commit })
}

/** The answer to `list_datasets`: by author, search and tags, a page at a time, sorted by id. */
export async function datasetList(
  response: ServerResponse,
  repos: Repos,
  query: URLSearchParams,
  base: string,
): Promise<void> {
  const fields = expandParam(query) ?? (flag(query.get('full')) ? SHOWN : LISTED)
  const limit = limitParam(query, 1000, 1000)
  const author = query.get('author')?.toLowerCase()
  const searches = listParam(query, 'search').map((text) => text.toLowerCase())
  const filters = listParam(query, 'filter')
  let ids = await repos.list()
  if (author !== undefined) ids = ids.filter((id) => id.toLowerCase().startsWith(`${author}/`))
  ids = ids.filter((id) => searches.every((text) => id.toLowerCase().includes(text)))
  if (filters.length > 0) {
    const tagged = await Promise.all(ids.map(async (id) => (await infoOf(repos, id))?.['tags']))
    ids = ids.filter((_, i) => filters.every((tag) => (tagged[i] as string[] | undefined)?.includes(tag)))
  }
  const { items, next } = page(ids, query, limit)
  const infos: Info[] = []
  for (const id of items) {
    const info = await infoOf(repos, id)
    if (info !== undefined) infos.push(pick(info, fields))
  }
  sendJson(response, infos, nextLink(base, '/api/datasets', query, next))
}

/** A dataset that cannot be read is left out of a list; asking for it by name says why. */
async function infoOf(repos: Repos, id: string): Promise<Info | undefined> {
  try {
    const repo = await repos.open(...(id.split('/') as [string, string]))
    return await describe(repo, await repo.at('main'), false)
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

/** The answer to `list_repo_refs`. */
export async function datasetRefs(response: ServerResponse, repo: Repo): Promise<void> {
  const ref = async (revision: string, name: string, prefix: string) => ({
    name,
    ref: `${prefix}${name}`,
    targetCommit: (await repo.at(revision)).commit,
  })
  const branches = [await ref('main', 'main', 'refs/heads/')]
  for (const branch of repo.branches) branches.push(await ref(branch, branch, 'refs/heads/'))
  const converts = []
  try {
    converts.push(await ref('refs/convert/parquet', 'parquet', 'refs/convert/'))
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'RevisionNotFound') throw error
  }
  sendJson(response, { tags: [], branches, converts, pullRequests: [] })
}

/** The answer to `list_repo_commits`: a folder has no history, so one commit. */
export async function datasetCommits(response: ServerResponse, repo: Repo, revision: string): Promise<void> {
  const { commit } = await repo.at(revision)
  const authors = [{ user: 'shardmill', avatar: '' }]
  const facts = { id: commit, title: COMMIT_TITLE, message: '', authors, date: COMMIT_DATE }
  sendJson(response, [{ ...facts, formatted: { title: COMMIT_TITLE, message: '' } }], { 'X-Total-Count': 1 })
}

async function describe(repo: Repo, snapshot: Snapshot, blobs: boolean): Promise<Info> {
  const card = await readCardOf(repo, snapshot)
  const files = [...snapshot.files.values()]
  return {
    _id: createHash('sha1').update(repo.id).digest('hex').slice(0, 24),
    id: repo.id,
    author: repo.id.split('/')[0],
    sha: snapshot.commit,
    lastModified: COMMIT_DATE,
    createdAt: COMMIT_DATE,
    private: false,
    gated: false,
    disabled: false,
    downloads: 0,
    downloadsAllTime: 0,
    likes: 0,
    trendingScore: 0,
    tags: card === undefined ? [] : tagsOf(card),
    cardData: card,
    citation: null,
    description: null,
    mainSize: sum(files.map((file) => file.stamp.size)),
    usedStorage: sum(files.map((file) => file.stamp.size)),
    siblings: files.map(({ path, oid, lfs, stamp: { size } }) => ({
      rfilename: path,
      ...(blobs ? { size, blobId: oid } : {}),
      ...(blobs && lfs ? { lfs: { sha256: lfs.sha256, size, pointerSize: lfs.pointerSize } } : {}),
    })),
  }
}

/** A README that makes no sense is no reason to hide the dataset. */
async function readCardOf(repo: Repo, snapshot: Snapshot): Promise<Info | undefined> {
  try {
    const readme = await repo.readme(snapshot)
    if (readme === undefined) return undefined
    const card = readCard(readme)
    JSON.stringify(card) // aliases may make it circular
    return card
  } catch (error) {
    if (!isShardmillError(error) && !(error instanceof TypeError)) throw error
    repo.log(error.message)
    return undefined
  }
}

const TAG_FIELDS = ['annotations_creators', 'language', 'license', 'multilinguality', 'size_categories']
const MORE_TAG_FIELDS = ['source_datasets', 'task_categories', 'task_ids']

function tagsOf(card: Info): string[] {
  const texts = (value: unknown) =>
    (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string')
  const named = [...TAG_FIELDS, ...MORE_TAG_FIELDS].flatMap((key) =>
    texts(card[key]).map((one) => `${key}:${one}`),
  )
  return [...named, ...texts(card['tags'])]
}

function expandParam(query: URLSearchParams, kind: RepoKind = 'datasets'): readonly string[] | undefined {
  const fields = listParam(query, 'expand')
  if (fields.length === 0) return undefined
  const wrong = fields.find(
    (field) =>
      !EXPANDABLE.has(field) && !EMPTY.has(field) && !(kind === 'models' && EMPTY_OF_MODELS.has(field)),
  )
  if (wrong === undefined) return fields
  throw badRequest(`"expand" does not know "${wrong}"; it takes ${[...EXPANDABLE].join(', ')}`)
}

function pick(info: Info, fields: readonly string[]): Info {
  const wanted = ['_id', 'id', ...fields].filter((key) => info[key] !== undefined)
  return Object.fromEntries(wanted.map((key) => [key, info[key]]))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}

/** What `/api/validate-yaml` says of a README. */
export function validateCard(content: unknown): { errors: { message: string }[]; warnings: never[] } {
  if (typeof content !== 'string') throw badRequest('"content" should be the text of the README')
  try {
    const card = readCard(content)
    return { errors: isMapping(card) ? [] : [{ message: 'not a mapping' }], warnings: [] }
  } catch (error) {
    if (!isShardmillError(error)) throw error
    return { errors: [{ message: error.message }], warnings: [] }
  }
}
