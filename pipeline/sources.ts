/** One source: its files fetched and cut into partitions, each partition formatted and tokenized. */
import { type Place, ShardmillError } from '../errors/index.ts'
import type { Digest } from '../store/types.ts'
import {
  type Common,
  fanOut,
  nameOf,
  number,
  obtain,
  pageOfFiles,
  pageOfPartitions,
  pagesAtOnce,
  pagesOf,
  present,
} from './context.ts'
import { importSource } from './imports.ts'
import { blockStage, blockStages, numberingOf } from './kinds/block.ts'
import type { LockedFile, LockedSource } from './lock.ts'
import type { OutlineSource, Reject, Settings } from './results.ts'
import { mostNamedFiles } from './row-places.ts'
import { type Long, lengthOf, type Part, type Runner, type StageCall, type StageResult } from './stage.ts'

/** Generated sources have no files; this many items make one partition. */
export const generatedItemsPerPartition = 20_000
const filesAtOnce = 8

type SourceArgs = Common & { readonly source: OutlineSource }

interface BuiltSource {
  /** Digest of the list of this source's token blocks and their indices, in row order. */
  readonly blocks: Digest
  readonly rejects: Long<Reject>
  readonly rejected: number
  /** Partitions of each of its files, in order; absent where there are many files or none. */
  readonly partitions?: readonly number[]
}

/** One source: its files fetched and cut into partitions, each partition formatted and tokenized. */
async function buildSource(args: SourceArgs, run: Runner): Promise<BuiltSource> {
  const { split, source } = args
  if (source.origin.kind === 'built')
    return { blocks: await importSource(split, source, run), rejects: [], rejected: 0 }
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
  const partitions = built.flatMap((files) => files.partitions ?? [])
  return {
    ...{ blocks: await run.list([blocks]), rejects, rejected },
    ...(partitions.length === 0 ? {} : { partitions }),
  }
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
  /** Of files that are few: how many partitions each has. */
  readonly partitions?: readonly number[]
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
  const partitions: number[] = []
  const built = await run.each(files, filesAtOnce, async (file, i) => {
    const title = titleOf(split, source, first + i, of)
    const digest = await obtain(file, title, run)
    const scanned = await run.stage(scanCall(file, title, source, digest))
    const from: PartitionsFrom = { kind: 'file', digest, partitions: scanned.outputs['partitions']!.digest }
    partitions[i] = number(scanned, 'partitions')
    return buildPartitions(common, from, nameOf(file), title, partitions[i], run)
  })
  return { ...(await merge(built, run)), ...(of > mostNamedFiles ? {} : { partitions }) }
}

function titleOf(split: string, { label }: Pick<LockedSource, 'label'>, file: number, of: number): string {
  return `${split} ${label}${of === 1 ? '' : ` file ${file + 1}/${of}`}`
}

function scanCall(
  file: LockedFile,
  title: string,
  { reader }: Pick<LockedSource, 'reader'>,
  digest: Digest,
): StageCall {
  return {
    stage: 'scan',
    title,
    params: { reader },
    inputs: { file: digest },
    hints: { file: nameOf(file) },
  }
}

/** What a split begins with, the first files of its sources: they hang on nothing else, the tokenizer neither. */
export async function beginSources(
  split: string,
  sources: readonly OutlineSource[],
  run: Runner,
): Promise<void> {
  await run.each(sources, sources.length, async (source) => {
    if (source.origin.kind === 'built' || source.origin.kind === 'generated') return
    const of = lengthOf(source.files)
    const files = await run.slice(source.files, 0, Math.min(of, filesAtOnce))
    await run.each(files, files.length, async (file, i) => {
      const title = titleOf(split, source, i, of)
      await run.stage(scanCall(file, title, source, await obtain(file, title, run)))
    })
  })
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
  run.note({ kind: 'expect', split: common.split, stage: blockStages[common.settings.kind], count })
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
  const { template: files } = context
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
      ...blockStage(settings, source),
      title,
      inputs: {
        conversations: formatted.outputs['conversations']!.digest,
        vocabulary: context.vocabulary,
        ...files?.inputs,
      },
      hints: {
        file,
        numbering: numberingOf(source),
        ...(files === undefined ? {} : { templates: files.names }),
      },
    })
    if (files !== undefined) {
      setAside += number(block, 'rejected')
      enforceBadRowPolicy(settings, source.label, file, block, setAside)
    }
    return {
      block: { tokens: block.outputs['tokens']!.digest, index: block.outputs['index']!.digest },
      rejects: [formatted, ...(files === undefined ? [] : [block])].flatMap((of) => rejectsOf(file, of)),
    }
  })
  return {
    blocks: await run.pack([built.map(({ block }) => block)]),
    rejects: await run.pack([built.flatMap(({ rejects }) => rejects)]),
    rejected: setAside,
  }
}

function rejectsOf(file: string, { outputs, stats }: StageResult): Reject[] {
  const rows = stats['rejected'] as number
  return rows === 0 ? [] : [{ file, rows, blob: outputs['rejects']! }]
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
  const first = formatted.stats['firstReject'] as unknown as Place & {
    readonly why: string
    readonly hint?: string
  }
  const at = {
    file,
    ...(first.row === undefined ? {} : { row: first.row }),
    ...(first.line === undefined ? {} : { line: first.line }),
  }
  const { policy, limit } = onBadRow
  if (policy === 'fail') {
    throw new ShardmillError('BAD_ROW', first.why, {
      at,
      hint:
        first.hint ??
        'Correct the row, or set onBadRow: quarantine in the recipe to set such rows aside and count them.',
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

/** A lower bound of the pieces a source falls into: its files, or its partitions. */
export function piecesAtLeast(source: OutlineSource): number {
  return source.origin.kind === 'generated'
    ? Math.ceil(source.origin.items / generatedItemsPerPartition / 2)
    : lengthOf(source.files)
}

export const sourcePart: Part<SourceArgs, BuiltSource> = { name: 'buildSource', run: buildSource }
export const filesPart: Part<FilesArgs, Built> = { name: 'buildFiles', run: buildFilePage }
export const partitionsPart: Part<PartitionsArgs, Built> = {
  name: 'buildPartitions',
  run: buildPartitionPage,
}
