/**
 * Which configs and splits a dataset has, and which files belong to each, found from the list of its files and
 * its README alone, as the `datasets` library (5.2) finds them:
 * 1. the `configs` field of the README's YAML header;
 * 2. else the usual names: `data/<split>-00000-of-00001.*`, then split keywords in folder names, then in file names;
 * 3. else every data file is `train`.
 *
 * Two things differ from the library: the standalone `.huggingface.yaml` is not read, and archives (`.zip`) are
 * not looked into.
 */
import { ShardmillError } from '../errors/index.ts'
import { badCard, isMapping, readCard, typeName } from './data-files/card.ts'
import { compileGlob, isPattern } from './data-files/glob.ts'
import {
  baseName,
  compareCodePoints,
  hasDataExtension,
  ofFormat,
  startingWith,
  voteFormat,
} from './data-files/kinds.ts'

export { isMapping, readCard } from './data-files/card.ts'
export { compareCodePoints } from './data-files/kinds.ts'

export interface DataSplit {
  readonly name: string
  /** Paths in the order in which the library reads them. Empty when the split's patterns match nothing. */
  readonly files: readonly string[]
}

export interface DataConfig {
  readonly name: string
  readonly default: boolean
  /** In the order of the README, or else train, validation, test and then the others by name. */
  readonly splits: readonly DataSplit[]
  /** Why this config cannot be loaded (a file it names is missing); it then has no splits. */
  readonly problem?: string
}

export interface DataFiles {
  readonly configs: readonly DataConfig[]
}

/**
 * The configs, splits and files of a dataset.
 *
 * @param files every file of the dataset, as paths relative to its root with `/` between segments, in any order
 * @param readme the text of its README.md, if it has one
 * @throws ShardmillError BAD_FILE for a README whose header makes no sense or files of more than one format
 *   where the README does not say which are meant; NOT_FOUND for a dataset without data files
 */
export function findDataFiles(files: readonly string[], readme: string | undefined): DataFiles {
  const listing = [...new Set(files)].sort(compareCodePoints)
  const card = readCard(readme)
  const described = readConfigs(card['configs'])
  if (described.size === 0) return { configs: [usualConfig(listing)] }

  const defaultName = findDefault(described, card['dataset_info'])
  const configs = [...described].map(([name, config]) => resolveConfig(listing, name, config, defaultName))
  const broken = configs.filter((config) => config.problem !== undefined)
  if (broken.length === configs.length)
    throw new ShardmillError('NOT_FOUND', broken[0]!.problem!, missingHint)
  return { configs }
}

const missingHint = { hint: 'Compare the `configs` field of the README with the files of the dataset.' }

// ---- The README's configs

interface ConfigEntry {
  /** Split → patterns, or undefined when the usual names are to be looked for. */
  readonly patterns: ReadonlyMap<string, readonly string[]> | undefined
  readonly dataDir: string
  readonly isDefault: boolean
}

function readConfigs(value: unknown): ReadonlyMap<string, ConfigEntry> {
  const configs = new Map<string, ConfigEntry>()
  if (isFalsy(value)) return configs
  if (!Array.isArray(value)) throw badCard(`\`configs\` should be a list, but is ${typeName(value)}`)
  for (const [i, item] of value.entries()) {
    const where = `\`configs\` entry ${i + 1}`
    if (!isMapping(item))
      throw badCard(`${where} should be a mapping with \`config_name\`, but is ${typeName(item)}`)
    const name = item['config_name']
    if (typeof name !== 'string' || name === '') {
      throw badCard(`${where} needs a text as \`config_name\`, but it is ${typeName(name)}`, quoteHint)
    }
    const dataDir = item['data_dir'] ?? ''
    if (typeof dataDir !== 'string') {
      throw badCard(
        `\`data_dir\` of config "${name}" should be a text, but is ${typeName(dataDir)}`,
        quoteHint,
      )
    }
    configs.set(name, {
      patterns: readPatterns(name, item['data_files']),
      dataDir: cleanPath(dataDir, name),
      isDefault: !isFalsy(item['default']),
    })
  }
  return configs
}

const quoteHint = 'Put quotes around names that YAML would take for a number, a date or yes/no.'

function readPatterns(config: string, value: unknown): ReadonlyMap<string, readonly string[]> | undefined {
  if (value === undefined || value === null) return undefined
  const wrong = (what: string) =>
    badCard(
      `\`data_files\` of config "${config}" ${what}`,
      'It may be a path, a list of paths, or a list of {split, path}; `*` and `**` match names and folders.',
    )
  if (typeof value === 'string') return new Map([['train', [value]]])
  if (!Array.isArray(value)) throw wrong(`should be a text or a list, but is ${typeName(value)}`)
  if (value.every((item) => typeof item === 'string')) return new Map([['train', value]])

  const patterns = new Map<string, readonly string[]>()
  for (const item of value) {
    if (!isMapping(item) || Object.keys(item).sort().join() !== 'path,split') {
      throw wrong(`should have entries of {split, path} only, but one is ${typeName(item)}`)
    }
    const { split, path } = item
    if (typeof split !== 'string') throw wrong(`has a split that is ${typeName(split)}, not a text`)
    checkSplitName(split)
    if (patterns.has(split)) throw wrong(`names the split "${split}" twice`)
    const paths: readonly unknown[] = Array.isArray(path) ? path : [path]
    if (!paths.every((one) => typeof one === 'string')) {
      throw wrong(`should give split "${split}" a path or a list of paths, but it is ${typeName(path)}`)
    }
    patterns.set(split, paths)
  }
  return patterns
}

function checkSplitName(name: string): void {
  if (/^[\p{L}\p{N}_]+(\.[\p{L}\p{N}_]+)*$/u.test(name)) return
  throw badCard(
    `"${name}" cannot be the name of a split`,
    'Split names consist of letters, digits and _, with single dots inside.',
  )
}

/** The config that is loaded when none is named: the only one, the one called "default" or the one marked so. */
function findDefault(configs: ReadonlyMap<string, ConfigEntry>, info: unknown): string | undefined {
  const names = [...configs]
    .filter(([name, config]) => configs.size === 1 || name === 'default' || config.isDefault)
    .map(([name]) => name)
  if (names.length > 1) throw badCard(`\`configs\` has several defaults: "${names[0]}" and "${names[1]}"`)
  if (names.length === 1) return names[0]
  const infos = (Array.isArray(info) ? info : [info]).filter(isMapping)
  const only = infos.length === 1 ? infos[0]!['config_name'] : undefined
  return typeof only === 'string' ? only : undefined
}

function resolveConfig(
  listing: readonly string[],
  name: string,
  { patterns, dataDir }: ConfigEntry,
  defaultName: string | undefined,
): DataConfig {
  const facts = { name, default: name === defaultName }
  const chosen = patterns ?? usualPatterns(listing, dataDir)
  if (chosen === undefined) {
    const where = dataDir === '' ? 'the dataset' : `"${dataDir}"`
    return { ...facts, splits: [], problem: `config "${name}" has no data files: there are none in ${where}` }
  }
  const splits: DataSplit[] = []
  for (const [split, list] of chosen) {
    const files: string[] = []
    for (const pattern of list) {
      const found = match(listing, dataDir, pattern, name).filter(hasDataExtension)
      if (found.length === 0 && !isPattern(pattern)) {
        const path = join(dataDir, cleanPath(pattern, name))
        const why = listing.includes(path) ? 'no file of a known data format' : 'missing'
        const problem = `config "${name}", split "${split}" names the file "${path}", which is ${why}`
        return { ...facts, splits: [], problem }
      }
      files.push(...found)
    }
    splits.push({ name: split, files })
  }
  return { ...facts, splits }
}

// ---- The usual names

const KEYWORDS: readonly (readonly [string, readonly string[]])[] = [
  ['train', ['train', 'training']],
  ['validation', ['validation', 'valid', 'dev', 'val']],
  ['test', ['test', 'testing', 'eval', 'evaluation']],
]
const BETWEEN = '[-._ 0-9]'
const FIVE = '[0-9][0-9][0-9][0-9][0-9]'
const IN_FOLDER = (word: string) => [
  `**/${word}/**`,
  `**/${word}${BETWEEN}*/**`,
  `**/*${BETWEEN}${word}/**`,
  `**/*${BETWEEN}${word}${BETWEEN}*/**`,
]
const IN_FILE = (word: string) => [`**/${word}${BETWEEN}*`, `**/*${BETWEEN}${word}${BETWEEN}*`]
const byKeyword = (patterns: (word: string) => string[]) =>
  new Map(KEYWORDS.map(([split, words]) => [split, words.flatMap(patterns)]))

const USUAL: readonly ReadonlyMap<string, readonly string[]>[] = [
  new Map([['logs', ['**/*.eval']]]),
  new Map([['test', ['**/task.toml', '**/instruction.md']]]),
  byKeyword(IN_FOLDER),
  byKeyword(IN_FILE),
  new Map([['train', ['**']]]),
]

/** Split → patterns for the files below `dir`, by the first of the usual ways of naming that any file follows. */
function usualPatterns(
  listing: readonly string[],
  dir: string,
): ReadonlyMap<string, readonly string[]> | undefined {
  const sharded = match(listing, dir, `data/*-${FIVE}-of-${FIVE}*.*`)
  if (sharded.length > 0) {
    const splits = new Set(sharded.map((file) => /^(.+)-\d{5}-of-\d{4}/.exec(baseName(file))?.[1] ?? ''))
    for (const split of splits) checkSplitName(split)
    const first = KEYWORDS.map(([split]) => split).filter((split) => splits.delete(split))
    return new Map(
      [...first, ...[...splits].sort(compareCodePoints)].map((split) => [
        split,
        [`data/${split}-${FIVE}-of-${FIVE}*.*`],
      ]),
    )
  }
  for (const way of USUAL) {
    const present = [...way].filter(([, patterns]) =>
      patterns.some((one) => match(listing, dir, one).length > 0),
    )
    if (present.length > 0) return new Map(present)
  }
  return undefined
}

/** The one config of a dataset whose README names none. All its splits must be of one format. */
function usualConfig(listing: readonly string[]): DataConfig {
  const patterns = usualPatterns(listing, '')
  const splits = [...(patterns ?? [])].map(([name, list]) => ({
    name,
    files: list.flatMap((pattern) => match(listing, '', pattern)).filter(hasDataExtension),
  }))
  const formats = splits.map(({ files }) => voteFormat(files))
  const format = formats[0]
  const other = formats.findIndex((one) => one !== format)
  if (other > 0) {
    throw new ShardmillError(
      'BAD_FILE',
      `the splits are not of one format: "${splits[0]!.name}" is ${format ?? 'of no known format'}, ` +
        `"${splits[other]!.name}" is ${formats[other] ?? 'of no known format'}`,
      { hint: 'Say in the `configs` field of the README which files are meant.' },
    )
  }
  if (format === undefined) {
    throw new ShardmillError('NOT_FOUND', `the dataset has no data files among its ${listing.length} files`, {
      hint: 'Data files are recognised by their extension: .parquet, .jsonl, .json, .csv, …',
    })
  }
  return {
    name: 'default',
    default: true,
    splits: splits.map(({ name, files }) => ({ name, files: ofFormat(files, format) })),
  }
}

// ---- Matching

const NEVER_DATA = new Set([
  'README.md',
  'config.json',
  'dataset_info.json',
  'dataset_infos.json',
  'dummy_data.zip',
  'dataset_dict.json',
])

/**
 * The files below `dir` that `pattern` means, sorted by code point. Files that never are data, and hidden and
 * `__special__` ones, count only where the pattern names them as such.
 */
function match(listing: readonly string[], dir: string, pattern: string, config?: string): string[] {
  const full = join(dir, cleanPath(pattern, config))
  const matches = isPattern(full) ? compileGlob(full) : (path: string) => path === full
  if (matches === undefined) {
    throw badCard(
      `the path "${pattern.slice(0, 200)}"${config === undefined ? '' : ` of config "${config}"`} has \`**\` beside other characters`,
      '`**` must stand alone between slashes, as in "data/**/*.parquet".',
    )
  }
  const hidden = count(full, isHidden)
  const special = count(parent(full), isSpecial)
  // What all matches begin with: of a listing in order only a run is looked at, so that many patterns are no burden.
  const start = /^[^*?[]*/.exec(full)![0]
  return startingWith(listing, start).filter(
    (path) =>
      matches(path) &&
      (!NEVER_DATA.has(baseName(path)) || baseName(path) === baseName(full)) &&
      count(path, isHidden) === hidden &&
      count(parent(path), isSpecial) === special,
  )
}

const isHidden = (segment: string) => segment.startsWith('.') && !/^\.+$/.test(segment)
const isSpecial = (segment: string) => segment.startsWith('__')

function count(path: string, test: (segment: string) => boolean): number {
  return path.split('/').filter(test).length
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function join(dir: string, path: string): string {
  return dir === '' ? path : `${dir}/${path}`
}

const LONGEST_PATH = 4096

/**
 * A path of the README without `./`, doubled slashes and doubled `**`, which mean no more than one. It must stay inside
 * the dataset.
 */
function cleanPath(path: string, config: string | undefined): string {
  const segments = path
    .split('/')
    .filter((segment, i, all) => segment !== '.' && (segment !== '' || (i === 0 && all.length > 1)))
    .filter((segment, i, all) => segment !== '**' || all[i - 1] !== '**')
  if (segments[0] === '' || segments.includes('..') || path.includes('://') || path.includes('::')) {
    throw badCard(
      `the path "${path.slice(0, 200)}" of config "${config ?? ''}" leads out of the dataset`,
      'Paths in `configs` are relative to the folder of the README.',
    )
  }
  const clean = segments.join('/')
  if (clean.length > LONGEST_PATH)
    throw badCard(`a path of config "${config ?? ''}" is ${clean.length} characters long`)
  return clean
}

/** Python's idea of an empty value, for fields it only tests for truth. */
function isFalsy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (isMapping(value)) return Object.keys(value).length === 0
  return value === undefined || value === null || value === false || value === 0 || value === ''
}
