/**
 * The orchestration: a lock unfolds into stages, val wholly before train. Deterministic and pure (no clock, no
 * I/O, no Node built-ins), so the laptop calls it with a runner that runs stages in process, and a Temporal
 * workflow calls the same function with a runner that executes activities.
 */
import { type Place, ShardmillError } from '../errors/index.ts'
import type { BlobRef, Digest } from '../store/types.ts'
import type { Lock, LockedFile, LockedSource, SplitName } from './lock.ts'
import {
  itemsOf,
  type Long,
  lengthOf,
  numberedOutputs,
  type Part,
  type Runner,
  type StageResult,
} from './stage.ts'

/** Generated sources have no files; this many items make one partition. */
export const generatedItemsPerPartition = 20_000
/** Partitions or shards of a page in flight: enough to keep any machine busy, few enough for a workflow's pending limit. */
const fanOut = 64
const filesAtOnce = 8
const pagesAtOnce = 8
/** How long lists are cut: what is longer than a page is built as parts with histories of their own. */
const pageOfFiles = 16
const pageOfPartitions = 64
const pageOfShards = 64
/** More pages than this would weigh on the history of the one who waits for them: pages grow instead. */
const mostPages = 500

export interface ShardResult {
  readonly tokens: number
  readonly tokenFile: BlobRef
  readonly maskFile: BlobRef
  readonly shardKey: Digest
  readonly verifyKey: Digest
}

export interface SourceResult {
  readonly label: string
  readonly task: string
  /** Rows of the files, rows set aside, and conversations that the mixture takes (repeats counted). */
  readonly rows: number
  readonly rejected: number
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly truncated: number
  readonly untrained: number
  /** Conversations left out, where the recipe says so for one of the reasons. */
  readonly dropped?: { readonly untrained: number; readonly tooLong: number }
}

export interface SplitResult {
  readonly split: SplitName
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly truncated: number
  readonly shards: readonly ShardResult[]
  readonly sources: readonly SourceResult[]
  /** Blobs with the rows that were set aside, with their source's label. */
  readonly rejects: readonly {
    readonly label: string
    readonly file: string
    readonly rows: number
    readonly blob: BlobRef
  }[]
  readonly fingerprints: Digest | null
}

export interface BuildResult {
  readonly vocabularySize: number
  readonly bosId: number
  readonly dtype: 'uint16' | 'uint32'
  readonly splits: Readonly<Record<SplitName, SplitResult>>
  /** Distinct conversations (after tokenizing) that stand in val and in train. */
  readonly overlap: number
}

/** What of a lock everything but the sources depends on. */
export type Settings = Omit<Lock, 'splits'>

/** A lock whose lists of files may be stored elsewhere. */
export interface Outline extends Settings {
  readonly splits: Readonly<Record<SplitName, readonly OutlineSource[]>>
}

export type OutlineSource = Omit<LockedSource, 'files'> & { readonly files: Long<LockedFile> }

/** A build's result with lists that may be stored elsewhere. */
export interface BuildOutline extends Omit<BuildResult, 'splits'> {
  readonly splits: Readonly<Record<SplitName, SplitOutline>>
}

export interface SplitOutline extends Omit<SplitResult, 'shards' | 'rejects'> {
  readonly shards: Long<ShardResult>
  readonly rejects: Long<Labelled<Reject>>
}

interface Reject {
  readonly file: string
  readonly rows: number
  readonly blob: BlobRef
}

type Labelled<T> = T & { readonly label: string }

/** Builds one dataset where lists stay lists: in process. */
export async function buildDataset(lock: Lock, run: Runner): Promise<BuildResult> {
  const { splits, ...facts } = await orchestrate(lock, run)
  const whole = (split: SplitOutline): SplitResult => ({
    ...split,
    shards: itemsOf(split.shards),
    rejects: itemsOf(split.rejects),
  })
  return { ...facts, splits: { val: whole(splits.val), train: whole(splits.train) } }
}

/** Builds one dataset: every stage of val up to its verification, then train. */
export async function orchestrate(
  { splits: sources, ...settings }: Outline,
  run: Runner,
): Promise<BuildOutline> {
  const tokenizerFile = await obtain(settings.tokenizer.file, `tokenizer ${settings.tokenizer.name}`, run)
  const vocabulary = await run.stage({
    stage: 'tokenizer',
    title: `tokenizer ${settings.tokenizer.name}`,
    params: {
      kind: settings.tokenizer.kind,
      specials: settings.template.specials,
      ...present('addedTokens', settings.tokenizer.addedTokens),
    },
    inputs: { file: tokenizerFile },
    hints: { file: settings.tokenizer.name },
  })
  const context: Context = {
    vocabulary: vocabulary.outputs['vocabulary']!.digest,
    vocabularySize: number(vocabulary, 'vocabularySize'),
    bosId: number(vocabulary, 'bosId'),
    dtype: chooseDtype(settings.dtype, number(vocabulary, 'vocabularySize')),
  }
  const splits = {} as Record<SplitName, SplitOutline>
  for (const split of ['val', 'train'] as const) {
    run.note({ kind: 'split-started', split })
    splits[split] = await run.part(
      splitPart,
      { settings, context, split, sources: sources[split] },
      { id: split, title: split, large: sources[split].length > 0 },
    )
    run.note({ kind: 'split-verified', split })
  }
  const { vocabularySize, bosId, dtype } = context
  return { vocabularySize, bosId, dtype, splits, overlap: await countOverlap(splits, run) }
}

/** What every part of a build needs to know. */
interface Context {
  readonly vocabulary: Digest
  readonly vocabularySize: number
  readonly bosId: number
  readonly dtype: 'uint16' | 'uint32'
}

interface Common {
  readonly settings: Settings
  readonly context: Context
  readonly split: SplitName
}

type SplitArgs = Common & { readonly sources: readonly OutlineSource[] }

async function buildSplit(args: SplitArgs, run: Runner): Promise<SplitOutline> {
  const { settings, context, split, sources } = args
  const empty = {
    split,
    conversations: 0,
    tokens: 0,
    trainedTokens: 0,
    truncated: 0,
    shards: [],
    rejects: [],
    sources: [],
    fingerprints: null,
  }
  if (sources.length === 0) return empty
  const built = await run.each(sources, sources.length, (source, i) =>
    run.part(
      sourcePart,
      { settings, context, split, source },
      {
        id: `source-${i}`,
        title: `${split} ${source.label}`,
        large: piecesAtLeast(source) > pageOfFiles,
      },
    ),
  )
  const shuffled = await run.stage({
    stage: 'shuffle',
    title: `${split}: order`,
    params: {
      shuffle:
        settings.shuffle.kind === 'none'
          ? { kind: 'none' }
          : { kind: settings.shuffle.kind, seed: settings.shuffle.seed },
      shardTokens: settings.shardTokens,
      sources: sources.map(({ seed, start, stop, step, repeat, onUntrained, tooLong }) => ({
        ...{ seed, start, stop, step, repeat },
        ...present('onUntrained', onUntrained),
        ...present('tooLong', tooLong),
      })),
    },
    inputs: Object.fromEntries(built.map((source, i) => [`source.${i}`, source.blocks])),
    hints: { labels: sources.map((source, i) => `splits.${split}[${i}] (${source.label})`) },
  })
  const segments = numberedOutputs(shuffled, 'segment')
  const count = lengthOf(segments)
  run.note({ kind: 'expect', split, stage: 'shard', count })
  run.note({ kind: 'expect', split, stage: 'verify', count })
  const shards = await run.each(pagesOf(count, pageOfShards), pagesAtOnce, async ({ first, end }) =>
    run.part(
      shardsPart,
      { context, split, segments: await run.slice(segments, first, end), first, of: count },
      {
        id: `shards-${first}`,
        title: `${split} shards ${first + 1}-${end} of ${count}`,
        large: count > pageOfShards,
      },
    ),
  )
  const perSource = shuffled.stats['sources'] as unknown as readonly Omit<
    SourceResult,
    'label' | 'task' | 'rejected'
  >[]
  const rejects = await run.each(built, built.length, async (source, i): Promise<Long<Labelled<Reject>>> => {
    if (lengthOf(source.rejects) === 0) return []
    const items = await run.slice(source.rejects, 0, lengthOf(source.rejects))
    return items.map((reject) => ({ label: sources[i]!.label, ...reject }))
  })
  return {
    split,
    conversations: number(shuffled, 'conversations'),
    tokens: number(shuffled, 'tokens'),
    trainedTokens: number(shuffled, 'trainedTokens'),
    truncated: number(shuffled, 'truncated'),
    shards: await run.pack(shards),
    sources: sources.map((source, i) => ({
      ...perSource[i]!,
      label: source.label,
      task: source.task,
      rejected: built[i]!.rejected,
    })),
    rejects: await run.pack(rejects),
    fingerprints: shuffled.outputs['fingerprints']!.digest,
  }
}

type SourceArgs = Common & { readonly source: OutlineSource }

interface BuiltSource {
  /** Digest of the list of this source's token blocks and their indices, in row order. */
  readonly blocks: Digest
  readonly rejects: Long<Reject>
  readonly rejected: number
}

/** One source: its files fetched and cut into partitions, each partition formatted and tokenized. */
async function buildSource(args: SourceArgs, run: Runner): Promise<BuiltSource> {
  const { split, source } = args
  const common = await withAux(args, run)
  const title = `${split} ${source.label}`
  const built =
    source.origin.kind === 'generated'
      ? [
          await buildPartitions(
            common,
            { kind: 'generated', items: source.origin.items },
            source.label,
            title,
            Math.ceil(source.origin.items / generatedItemsPerPartition),
            run,
          ),
        ]
      : await buildFiles(common, source.files, title, run)
  const { blocks, rejects, rejected } = await merge(built, run)
  const { policy, limit } = args.settings.onBadRow
  if (policy === 'quarantine' && rejected > limit) throw tooManyBadRows(rejected, source.label, limit)
  return { blocks: await run.list([blocks]), rejects, rejected }
}

function buildFiles(
  common: SourceCommon,
  files: Long<LockedFile>,
  title: string,
  run: Runner,
): Promise<Built[]> {
  const of = lengthOf(files)
  return run.each(pagesOf(of, pageOfFiles), pagesAtOnce, async ({ first, end }) =>
    run.part(
      filesPart,
      { ...common, files: await run.slice(files, first, end), first, of },
      {
        id: `files-${first}`,
        title: `${title} files ${first + 1}-${end} of ${of}`,
        large: of > pageOfFiles,
      },
    ),
  )
}

/** What the parts of a source share; of the source only what they need. */
interface SourceCommon extends Common {
  readonly source: Pick<LockedSource, 'label' | 'reader' | 'format' | 'tooLong'>
  readonly aux: Readonly<Record<string, Digest>>
  readonly auxNames: Readonly<Record<string, string>>
}

async function withAux({ source, ...common }: SourceArgs, run: Runner): Promise<SourceCommon> {
  const aux: Record<string, Digest> = {}
  for (const name of Object.keys(source.aux).sort())
    aux[name] = await obtain(source.aux[name]!, `${common.split} ${source.label}: ${name}`, run)
  const auxNames = Object.fromEntries(Object.entries(source.aux).map(([role, file]) => [role, file.path]))
  const { label, reader, format, tooLong } = source
  return { ...common, source: { label, reader, format, ...present('tooLong', tooLong) }, aux, auxNames }
}

/** What came of some partitions, in row order. */
interface Built {
  readonly blocks: Long<{ readonly tokens: Digest; readonly index: Digest }>
  readonly rejects: Long<Reject>
  readonly rejected: number
}

async function merge(built: readonly Built[], run: Runner): Promise<Built> {
  return {
    blocks: await run.pack(built.map(({ blocks }) => blocks)),
    rejects: await run.pack(built.map(({ rejects }) => rejects)),
    rejected: built.reduce((sum, { rejected }) => sum + rejected, 0),
  }
}

type FilesArgs = SourceCommon & {
  readonly files: readonly LockedFile[]
  readonly first: number
  readonly of: number
}

/** A page of a source's files: each downloaded, scanned, and its partitions built. */
async function buildFilePage({ files, first, of, ...common }: FilesArgs, run: Runner): Promise<Built> {
  const { split, source } = common
  const built = await run.each(files, filesAtOnce, async (file, i) => {
    const title = `${split} ${source.label}${of === 1 ? '' : ` file ${first + i + 1}/${of}`}`
    const name = file.hub === undefined ? file.path : `${file.hub.repo}/${file.path}`
    const digest = await obtain(file, title, run)
    const scanned = await run.stage({
      stage: 'scan',
      title,
      params: { reader: source.reader },
      inputs: { file: digest },
      hints: { file: name },
    })
    const from: PartitionsFrom = { kind: 'file', digest, partitions: scanned.outputs['partitions']!.digest }
    return buildPartitions(common, from, name, title, number(scanned, 'partitions'), run)
  })
  return merge(built, run)
}

type PartitionsFrom =
  | { readonly kind: 'file'; readonly digest: Digest; readonly partitions: Digest }
  | { readonly kind: 'generated'; readonly items: number }

/** All partitions of a file, or of a generated source, a page at a time. */
async function buildPartitions(
  common: SourceCommon,
  from: PartitionsFrom,
  file: string,
  title: string,
  count: number,
  run: Runner,
): Promise<Built> {
  run.note({ kind: 'expect', split: common.split, stage: 'format', count })
  run.note({ kind: 'expect', split: common.split, stage: 'tokenize', count })
  const pages = await run.each(pagesOf(count, pageOfPartitions), pagesAtOnce, ({ first, end }) =>
    run.part(
      partitionsPart,
      { ...common, from, file, title, first, end, of: count },
      {
        id: `${from.kind === 'file' ? from.digest.slice(0, 16) : 'items'}-${first}`,
        title: `${title} parts ${first + 1}-${end} of ${count}`,
        large: count > pageOfPartitions,
      },
    ),
  )
  return merge(pages, run)
}

type PartitionsArgs = SourceCommon & {
  readonly from: PartitionsFrom
  readonly file: string
  readonly title: string
  readonly first: number
  readonly end: number
  readonly of: number
}

async function buildPartitionPage(args: PartitionsArgs, run: Runner): Promise<Built> {
  const { settings, context, source, aux, auxNames, from, file, first, end, of } = args
  let setAside = 0
  const numbers = Array.from({ length: end - first }, (_, i) => first + i)
  const built = await run.each(numbers, fanOut, async (p) => {
    const title = from.kind === 'file' ? `${args.title} part ${p + 1}/${of}` : `${args.title} ${p + 1}/${of}`
    const formatted = await run.stage({
      stage: 'format',
      title,
      ...(from.kind === 'file'
        ? filePartition(source, from, aux, p)
        : generatedPartition(source, from.items, aux, p)),
      hints: { file, aux: auxNames },
    })
    setAside += number(formatted, 'rejected')
    enforceBadRowPolicy(settings, source.label, file, formatted, setAside)
    const block = await run.stage({
      stage: 'tokenize',
      title,
      params: {
        template: {
          name: settings.template.name,
          version: settings.template.version,
          ...present('options', settings.template.options),
        },
        maxSeqLen: settings.maxSeqLen,
        ...(source.tooLong === undefined ? {} : { exactCut: true }),
      },
      inputs: { conversations: formatted.outputs['conversations']!.digest, vocabulary: context.vocabulary },
    })
    const rows = number(formatted, 'rejected')
    return {
      block: { tokens: block.outputs['tokens']!.digest, index: block.outputs['index']!.digest },
      rejects: rows === 0 ? [] : [{ file, rows, blob: formatted.outputs['rejects']! }],
    }
  })
  return {
    blocks: await run.pack([built.map(({ block }) => block)]),
    rejects: await run.pack([built.flatMap(({ rejects }) => rejects)]),
    rejected: setAside,
  }
}

function filePartition(
  source: SourceCommon['source'],
  from: PartitionsFrom & { kind: 'file' },
  aux: SourceCommon['aux'],
  partition: number,
) {
  return {
    params: { source: source.format, reader: source.reader, partition },
    inputs: { ...aux, file: from.digest, partitions: from.partitions },
  }
}

function generatedPartition(
  source: SourceCommon['source'],
  total: number,
  aux: SourceCommon['aux'],
  partition: number,
) {
  const first = partition * generatedItemsPerPartition
  return {
    params: { source: source.format, first, items: Math.min(generatedItemsPerPartition, total - first) },
    inputs: aux,
  }
}

interface ShardsArgs {
  readonly context: Context
  readonly split: SplitName
  readonly segments: readonly BlobRef[]
  readonly first: number
  readonly of: number
}

async function buildShardPage(
  { context, split, segments, first, of }: ShardsArgs,
  run: Runner,
): Promise<Long<ShardResult>> {
  const shards = await run.each(segments, fanOut, ({ digest }, i) =>
    buildShard(digest, `${split} shard ${first + i + 1}/${of}`, context, run),
  )
  return run.pack([shards])
}

async function buildShard(
  segment: Digest,
  title: string,
  { dtype, vocabularySize, bosId }: Context,
  run: Runner,
): Promise<ShardResult> {
  const shard = await run.stage({ stage: 'shard', title, params: { dtype }, inputs: { segment } })
  const tokenFile = shard.outputs['tokens']!
  const maskFile = shard.outputs['mask']!
  const verified = await run.stage({
    stage: 'verify',
    title,
    params: { dtype, vocabularySize, bosId },
    inputs: { segment, tokens: tokenFile.digest, mask: maskFile.digest },
  })
  return {
    tokens: number(verified, 'tokens'),
    tokenFile,
    maskFile,
    shardKey: shard.key,
    verifyKey: verified.key,
  }
}

/** The parts that may be workflows of their own, by the names they have there. */
export const datasetPart: Part<Outline, BuildOutline> = { name: 'buildDataset', run: orchestrate }
export const splitPart: Part<SplitArgs, SplitOutline> = { name: 'buildSplit', run: buildSplit }
export const sourcePart: Part<SourceArgs, BuiltSource> = { name: 'buildSource', run: buildSource }
export const filesPart: Part<FilesArgs, Built> = { name: 'buildFiles', run: buildFilePage }
export const partitionsPart: Part<PartitionsArgs, Built> = {
  name: 'buildPartitions',
  run: buildPartitionPage,
}
export const shardsPart: Part<ShardsArgs, Long<ShardResult>> = { name: 'buildShards', run: buildShardPage }

interface Page {
  readonly first: number
  readonly end: number
}

/** Runs of at most `size`, and not more than `mostPages` of them: then they are larger. */
function pagesOf(count: number, size: number): Page[] {
  const length = Math.max(size, Math.ceil(count / mostPages))
  return Array.from({ length: Math.ceil(count / length) }, (_, i) => ({
    first: i * length,
    end: Math.min(count, (i + 1) * length),
  }))
}

/** A lower bound of the pieces a source falls into: its files, or its partitions. */
function piecesAtLeast(source: OutlineSource): number {
  return source.origin.kind === 'generated'
    ? Math.ceil(source.origin.items / generatedItemsPerPartition / 2)
    : lengthOf(source.files)
}

async function countOverlap(splits: Readonly<Record<SplitName, SplitOutline>>, run: Runner): Promise<number> {
  const { val, train } = splits
  if (val.fingerprints === null || train.fingerprints === null) return 0
  const found = await run.stage({
    stage: 'overlap',
    title: 'val and train disjoint?',
    params: {},
    inputs: { val: val.fingerprints, train: train.fingerprints },
  })
  return number(found, 'overlap')
}

/** The digest of a file's bytes: known when it was imported, else by downloading it. */
async function obtain(file: LockedFile, title: string, run: Runner): Promise<Digest> {
  if (file.hub === undefined) return file.sha256!
  const downloaded = await run.stage({
    stage: 'download',
    title,
    params:
      file.sha256 === undefined
        ? { gitOid: file.gitOid ?? '', bytes: file.bytes }
        : { sha256: file.sha256, bytes: file.bytes },
    inputs: {},
    hints: { repo: file.hub.repo, commit: file.hub.commit, path: file.path },
  })
  return downloaded.outputs['file']!.digest
}

function chooseDtype(wanted: Lock['dtype'], vocabularySize: number): 'uint16' | 'uint32' {
  if (wanted === 'auto') return vocabularySize > 65536 ? 'uint32' : 'uint16'
  if (wanted === 'uint16' && vocabularySize > 65536) {
    throw new ShardmillError(
      'RECIPE',
      `dtype is uint16, but the tokenizer has ${vocabularySize} ids, more than uint16 can hold (65536)`,
      {
        hint: 'Leave dtype out (auto chooses uint32 here) or set dtype: uint32.',
      },
    )
  }
  return wanted
}

/** The policy is held here and not inside the stage: changing it costs no work, and a failure repeats at once from the cache. */
function enforceBadRowPolicy(
  { onBadRow }: Settings,
  label: string,
  file: string,
  formatted: StageResult,
  setAside: number,
): void {
  const rejected = number(formatted, 'rejected')
  if (rejected === 0) return
  const first = formatted.stats['firstReject'] as unknown as { row?: number; line?: number; why: string }
  const at = {
    file,
    ...(first.row === undefined ? {} : { row: first.row }),
    ...(first.line === undefined ? {} : { line: first.line }),
  }
  const { policy, limit } = onBadRow
  if (policy === 'fail') {
    throw new ShardmillError('BAD_ROW', first.why, {
      at,
      hint: 'Correct the row, or set onBadRow: quarantine in the recipe to set such rows aside and count them.',
      details: { source: label, badRowsInThisPartition: rejected },
    })
  }
  if (setAside > limit) throw tooManyBadRows(setAside, label, limit, { at, why: first.why })
}

function tooManyBadRows(
  rows: number,
  label: string,
  limit: number,
  last?: { readonly at: Place; readonly why: string },
): ShardmillError {
  const first = last === undefined ? '' : `; the last partition's first: ${last.why}`
  return new ShardmillError(
    'BAD_ROW',
    `${rows} rows of ${label} are bad, more than badRowLimit (${limit})${first}`,
    {
      ...(last === undefined ? {} : { at: last.at }),
      hint: 'Correct the data, or raise badRowLimit in the recipe.',
    },
  )
}

/** A member of an object only if there is something to say: absent members leave keys as they were. */
function present<K extends string, V>(name: K, value: V | undefined): { readonly [name in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [name in K]?: V })
}

function number(result: StageResult, name: string): number {
  const value = result.stats[name]
  if (typeof value !== 'number') throw new TypeError(`stage record ${result.key} has no number '${name}'`)
  return value
}
