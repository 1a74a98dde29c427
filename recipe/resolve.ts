/**
 * Recipe → lock: every moving reference pinned. Branches become commits, files become digests; local files are
 * copied into the store, so that what a build reads cannot change under it.
 */
import { ShardmillError } from '../errors/index.ts'
import { listNames, nearest } from '../errors/nearest.ts'
import { CONVERTED_BRANCH, type FoundSplit, findSplit } from '../hub/client/find-split.ts'
import type { Hub, HubFile } from '../hub/client/hub.ts'
import type { RetryLimits } from '../hub/client/retry.ts'
import { type Lock, type LockedFile, type LockedSource, sourcesOf } from '../pipeline/lock.ts'
import { mapBounded } from '../pipeline/stage.ts'
import type { AuxFile, Source, TableOrigin } from '../stages/sources/define-source.ts'
import { sourceOf } from '../stages/sources/index.ts'
import { checkTokenizerSize } from '../stages/tokenizers/index.ts'
import type { Digest, Json, Store } from '../store/types.ts'
import { fetchUrl, shownUrl } from './fetch-url.ts'
import type { RecipeSource, TokenizerRecipe } from './fields.ts'
import { importBytes, importLocal, portable } from './import-file.ts'
import { recipeKind } from './kinds/index.ts'
import type { LocalFiles } from './local-files.ts'
import type { Recipe } from './schema.ts'

export interface ResolveContext {
  readonly store: Store
  /** Made on first use: a recipe without hub data needs no hub. */
  readonly hub: () => Hub
  /** Folder that the recipe's relative paths start from. */
  readonly folder: string
  readonly signal: AbortSignal
  /** For files from other hosts than the hub; default: half a minute of silence, six tries. */
  readonly retry?: () => RetryLimits
  /** Commits to use instead of asking the hub where a revision is: `repo@revision` → commit (from a lock). */
  readonly pinned?: Pins
  /** Only find out the digests; copy nothing into the store. */
  readonly lookOnly?: boolean
  /** Local files that were taken into the store elsewhere: then no local path is looked at here. */
  readonly locals?: LocalFiles
}

/** Sources asked about at a time. */
const parallel = 8

export async function resolveRecipe(recipe: Recipe, context: ResolveContext): Promise<Lock> {
  const asked = memoized(context)
  return recipeKind(recipe.kind).lock(recipe, {
    tokenizer: (tokenizer) => lockTokenizer(tokenizer, asked),
    sources: (entries) =>
      mapBounded(entries, parallel, ({ entry, where }) => lockSource(entry, where, asked)),
  })
}

/** Only what differs from the usual is in a lock, so that the others stay as they are. */
function lockPolicies({ onUntrained, tooLong }: RecipeSource): Pick<LockedSource, 'onUntrained' | 'tooLong'> {
  return {
    ...(onUntrained === 'drop' || onUntrained === 'fail' ? { onUntrained } : {}),
    ...(tooLong === 'drop' || tooLong === 'fail' ? { tooLong } : {}),
  }
}

/** What a lock has pinned, for resolving the same recipe again without moving and without asking the hub. */
export interface Pins {
  /** `repo@revision` → commit. */
  readonly commits: ReadonlyMap<string, string>
  /** `repo@revision/path` → file. */
  readonly files: ReadonlyMap<string, LockedFile>
  readonly sources: readonly LockedSource[]
}

export function pinsOf(lock: Lock): Pins {
  const sources = sourcesOf(lock)
  const commits = new Map<string, string>()
  const files = new Map<string, LockedFile>()
  for (const { origin } of sources)
    if (origin.kind === 'hub') commits.set(`${origin.repo}@${origin.revision}`, origin.commit)
  for (const file of [lock.tokenizer.file, ...sources.flatMap(({ aux }) => Object.values(aux))]) {
    if (file.hub === undefined) continue
    commits.set(`${file.hub.repo}@${file.hub.revision}`, file.hub.commit)
    files.set(`${file.hub.repo}@${file.hub.revision}/${file.path}`, file)
  }
  return { commits, files, sources }
}

/** The locked source that came from what the recipe asks for. */
function pinnedSource(pins: Pins | undefined, origin: TableOrigin): LockedSource | undefined {
  if (origin.kind !== 'hub') return undefined
  return pins?.sources.find(
    ({ origin: was }) =>
      was.kind === 'hub' &&
      was.repo === origin.repo &&
      was.split === origin.split &&
      (was.revision === origin.revision || was.revision === CONVERTED_BRANCH) &&
      (origin.subset === undefined || was.subset === origin.subset) &&
      was.files === origin.files,
  )
}

interface Asked extends ResolveContext {
  readonly commit: (repo: string, revision: string) => Promise<string>
}

/** One build asks about a dataset once, however many of its splits it takes. */
function memoized(context: ResolveContext): Asked {
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
      resolveRevision: async (repo, revision = 'main') =>
        context.pinned?.commits.get(`${repo}@${revision}`) ??
        once(commits, `${repo}@${revision}`, () => real.resolveRevision(repo, revision)),
      listFiles: (repo, commit) => once(lists, `${repo}@${commit}`, () => real.listFiles(repo, commit)),
      readme: (repo, commit) => once(readmes, `${repo}@${commit}`, () => real.readme(repo, commit)),
    }
    return hub
  }
  return { ...context, hub: memoHub, commit: (repo, revision) => memoHub().resolveRevision(repo, revision) }
}

/** The store that takes local files in, or nothing when we only look. */
function keeper({ store, lookOnly }: ResolveContext): Store | undefined {
  return lookOnly === true ? undefined : store
}

async function localFile(context: ResolveContext, path: string, where: string): Promise<LockedFile> {
  const file = await optionalFile(context, path, where, false)
  if (file === undefined) throw new TypeError(`${where}: ${path} was not taken into the store`)
  return file
}

function optionalFile(
  context: ResolveContext,
  path: string,
  where: string,
  optional: boolean,
): Promise<LockedFile | undefined> {
  const { locals, folder } = context
  if (locals === undefined) return importLocal(keeper(context), folder, path, where, optional)
  return Promise.resolve(locals[path] ?? undefined)
}

async function lockTokenizer(tokenizer: TokenizerRecipe, context: Asked): Promise<Lock['tokenizer']> {
  if (tokenizer.kind === 'tiktoken') {
    const { tiktokenFile } = await import('../stages/tokenizers/tiktoken-file.ts')
    const file = await importBytes(
      keeper(context),
      await tiktokenFile(tokenizer.encoding),
      `tiktoken ${tokenizer.encoding}`,
    )
    return { kind: 'tiktoken', name: tokenizer.encoding, file }
  }
  const { kind, path, repo, revision } = tokenizer
  const options =
    kind === 'huggingface' && tokenizer.addedTokens === 'recognise'
      ? { addedTokens: 'recognise' as const }
      : {}
  const file = tokenizer.file ?? (kind === 'huggingface' && repo !== undefined ? 'tokenizer.json' : undefined)
  if (path !== undefined && repo === undefined && file === undefined) {
    const local = await localFile(context, path, 'tokenizer.path')
    checkTokenizerSize(kind, local.bytes, portable(path))
    return { kind, name: portable(path), file: local, ...options }
  }
  if (path === undefined && repo !== undefined && file !== undefined) {
    const name = `${repo}/${file}`
    const remote = await lockHubFile(repo, file, revision, 'tokenizer.file', context)
    checkTokenizerSize(kind, remote.bytes, name)
    return { kind, name, file: remote, ...options }
  }
  throw new ShardmillError(
    'RECIPE',
    `tokenizer: kind ${kind} needs path (a local file), or repo and file (on the hub)`,
  )
}

async function lockSource(entry: RecipeSource, where: string, context: Asked): Promise<LockedSource> {
  const source: Source = sourceOf(entry.task)
  const identity = meaningful(where, () => source.identity(entry))
  const common = {
    task: source.task,
    label: source.label(entry),
    format: { task: source.task, version: source.version, identity },
    start: entry.start,
    stop: entry.stop,
    step: entry.step,
    repeat: entry.repeat,
    ...lockPolicies(entry),
  }
  if (source.kind === 'generated') {
    const aux: Record<string, LockedFile> = {}
    for (const [role, file] of Object.entries(source.aux(entry)))
      aux[role] = await lockAux(file, `${where}.${role}`, context)
    return {
      ...common,
      reader: 'none',
      files: [],
      aux,
      seed: null,
      origin: { kind: 'generated', items: source.items(entry) },
    }
  }
  if (source.kind === 'lines') {
    const { path, optional } = source.path(entry)
    const file = await optionalFile(context, path, `${where}.path`, optional)
    if (file === undefined)
      return {
        ...common,
        reader: 'jsonl',
        files: [],
        aux: {},
        seed: null,
        origin: { kind: 'absent', path: portable(path) },
      }
    return {
      ...common,
      reader: 'jsonl',
      files: [file],
      aux: {},
      seed: null,
      origin: { kind: 'local', path: portable(path) },
    }
  }
  const origin = meaningful(where, () => source.origin(entry)) as TableOrigin
  const seed = source.seed(entry)
  if (origin.kind === 'local') {
    const file = await localFile(context, origin.path, `${where}.path`)
    return {
      ...common,
      reader: /\.(jsonl|ndjson|json)$/i.test(origin.path) ? 'jsonl' : 'parquet',
      files: [file],
      aux: {},
      seed,
      origin: { ...origin, path: portable(origin.path) },
    }
  }
  const pinned = pinnedSource(context.pinned, origin)
  if (pinned !== undefined)
    return { ...common, reader: pinned.reader, files: pinned.files, aux: {}, seed, origin: pinned.origin }
  const found = await findSplit(context.hub(), origin.repo, {
    subset: origin.subset,
    split: origin.split,
    revision: origin.revision,
    files: origin.files,
  })
  return {
    ...common,
    reader: found.format,
    files: found.files.map((file) => lockedHubFile(file, found.revision)),
    aux: {},
    seed,
    origin: hubOriginOf(found, origin.files),
  }
}

function hubOriginOf(
  { repo, revision, commit, subset, split }: FoundSplit,
  files: string | undefined,
): LockedSource['origin'] {
  return { kind: 'hub', repo, revision, commit, subset, split, ...(files === undefined ? {} : { files }) }
}

async function lockAux(file: AuxFile, where: string, context: Asked): Promise<LockedFile> {
  switch (file.kind) {
    case 'local':
      return localFile(context, file.path, where)
    case 'default':
      return importBytes(keeper(context), await file.load(), file.name)
    case 'url':
      return importBytes(
        keeper(context),
        await fetchUrl(file.url, where, context.signal, context.retry?.()),
        shownUrl(file.url),
      )
    case 'hub':
      return lockHubFile(file.repo, file.path, file.revision, where, context)
  }
}

async function lockHubFile(
  repo: string,
  path: string,
  revision: string,
  where: string,
  context: Asked,
): Promise<LockedFile> {
  const pinned = context.pinned?.files.get(`${repo}@${revision}/${path}`)
  if (pinned !== undefined) return pinned
  const commit = await context.commit(repo, revision)
  const files = await context.hub().listFiles(repo, commit)
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) {
    const paths = files.map((candidate) => candidate.path)
    const guess = nearest(path, paths)
    throw new ShardmillError(
      'NOT_FOUND',
      `${where}: dataset ${repo} has no file ${JSON.stringify(path)} at revision ${revision}`,
      {
        hint: `${guess === undefined ? '' : `Did you mean ${JSON.stringify(guess)}? `}Its files are ${listNames(paths)}.`,
      },
    )
  }
  return lockedHubFile(file, revision)
}

function lockedHubFile({ repo, commit, path, bytes, sha256, gitOid }: HubFile, revision: string): LockedFile {
  return {
    path,
    bytes,
    ...(sha256 === undefined ? (gitOid === undefined ? {} : { gitOid }) : { sha256: sha256 as Digest }),
    hub: { repo, revision, commit },
  }
}

/** Sources refuse combinations of their own fields with a TypeError; for the user it is the recipe that is wrong. */
function meaningful<T extends Json | TableOrigin>(where: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof TypeError) throw new ShardmillError('RECIPE', `${where}: ${error.message}`)
    throw error
  }
}
