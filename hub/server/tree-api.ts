/** `/tree/{revision}/{path}` and `/paths-info/{revision}`: what a folder holds, what paths are. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { badRequest, noEntry } from './refusal.ts'
import { encodePath, encodeSegment, nextLink, sendJson } from './reply.ts'
import type { Repo } from './repos.ts'
import { flag, limitParam, page, readFields } from './request.ts'
import { COMMIT_DATE, COMMIT_TITLE, type HubFile, type HubFolder, type Snapshot } from './snapshot.ts'

const PAGE = 1000
const EXPANDED_PAGE = 50
const MOST_BODY = 16 << 20

/** The entries of a folder, or with `recursive` of all below it; a page at a time. */
export async function tree(
  response: ServerResponse,
  repo: Repo,
  revision: string,
  path: string,
  query: URLSearchParams,
  base: string,
): Promise<void> {
  const snapshot = await repo.at(revision)
  const folder = snapshot.folders.get(path)
  if (folder === undefined) throw noEntry(path, snapshot.commit)
  const expand = flag(query.get('expand'))
  const limit = limitParam(query, expand ? EXPANDED_PAGE : PAGE, PAGE)
  const entries = flag(query.get('recursive')) ? [...walk(folder)] : folder.entries
  const { items, next } = page(entries, query, limit)
  const inner = path === '' ? '' : `/${encodePath(path)}`
  // The next page names the commit, not the branch: pages of two versions never mix.
  const address = `/api/${repo.kind}/${repo.id}/tree/${encodeSegment(snapshot.commit)}${inner}`
  sendJson(
    response,
    items.map((entry) => describe(entry, expand ? snapshot : undefined)),
    { 'X-Repo-Commit': snapshot.commit, ...nextLink(base, address, query, next) },
  )
}

/** What each of the given paths is; those that do not exist are left out. */
export async function pathsInfo(
  request: IncomingMessage,
  response: ServerResponse,
  repo: Repo,
  revision: string,
): Promise<void> {
  const fields = await readFields(request, MOST_BODY)
  const asked: unknown = fields['paths'] ?? []
  const paths: readonly unknown[] = Array.isArray(asked) ? asked : [asked]
  if (!paths.every((path) => typeof path === 'string')) throw badRequest('"paths" should be a list of texts')
  const snapshot = await repo.at(revision)
  const expand = flag(fields['expand']) ? snapshot : undefined
  const found = paths.flatMap((path) => {
    const clean = path.replace(/\/$/, '')
    const entry = snapshot.files.get(clean) ?? (clean === '' ? undefined : snapshot.folders.get(clean))
    return entry === undefined ? [] : [describe(entry, expand)]
  })
  sendJson(response, found, { 'X-Repo-Commit': snapshot.commit })
}

function* walk(folder: HubFolder): Generator<HubFile | HubFolder> {
  for (const entry of folder.entries) {
    yield entry
    if (entry.type === 'directory') yield* walk(entry)
  }
}

/** An entry as the hub lists it; with the last commit and the state of scans when `expanded` from a snapshot. */
function describe(entry: HubFile | HubFolder, expanded: Snapshot | undefined): Record<string, unknown> {
  const { type, path, oid } = entry
  const more =
    expanded === undefined
      ? {}
      : { lastCommit: { id: expanded.commit, title: COMMIT_TITLE, date: COMMIT_DATE } }
  if (entry.type === 'directory') return { type, oid, size: 0, path, ...more }
  const { size } = entry.stamp
  return {
    type,
    oid,
    size,
    ...(entry.lfs ? { lfs: { oid: entry.lfs.sha256, size, pointerSize: entry.lfs.pointerSize } } : {}),
    path,
    ...more,
    ...(expanded === undefined
      ? {}
      : { securityFileStatus: { status: 'unscanned', avScan: null, pickleImportScan: null } }),
  }
}
