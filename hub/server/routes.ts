/** Which address is which endpoint. */
import { datasetCommits, datasetInfo, datasetList, datasetRefs, validateCard } from './dataset-api.ts'
import { cdn, type Exchange, raw, resolve } from './files.ts'
import { parquetFiles } from './parquet-api.ts'
import { noRepo, Refusal } from './refusal.ts'
import { sendBody, sendJson } from './reply.ts'
import type { Repo, Repos } from './repos.ts'
import { readFields, type Target, takeRevision } from './request.ts'
import { pathsInfo, tree } from './tree-api.ts'

const MOST_README = 16 << 20

/** Answers a request, or throws a Refusal. */
export async function route(exchange: Exchange, target: Target, repos: Repos, base: string): Promise<void> {
  const [first, second, org, name, ...rest] = target.segments
  if (first === undefined) {
    allow(exchange, 'GET')
    const ids = await repos.list()
    return sendBody(exchange.response, 200, 'text/plain; charset=utf-8', `${ids.join('\n')}\n`)
  }
  if (first === 'api' && second === 'datasets') {
    if (org === undefined) {
      allow(exchange, 'GET')
      return datasetList(exchange.response, repos, target.query, base)
    }
    return datasetApi(exchange, target.query, await repos.open(org, name), rest, base)
  }
  if (first === 'api' && second === 'models' && org !== undefined) {
    const [operation] = rest
    const known =
      operation === undefined || ['revision', 'tree', 'paths-info', 'refs', 'commits'].includes(operation)
    if (!known) throw new Refusal(404, `This server has no endpoint "${operation}" for models`)
    return datasetApi(exchange, target.query, await repos.open(org, name, 'models'), rest, base)
  }
  if (first === 'datasets') {
    allow(exchange, 'GET')
    const [, repoOrg, repoName, kind, ...place] = target.segments
    const { revision, path } = takeRevision(place)
    const repo = await repos.open(repoOrg, repoName)
    if (kind === 'resolve') return resolve(exchange, repo, revision, path, base)
    if (kind === 'raw') return raw(exchange, repo, revision, path)
  }
  if (first === 'cdn' && (second === 'datasets' || second === 'models')) {
    allow(exchange, 'GET')
    const [commit = '', sha256 = '', ...path] = rest
    return cdn(exchange, await repos.open(org, name, second), commit, sha256, path.join('/'))
  }
  if (first === 'api' && second === 'whoami-v2') return whoAmI(exchange)
  if (first === 'api' && second === 'validate-yaml') {
    allow(exchange, 'POST')
    const { content } = await readFields(exchange.request, MOST_README)
    return sendJson(exchange.response, validateCard(content))
  }
  if (org === 'resolve' && first !== 'spaces') {
    allow(exchange, 'GET')
    const { revision, path } = takeRevision(target.segments.slice(3))
    return resolve(exchange, await repos.open(first, second, 'models'), revision, path, base)
  }
  // Spaces and buckets: there are none here.
  if ((first === 'api' && org !== undefined) || org === 'resolve' || second === 'resolve') throw noRepo()
  throw new Refusal(404, 'This server has no such page; it serves datasets and models only')
}

async function datasetApi(
  exchange: Exchange,
  query: URLSearchParams,
  repo: Repo,
  [operation, ...rest]: readonly string[],
  base: string,
): Promise<void> {
  const { request, response } = exchange
  allow(exchange, operation === 'paths-info' ? 'POST' : 'GET')
  const { revision, path } = takeRevision(rest)
  switch (operation) {
    case undefined:
      return datasetInfo(response, repo, 'main', query)
    case 'revision':
      return datasetInfo(response, repo, rest.join('/'), query)
    case 'tree':
      return tree(response, repo, revision || 'main', path, query, base)
    case 'paths-info':
      return pathsInfo(request, response, repo, revision || 'main')
    case 'refs':
      return datasetRefs(response, repo)
    case 'commits':
      return datasetCommits(response, repo, rest.join('/') || 'main')
    case 'parquet':
      return parquetFiles(response, repo, rest, base)
    case 'auth-check':
      return sendJson(response, {})
    default:
      throw new Refusal(404, `This server has no endpoint "${operation}" for datasets`)
  }
}

/** Who the token belongs to: one nameless reader. */
function whoAmI(exchange: Exchange): void {
  allow(exchange, 'GET')
  if (exchange.request.headers.authorization === undefined) {
    throw new Refusal(401, 'Invalid username or password.', undefined, {
      'WWW-Authenticate': 'Bearer realm="Authentication required"',
    })
  }
  const accessToken = { displayName: 'shardmill', role: 'read', createdAt: '2000-01-01T00:00:00.000Z' }
  sendJson(exchange.response, {
    type: 'user',
    id: '0'.repeat(24),
    name: 'shardmill',
    fullname: 'shardmill',
    email: null,
    isPro: false,
    orgs: [],
    auth: { type: 'access_token', accessToken },
  })
}

/** HEAD is answered wherever GET is. */
function allow({ request }: Exchange, method: 'GET' | 'POST'): void {
  if (request.method === method || (method === 'GET' && request.method === 'HEAD')) return
  const allowed = method === 'GET' ? 'GET, HEAD' : method
  throw new Refusal(405, `${request.method} is not allowed here`, undefined, { Allow: allowed })
}
