/** Single files pinned: local ones copied into the store, those of the hub looked up, and each thing asked once. */
import { ShardmillError } from '../errors/index.ts'
import { listNames, nearest } from '../errors/nearest.ts'
import type { Hub, HubFile, RepoType } from '../hub/client/hub.ts'
import type { RetryLimits } from '../hub/client/retry.ts'
import { type Lock, type LockedFile, type LockedSource, sourcesOf } from '../pipeline/lock.ts'
import type { Digest, Store } from '../store/types.ts'
import { importLocal } from './import-file.ts'
import type { LocalFiles } from './local-files.ts'

export interface ResolveContext {
  readonly store: Store
  /** Made on first use: a recipe without hub data needs no hub. */
  readonly hub: () => Hub
  /** Folder that the recipe's relative paths start from. */
  readonly folder: string
  readonly signal: AbortSignal
  /** For files from other hosts than the hub; default: half a minute of silence, six tries. */
  readonly retry?: () => RetryLimits
  /** Where a lock of this recipe has the hub's branches and files: used instead of asking the hub. */
  readonly pinned?: Pins
  /** Only find out the digests; copy nothing into the store. */
  readonly lookOnly?: boolean
  /** Local files that were taken into the store elsewhere: then no local path is looked at here. */
  readonly locals?: LocalFiles
  /** Told of every optional file that is not there. */
  readonly notice?: (text: string) => void
}

/** What a lock has pinned, for resolving the same recipe again without moving and without asking the hub. */
export interface Pins {
  /** By `refKey`. */
  readonly commits: ReadonlyMap<string, string>
  /** By `refKey`, `/` and path. */
  readonly files: ReadonlyMap<string, LockedFile>
  /** By split and place. */
  readonly splits: Readonly<Record<string, readonly LockedSource[]>>
}

export function pinsOf(lock: Lock): Pins {
  const sources = sourcesOf(lock)
  const commits = new Map<string, string>()
  const files = new Map<string, LockedFile>()
  for (const { origin } of sources)
    if (origin.kind === 'hub') commits.set(refKey(origin.repo, origin.revision), origin.commit)
  const single = [
    lock.tokenizer.file,
    ...Object.values(lock.template.files ?? {}),
    ...sources.flatMap(({ aux }) => Object.values(aux)),
  ]
  for (const file of single) {
    if (file.hub === undefined) continue
    const { repo, revision, commit, type } = file.hub
    commits.set(refKey(repo, revision, type), commit)
    files.set(`${refKey(repo, revision, type)}/${file.path}`, file)
  }
  return { commits, files, splits: lock.splits }
}

/** A branch of a repository; a model and a dataset may have one name. */
function refKey(repo: string, revision: string, type?: RepoType): string {
  return `${type === undefined ? '' : `${type} `}${repo}@${revision}`
}

export interface Asked extends ResolveContext {
  readonly commit: (repo: string, revision: string, type?: RepoType) => Promise<string>
}

/** One build asks about a dataset once, however many of its splits it takes. */
export function memoized(context: ResolveContext): Asked {
  let hub: Hub | undefined
  const commits = new Map<string, Promise<string>>()
  const lists = new Map<string, Promise<HubFile[]>>()
  const readmes = new Map<string, Promise<string | undefined>>()
  const once = <T>(map: Map<string, Promise<T>>, key: string, ask: () => Promise<T>) => {
    let answer = map.get(key)
    if (answer === undefined) {
      answer = ask()
      map.set(key, answer)
    }
    return answer
  }
  const memoHub = (): Hub => {
    if (hub !== undefined) return hub
    const real = context.hub()
    hub = {
      ...real,
      resolveRevision: async (repo, revision = 'main', type) =>
        context.pinned?.commits.get(refKey(repo, revision, type)) ??
        once(commits, refKey(repo, revision, type), () => real.resolveRevision(repo, revision, type)),
      listFiles: (repo, commit, type) =>
        once(lists, refKey(repo, commit, type), () => real.listFiles(repo, commit, type)),
      readme: (repo, commit) => once(readmes, `${repo}@${commit}`, () => real.readme(repo, commit)),
    }
    return hub
  }
  return {
    ...context,
    hub: memoHub,
    commit: (repo, revision, type) => memoHub().resolveRevision(repo, revision, type),
  }
}

/** The store that takes local files in, or nothing when we only look. */
export function keeper({ store, lookOnly }: ResolveContext): Store | undefined {
  return lookOnly === true ? undefined : store
}

export async function localFile(context: ResolveContext, path: string, where: string): Promise<LockedFile> {
  const file = await optionalFile(context, path, where, false)
  if (file === undefined) throw new TypeError(`${where}: ${path} was not taken into the store`)
  return file
}

export function optionalFile(
  context: ResolveContext,
  path: string,
  where: string,
  optional: boolean,
): Promise<LockedFile | undefined> {
  const { locals, folder } = context
  if (locals === undefined) return importLocal(keeper(context), folder, path, where, optional)
  return Promise.resolve(locals[path] ?? undefined)
}

export interface HubPlace {
  readonly repo: string
  readonly type: RepoType
  readonly path: string
  readonly revision: string
}

export async function lockHubFile(place: HubPlace, where: string, context: Asked): Promise<LockedFile> {
  const { repo, type, path, revision } = place
  const pinned = pinnedFile(place, context)
  if (pinned !== undefined) return pinned
  const commit = await context.commit(repo, revision, type)
  const files = await context.hub().listFiles(repo, commit, type)
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) {
    const paths = files.map((candidate) => candidate.path)
    const guess = nearest(path, paths)
    throw new ShardmillError(
      'NOT_FOUND',
      `${where}: ${type ?? 'dataset'} ${repo} has no file ${JSON.stringify(path)} at revision ${revision}`,
      {
        hint: `${guess === undefined ? '' : `Did you mean ${JSON.stringify(guess)}? `}Its files are ${listNames(paths)}.`,
      },
    )
  }
  return lockedHubFile(file, revision)
}

/** A file that may be missing. */
export async function lockOptionalHubFile(place: HubPlace, context: Asked): Promise<LockedFile | undefined> {
  const { repo, type, path, revision } = place
  const pinned = pinnedFile(place, context)
  if (pinned !== undefined) return pinned
  const commit = await context.commit(repo, revision, type)
  const file = (await context.hub().listFiles(repo, commit, type)).find((one) => one.path === path)
  return file === undefined ? undefined : lockedHubFile(file, revision)
}

function pinnedFile({ repo, type, path, revision }: HubPlace, { pinned }: Asked): LockedFile | undefined {
  return pinned?.files.get(`${refKey(repo, revision, type)}/${path}`)
}

export function lockedHubFile(
  { repo, type, commit, path, bytes, sha256, gitOid }: HubFile,
  revision: string,
): LockedFile {
  return {
    path,
    bytes,
    ...(sha256 === undefined ? (gitOid === undefined ? {} : { gitOid }) : { sha256: sha256 as Digest }),
    hub: { repo, revision, commit, ...(type === undefined ? {} : { type }) },
  }
}
