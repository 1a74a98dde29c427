/**
 * Recipe → lock: every moving reference pinned. Branches become commits, files become digests; local files are
 * copied into the store, so that what a build reads cannot change under it.
 */
import { ShardmillError } from '../errors/index.ts'
import { CONVERTED_BRANCH, type FoundSplit, findSplit } from '../hub/client/find-split.ts'
import type { Lock, LockedFile, LockedSource } from '../pipeline/lock.ts'
import { mapBounded } from '../pipeline/stage.ts'
import type { AuxFile, Source, TableOrigin } from '../stages/sources/define-source.ts'
import { sourceOf } from '../stages/sources/index.ts'
import type { Json } from '../store/types.ts'
import { fetchUrl, shownUrl } from './fetch-url.ts'
import type { RecipeSource } from './fields.ts'
import { importBytes, leftOut, portable } from './import-file.ts'
import type { Entry } from './kinds/define-kind.ts'
import { recipeKind } from './kinds/index.ts'
import { lockShards, readBuilt } from './lock-built.ts'
import {
  type Asked,
  keeper,
  localFile,
  lockedHubFile,
  lockHubFile,
  memoized,
  optionalFile,
  type Pins,
  type ResolveContext,
} from './lock-files.ts'
import { lockTemplateFiles, lockTokenizer } from './lock-tokenizer.ts'
import type { Recipe } from './schema.ts'

export { type Pins, pinsOf, type ResolveContext } from './lock-files.ts'

/** Sources asked about at a time. */
const parallel = 8

export async function resolveRecipe(recipe: Recipe, context: ResolveContext): Promise<Lock> {
  const asked = memoized(context)
  return recipeKind(recipe.kind).lock(recipe, {
    tokenizer: (tokenizing) => lockTokenizer(tokenizing, asked),
    templateFiles: (tokenizing) => lockTemplateFiles(tokenizing, asked),
    sources: (split, entries) =>
      mapBounded(entries, parallel, (entry, i) => lockSource(entry, { split, i }, asked)),
    folder: (from, where) => readBuilt(from, where, asked),
    shards: (folder, split, where) => lockShards(folder, split, where, asked),
  })
}

/** Only what differs from the usual is in a lock, so that the others stay as they are. */
function lockPolicies({ onUntrained, tooLong }: RecipeSource): Pick<LockedSource, 'onUntrained' | 'tooLong'> {
  return {
    ...(onUntrained === 'drop' || onUntrained === 'fail' ? { onUntrained } : {}),
    ...(tooLong === 'drop' || tooLong === 'fail' ? { tooLong } : {}),
  }
}

/** Where a source stands in a lock. */
interface Place {
  readonly split: string
  readonly i: number
}

/**
 * The locked source that came from what the recipe asks for. The one in its place comes first: of the others a lock
 * does not tell whether their subset, or the converted branch, was asked for or found.
 */
function pinnedSource(
  { splits }: Pins,
  { split, i }: Place,
  origin: Extract<TableOrigin, { kind: 'hub' }>,
): LockedSource | undefined {
  const inPlace = splits[split]?.[i] ?? []
  return [inPlace, ...Object.values(splits)]
    .flat()
    .find(
      ({ origin: was }) =>
        was.kind === 'hub' &&
        was.repo === origin.repo &&
        was.split === origin.split &&
        (was.revision === origin.revision || was.revision === CONVERTED_BRANCH) &&
        (origin.subset === undefined || was.subset === origin.subset) &&
        was.files === origin.files,
    )
}

async function lockSource({ entry, where }: Entry, place: Place, context: Asked): Promise<LockedSource> {
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
    if (file === undefined) {
      context.notice?.(leftOut(`${where}.path`, path, context.folder))
      return {
        ...common,
        reader: 'jsonl',
        files: [],
        aux: {},
        seed: null,
        origin: { kind: 'absent', path: portable(path) },
      }
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
  const pinned = context.pinned && pinnedSource(context.pinned, place, origin)
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
      return lockHubFile({ ...file, type: undefined }, where, context)
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
