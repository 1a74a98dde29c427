/**
 * The orchestration: a lock unfolds into stages, val wholly before train. Deterministic and pure (no clock, no
 * I/O, no Node built-ins), so the laptop calls it with a runner that runs stages in process, and a Temporal
 * workflow calls the same function with a runner that executes activities.
 */
import { ShardmillError } from '../errors/index.ts'
import type { BlobRef, Digest, Json } from '../store/types.ts'
import type { Lock, LockedFile, LockedSource, SplitName } from './lock.ts'
import { mapBounded, type Runner, type StageResult } from './stage.ts'

/** Generated sources have no files; this many items make one partition. */
export const generatedItemsPerPartition = 20_000
/** Stages in flight per source: enough to keep any machine busy, few enough for a workflow's pending limit. */
const fanOut = 64

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

/** Builds one dataset: every stage of val up to its verification, then train. */
export async function buildDataset(lock: Lock, run: Runner): Promise<BuildResult> {
  const tokenizerFile = await obtain(lock.tokenizer.file, `tokenizer ${lock.tokenizer.name}`, run)
  const vocabulary = await run.stage({
    stage: 'tokenizer',
    title: `tokenizer ${lock.tokenizer.name}`,
    params: { kind: lock.tokenizer.kind, specials: lock.template.specials },
    inputs: { file: tokenizerFile },
  })
  const vocabularySize = number(vocabulary, 'vocabularySize')
  const dtype = chooseDtype(lock.dtype, vocabularySize)

  const splits = {} as Record<SplitName, SplitResult>
  for (const split of ['val', 'train'] as const) {
    run.note({ kind: 'split-started', split })
    splits[split] = await buildSplit(lock, split, { vocabulary, vocabularySize, dtype }, run)
    run.note({ kind: 'split-verified', split })
  }
  return {
    vocabularySize,
    bosId: number(vocabulary, 'bosId'),
    dtype,
    splits,
    overlap: await countOverlap(splits, run),
  }
}

interface SplitContext {
  readonly vocabulary: StageResult
  readonly vocabularySize: number
  readonly dtype: 'uint16' | 'uint32'
}

async function buildSplit(
  lock: Lock,
  split: SplitName,
  context: SplitContext,
  run: Runner,
): Promise<SplitResult> {
  const sources = lock.splits[split]
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
  const built = await Promise.all(sources.map((source) => buildSource(lock, split, source, context, run)))

  const shuffled = await run.stage({
    stage: 'shuffle',
    title: `${split}: order`,
    params: {
      shuffle:
        lock.shuffle.kind === 'none'
          ? { kind: 'none' }
          : { kind: lock.shuffle.kind, seed: lock.shuffle.seed },
      shardTokens: lock.shardTokens,
      sources: sources.map(({ seed, start, stop, step, repeat }) => ({ seed, start, stop, step, repeat })),
    },
    inputs: Object.fromEntries(built.map((source, i) => [`source.${i}`, source.blocks])),
    hints: { labels: sources.map((source, i) => `${split}.${i} (${source.label})`) },
  })
  const segments = Object.keys(shuffled.outputs)
    .filter((name) => name.startsWith('segment.'))
    .sort()
  run.note({ kind: 'expect', split, stage: 'shard', count: segments.length })
  run.note({ kind: 'expect', split, stage: 'verify', count: segments.length })
  const shards = await mapBounded(segments, fanOut, (name, i) =>
    buildShard(shuffled.outputs[name]!.digest, `${split} shard ${i + 1}/${segments.length}`, context, run),
  )
  const perSource = shuffled.stats['sources'] as unknown as readonly Omit<
    SourceResult,
    'label' | 'task' | 'rejected'
  >[]
  return {
    split,
    conversations: number(shuffled, 'conversations'),
    tokens: number(shuffled, 'tokens'),
    trainedTokens: number(shuffled, 'trainedTokens'),
    truncated: number(shuffled, 'truncated'),
    shards,
    sources: sources.map((source, i) => ({
      ...perSource[i]!,
      label: source.label,
      task: source.task,
      rejected: built[i]!.rejects.reduce((sum, reject) => sum + reject.rows, 0),
    })),
    rejects: built.flatMap((source, i) =>
      source.rejects.map((reject) => ({ label: sources[i]!.label, ...reject })),
    ),
    fingerprints: shuffled.outputs['fingerprints']!.digest,
  }
}

interface BuiltSource {
  /** Digest of the list of this source's token blocks and their indices, in row order. */
  readonly blocks: Digest
  readonly rejects: readonly { readonly file: string; readonly rows: number; readonly blob: BlobRef }[]
}

interface Partition {
  readonly title: string
  readonly file: string
  readonly params: Json
  readonly inputs: Readonly<Record<string, Digest>>
}

/** One source: its files fetched and cut into partitions, each partition formatted and tokenized. */
async function buildSource(
  lock: Lock,
  split: SplitName,
  source: LockedSource,
  context: SplitContext,
  run: Runner,
): Promise<BuiltSource> {
  const roles = Object.keys(source.aux).sort()
  const aux: Record<string, Digest> = {}
  for (const name of roles)
    aux[name] = await obtain(source.aux[name]!, `${split} ${source.label}: ${name}`, run)

  const partitionsOf =
    source.origin.kind === 'generated'
      ? [generatedPartitions(split, source, source.origin.items, aux)]
      : await mapBounded(source.files, 8, (file, i) => filePartitions(split, source, file, i, aux, run))
  const partitions = partitionsOf.flat()
  run.note({ kind: 'expect', split, stage: 'format', count: partitions.length })
  run.note({ kind: 'expect', split, stage: 'tokenize', count: partitions.length })

  let setAside = 0
  const built = await mapBounded(partitions, fanOut, async (partition) => {
    const formatted = await run.stage({
      stage: 'format',
      title: partition.title,
      params: partition.params,
      inputs: partition.inputs,
      hints: { file: partition.file, aux: auxNames(source) },
    })
    setAside += rejectedRows(formatted)
    enforceBadRowPolicy(lock, source, partition.file, formatted, setAside)
    const block = await run.stage({
      stage: 'tokenize',
      title: partition.title,
      params: {
        template: { name: lock.template.name, version: lock.template.version },
        maxSeqLen: lock.maxSeqLen,
      },
      inputs: {
        conversations: formatted.outputs['conversations']!.digest,
        vocabulary: context.vocabulary.outputs['vocabulary']!.digest,
      },
    })
    return { formatted, block }
  })
  const blocks = await run.list(
    built.map(({ block }) => ({
      tokens: block.outputs['tokens']!.digest,
      index: block.outputs['index']!.digest,
    })),
  )
  const rejects = built.flatMap(({ formatted }, i) => {
    const rows = rejectedRows(formatted)
    return rows === 0 ? [] : [{ file: partitions[i]!.file, rows, blob: formatted.outputs['rejects']! }]
  })
  return { blocks, rejects }
}

function auxNames(source: LockedSource): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(source.aux).map(([role, file]) => [role, file.path]))
}

function generatedPartitions(
  split: SplitName,
  source: LockedSource,
  items: number,
  aux: Readonly<Record<string, Digest>>,
): Partition[] {
  const count = Math.ceil(items / generatedItemsPerPartition)
  return Array.from({ length: count }, (_, i) => {
    const first = i * generatedItemsPerPartition
    return {
      title: `${split} ${source.label} ${i + 1}/${count}`,
      file: source.label,
      params: { source: source.format, first, items: Math.min(generatedItemsPerPartition, items - first) },
      inputs: aux,
    }
  })
}

async function filePartitions(
  split: SplitName,
  source: LockedSource,
  file: LockedFile,
  i: number,
  aux: Readonly<Record<string, Digest>>,
  run: Runner,
): Promise<Partition[]> {
  const of = source.files.length === 1 ? '' : ` file ${i + 1}/${source.files.length}`
  const name = file.hub === undefined ? file.path : `${file.hub.repo}/${file.path}`
  const digest = await obtain(file, `${split} ${source.label}${of}`, run)
  const scanned = await run.stage({
    stage: 'scan',
    title: `${split} ${source.label}${of}`,
    params: { reader: source.reader },
    inputs: { file: digest },
    hints: { file: name },
  })
  const count = number(scanned, 'partitions')
  return Array.from({ length: count }, (_, p) => ({
    title: `${split} ${source.label}${of} part ${p + 1}/${count}`,
    file: name,
    params: { source: source.format, reader: source.reader, partition: p },
    inputs: { ...aux, file: digest, partitions: scanned.outputs['partitions']!.digest },
  }))
}

async function buildShard(
  segment: Digest,
  title: string,
  context: SplitContext,
  run: Runner,
): Promise<ShardResult> {
  const shard = await run.stage({
    stage: 'shard',
    title,
    params: { dtype: context.dtype },
    inputs: { segment },
  })
  const tokenFile = shard.outputs['tokens']!
  const maskFile = shard.outputs['mask']!
  const verified = await run.stage({
    stage: 'verify',
    title,
    params: {
      dtype: context.dtype,
      vocabularySize: context.vocabularySize,
      bosId: number(context.vocabulary, 'bosId'),
    },
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

async function countOverlap(splits: Readonly<Record<SplitName, SplitResult>>, run: Runner): Promise<number> {
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

function rejectedRows(formatted: StageResult): number {
  return number(formatted, 'rejected')
}

/** The policy is held here and not inside the stage: changing it costs no work, and a failure repeats at once from the cache. */
function enforceBadRowPolicy(
  lock: Lock,
  source: LockedSource,
  file: string,
  formatted: StageResult,
  setAside: number,
): void {
  const rejected = rejectedRows(formatted)
  if (rejected === 0) return
  const first = formatted.stats['firstReject'] as unknown as { row?: number; line?: number; why: string }
  const at = {
    file,
    ...(first.row === undefined ? {} : { row: first.row }),
    ...(first.line === undefined ? {} : { line: first.line }),
  }
  const { policy, limit } = lock.onBadRow
  if (policy === 'fail') {
    throw new ShardmillError('BAD_ROW', first.why, {
      at,
      hint: 'Correct the row, or set onBadRow: quarantine in the recipe to set such rows aside and count them.',
      details: { source: source.label, badRowsInThisPartition: rejected },
    })
  }
  if (setAside > limit) {
    throw new ShardmillError(
      'BAD_ROW',
      `${setAside} rows of ${source.label} are bad, more than badRowLimit (${limit}); the last partition's first: ${first.why}`,
      {
        at,
        hint: 'Correct the data, or raise badRowLimit in the recipe.',
      },
    )
  }
}

function number(result: StageResult, name: string): number {
  const value = result.stats[name]
  if (typeof value !== 'number') throw new TypeError(`stage record ${result.key} has no number '${name}'`)
  return value
}
