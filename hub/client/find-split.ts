/**
 * Which files hold a split: as the dataset's README says, else by the usual file names (hub/data-files.ts), else on
 * the branch where the hub keeps a parquet conversion of datasets that have a loading script or another format.
 */
import picomatch from 'picomatch'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { listNames, nearest } from '../../errors/nearest.ts'
import { compareCodePoints, type DataConfig, findDataFiles } from '../data-files.ts'
import { type Hub, type HubFile, MAX_README_BYTES } from './hub.ts'
import { checkRepoPath } from './paths.ts'

/** Where the hub keeps its conversion: `{subset}/{split}/0000.parquet`. It follows `main`. */
export const CONVERTED_BRANCH = 'refs/convert/parquet'

export type DataFormat = 'parquet' | 'jsonl'

export interface SplitWanted {
  /** A config of the dataset. May be left out where one is marked default, is named `default`, or is the only one. */
  readonly subset?: string | undefined
  readonly split: string
  /** Branch, tag or commit; default `main`. */
  readonly revision?: string | undefined
  /**
   * A glob over the paths of the dataset's files. Takes only what it matches, also files that belong to no split;
   * never those that the dataset puts into other splits (or other subsets, when one is named) alone.
   */
  readonly files?: string | undefined
  /** `revision` is a commit of the converted branch, as found before. */
  readonly converted?: boolean | undefined
}

export interface FoundSplit {
  readonly repo: string
  /** As asked; `refs/convert/parquet` where the files come from there. */
  readonly revision: string
  /** Commit of the files. */
  readonly commit: string
  readonly converted: boolean
  readonly subset: string
  readonly split: string
  readonly format: DataFormat
  /** In the order in which `datasets` reads them. At least one. */
  readonly files: readonly HubFile[]
}

/**
 * Finds the files of a split and pins their commit.
 *
 * Errors: `NOT_FOUND` for a dataset, revision, subset, split or glob that leads to nothing (naming what there is, and
 * the nearest), `BAD_FILE` for formats that we cannot read, `RECIPE` where a subset must be named, and the hub's own.
 */
export async function findSplit(hub: Hub, repo: string, wanted: SplitWanted): Promise<FoundSplit> {
  const revision = wanted.revision ?? 'main'
  const commit = await hub.resolveRevision(repo, revision)
  const place = { repo, revision, commit }
  if (wanted.converted || revision === CONVERTED_BRANCH) {
    const files = await hub.listFiles(repo, commit)
    return select({ ...place, converted: true, files, configs: convertedConfigs(files) }, wanted)
  }

  const files = await hub.listFiles(repo, commit)
  const offer = { ...place, converted: false, files }
  if (wanted.files !== undefined) {
    // Named files can be used even where the dataset's own account of itself makes no sense.
    const configs = await configsOf(hub, repo, files)
    return select({ ...offer, configs: configs instanceof ShardmillError ? [] : configs }, wanted)
  }
  const found = hasLoadingScript(repo, files)
    ? new ShardmillError('BAD_FILE', `dataset ${repo} is made by a loading script, which is never run`)
    : await readable(hub, offer, wanted)
  return found instanceof ShardmillError ? fromConverted(hub, place, wanted, found) : found
}

interface Place {
  readonly repo: string
  readonly revision: string
  readonly commit: string
}

interface Offer extends Place {
  readonly converted: boolean
  readonly files: readonly HubFile[]
  readonly configs: readonly DataConfig[]
}

/** The split in the dataset's own files, or why they are of no use, so that the converted branch is worth a look. */
async function readable(
  hub: Hub,
  offer: Omit<Offer, 'configs'>,
  wanted: SplitWanted,
): Promise<FoundSplit | ShardmillError> {
  const configs = await configsOf(hub, offer.repo, offer.files)
  if (configs instanceof ShardmillError) {
    if (configs.code === 'NOT_FOUND') return configs
    throw configs
  }
  try {
    return select({ ...offer, configs }, wanted)
  } catch (error) {
    if (isShardmillError(error, 'BAD_FILE')) return error
    throw error
  }
}

async function configsOf(
  hub: Hub,
  repo: string,
  files: readonly HubFile[],
): Promise<readonly DataConfig[] | ShardmillError> {
  const card = files.find(({ path }) => path === 'README.md')
  const readme = card && Buffer.from(await hub.readFile(card, MAX_README_BYTES)).toString('utf8')
  const paths = files.map(({ path }) => path)
  try {
    return findDataFiles(paths, readme).configs
  } catch (error) {
    if (!isShardmillError(error)) throw error
    const { code, why, hint } = error
    const options = { ...(hint === undefined ? {} : { hint }), cause: error }
    return new ShardmillError(code, `dataset ${repo}: ${why}`, options)
  }
}

async function fromConverted(
  hub: Hub,
  { repo, revision, commit }: Place,
  wanted: SplitWanted,
  trouble: ShardmillError,
): Promise<FoundSplit> {
  const hint = `Name files of the dataset with \`files\`, or set \`revision: ${CONVERTED_BRANCH}\` once the hub has converted it.`
  const teach = (why: string) =>
    new ShardmillError(trouble.code, `${trouble.why}; ${why}`, { hint, details: { repo }, cause: trouble })
  let converted: string
  try {
    converted = await hub.resolveRevision(repo, CONVERTED_BRANCH)
  } catch (error) {
    if (isShardmillError(error, 'NOT_FOUND'))
      throw teach(`the hub has no parquet conversion of it (${CONVERTED_BRANCH})`)
    throw error
  }
  if (revision !== 'main' && (await hub.resolveRevision(repo)) !== commit) {
    throw teach(`and the hub's parquet conversion follows main, not revision ${JSON.stringify(revision)}`)
  }
  const files = await hub.listFiles(repo, converted)
  const offer = { repo, revision: CONVERTED_BRANCH, commit: converted, converted: true, files }
  return select({ ...offer, configs: convertedConfigs(files) }, wanted)
}

function select(offer: Offer, wanted: SplitWanted): FoundSplit {
  const { repo, revision, commit, converted } = offer
  const byPath = new Map(offer.files.map((file) => [file.path, file]))
  const { subset, paths } =
    wanted.files === undefined ? declared(offer, wanted) : globbed(offer, wanted, wanted.files)
  const { split } = wanted
  for (const path of paths) checkRepoPath(path, repo)
  const format = formatOf(repo, split, paths)
  const files = paths.map((path) => byPath.get(path)!)
  return { repo, revision, commit, converted, subset, split, format, files }
}

/** The files that the dataset itself declares. */
function declared(
  { repo, configs }: Offer,
  wanted: SplitWanted,
): { subset: string; paths: readonly string[] } {
  const config = findConfig(repo, configs, wanted.subset)
  if (config.problem !== undefined)
    throw new ShardmillError('NOT_FOUND', `dataset ${repo}: ${config.problem}`)
  const splits = config.splits.map(({ name }) => name)
  const found = config.splits.find(({ name }) => name === wanted.split)
  if (found === undefined) {
    throw new ShardmillError(
      'NOT_FOUND',
      `${subsetOf(repo, config.name)} has no split ${JSON.stringify(wanted.split)}`,
      {
        hint: meant('splits', wanted.split, splits),
        details: { repo, subset: config.name, splits },
      },
    )
  }
  if (found.files.length === 0) {
    throw new ShardmillError(
      'NOT_FOUND',
      `${subsetOf(repo, config.name)} names no file for split "${found.name}"`,
      {
        hint: 'Compare the `configs` field of its README with its files, or name them with `files`.',
      },
    )
  }
  return { subset: config.name, paths: found.files }
}

function findConfig(repo: string, configs: readonly DataConfig[], subset: string | undefined): DataConfig {
  const names = configs.map(({ name }) => name)
  const details = { repo, subsets: names }
  if (subset !== undefined) {
    const named = configs.find(({ name }) => name === subset)
    if (named !== undefined) return named
    throw new ShardmillError('NOT_FOUND', `dataset ${repo} has no subset ${JSON.stringify(subset)}`, {
      hint: meant('subsets', subset, names),
      details,
    })
  }
  const marked =
    configs.find((config) => config.default) ?? configs.find(({ name }) => name === 'default') ?? configs[0]
  if (marked !== undefined && (configs.length === 1 || marked.default || marked.name === 'default'))
    return marked
  throw new ShardmillError('RECIPE', `dataset ${repo} has several subsets, and none is its default`, {
    hint: `Name one of them as \`subset\`: ${listNames(names, 20)}.`,
    details,
  })
}

/** The files that a glob takes, without those that are declared as something else. */
function globbed(
  { repo, configs, files }: Offer,
  wanted: SplitWanted,
  glob: string,
): { subset: string; paths: string[] } {
  const matches = matcherOf(glob)
  const matched = files.filter(({ path }) => matches(path)).map(({ path }) => path)
  if (matched.length === 0) {
    throw new ShardmillError('NOT_FOUND', `no file of dataset ${repo} matches ${JSON.stringify(glob)}`, {
      hint: meant(
        'files',
        glob,
        files.map(({ path }) => path),
      ),
    })
  }
  if (wanted.subset !== undefined && configs.length > 0) findConfig(repo, configs, wanted.subset)
  const home = new Map<string, string>()
  const welcome = new Set<string>()
  for (const config of configs) {
    for (const split of config.splits) {
      const asked = split.name === wanted.split && (wanted.subset ?? config.name) === config.name
      for (const path of split.files) {
        if (asked) welcome.add(path)
        else if (!home.has(path)) home.set(path, `split "${split.name}" of subset "${config.name}"`)
      }
    }
  }
  const paths = matched.filter((path) => welcome.has(path) || !home.has(path)).sort(compareCodePoints)
  if (paths.length > 0) return { subset: wanted.subset ?? 'default', paths }
  const first = matched[0]!
  const why = `of dataset ${repo}, ${JSON.stringify(glob)} matches only files of other splits`
  throw new ShardmillError('NOT_FOUND', `${why}: ${JSON.stringify(first)} belongs to ${home.get(first)}`, {
    hint: `Set \`split\` (and \`subset\`) to where the files belong; it is ${JSON.stringify(wanted.split)} now.`,
  })
}

function matcherOf(glob: string): (path: string) => boolean {
  try {
    return picomatch(glob.replace(/^\.?\//, ''), { dot: true })
  } catch (error) {
    const shown = JSON.stringify(glob.length > 200 ? `${glob.slice(0, 200)}…` : glob)
    throw new ShardmillError('RECIPE', `files: ${shown} is no glob over paths of files`, {
      hint: 'Write one like `data/*.parquet`.',
      cause: error,
    })
  }
}

/** The layout of the converted branch. `partial-train` is the start of a split too large for the hub to convert. */
function convertedConfigs(files: readonly HubFile[]): DataConfig[] {
  const configs = new Map<string, Map<string, string[]>>()
  for (const { path } of files) {
    const [subset, split, name, ...rest] = path.split('/')
    if (subset === undefined || split === undefined || rest.length > 0 || !name?.endsWith('.parquet'))
      continue
    const splits = configs.get(subset) ?? new Map<string, string[]>()
    const paths = splits.get(split)
    if (paths === undefined) splits.set(split, [path])
    else paths.push(path)
    configs.set(subset, splits)
  }
  return [...configs].map(([name, splits]) => ({
    name,
    default: false,
    splits: [...splits].map(([split, paths]) => ({ name: split, files: paths.sort(compareCodePoints) })),
  }))
}

function formatOf(repo: string, split: string, paths: readonly string[]): DataFormat {
  const formats = new Set(paths.map((path) => FORMATS.find(([end]) => path.toLowerCase().endsWith(end))?.[1]))
  const [format] = formats
  if (formats.size === 1 && format !== undefined) return format
  const readable = formats.size > 1 && !formats.has(undefined)
  const endings = [...new Set(paths.map((path) => /[^/]\.([^/]+)$/.exec(path)?.[1] ?? 'no ending'))]
  const what = readable
    ? 'mixes parquet and JSON files'
    : `consists of files that we cannot read (${listNames(endings, 5)})`
  throw new ShardmillError('BAD_FILE', `split "${split}" of dataset ${repo} ${what}`, {
    hint: 'Files may be parquet or JSON lines (.parquet, .jsonl, .ndjson, .json); choose some with `files`.',
  })
}

const FORMATS: readonly (readonly [string, DataFormat])[] = [
  ['.parquet', 'parquet'],
  ['.jsonl', 'jsonl'],
  ['.ndjson', 'jsonl'],
  ['.json', 'jsonl'],
]

/** A dataset's loading script bears its name; `datasets` up to version 3 ran it, we never do. */
function hasLoadingScript(repo: string, files: readonly HubFile[]): boolean {
  const script = `${repo.slice(repo.lastIndexOf('/') + 1)}.py`
  return files.some(({ path }) => path === script)
}

function subsetOf(repo: string, subset: string): string {
  return subset === 'default' ? `dataset ${repo}` : `subset "${subset}" of dataset ${repo}`
}

function meant(kind: string, name: string, there: readonly string[]): string {
  if (there.length === 0) return `It has no ${kind} at all.`
  const near = nearest(name, there)
  const list = `Its ${kind} are ${listNames(there)}.`
  return near === undefined ? list : `Did you mean ${JSON.stringify(near)}? ${list}`
}
