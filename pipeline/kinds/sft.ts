/** kind: sft. Every stage of a split up to its verification before the next one, train last. */
import { ShardmillError } from '../../errors/index.ts'
import { type Context, number, present, type ShardContext, vocabularyOf } from '../context.ts'
import { type SftLock, type ShardsLock, splitNames } from '../lock.ts'
import type {
  OutlineOf,
  SftOutline,
  SftReport,
  SftResult,
  SplitOutline,
  SplitReport,
  SplitResult,
} from '../results.ts'
import { beginSources } from '../sources.ts'
import { splitPart } from '../split.ts'
import { itemsOf, type Runner } from '../stage.ts'
import type { PipelineKind } from './define-kind.ts'

export const sft: PipelineKind<SftLock, SftOutline, SftResult, SftReport> = {
  orchestrate: async (outline, run) => {
    const split = splitNames(outline).find((name) => outline.splits[name]!.length > 0)
    if (split !== undefined) run.ahead((now) => beginSources(split, outline.splits[split]!, now))
    return buildShards(outline, await vocabularyOf(outline, run), run)
  },
  whole: ({ splits, ...facts }) => ({
    ...facts,
    splits: Object.fromEntries(Object.entries(splits).map(([name, split]) => [name, wholeSplit(split)])),
  }),
  report: ({ kind, vocabularySize, dtype, overlap, overlaps, splits }) => ({
    ...{ kind, vocabularySize, dtype, overlap },
    ...(overlaps === undefined ? {} : { overlaps }),
    splits: Object.fromEntries(Object.entries(splits).map(([name, split]) => [name, splitReport(split)])),
  }),
}

/** All splits, of any kind whose output is shards. */
export async function buildShards(
  { splits: sources, ...settings }: OutlineOf<ShardsLock>,
  vocabulary: Context,
  run: Runner,
): Promise<SftOutline> {
  const context: ShardContext = {
    ...vocabulary,
    dtype: chooseDtype(settings.dtype, vocabulary.vocabularySize),
    ...present('output', formatOf(settings)),
  }
  const splits: Record<string, SplitOutline> = {}
  for (const split of splitNames(settings)) {
    const ofSplit = sources[split]!
    run.note({ kind: 'split-started', split })
    splits[split] = await run.part(
      splitPart,
      { settings, context, split, sources: ofSplit },
      { id: split, title: split, large: ofSplit.length > 0, isSplit: true },
    )
    run.note({ kind: 'split-verified', split })
  }
  const { vocabularySize, bosId, dtype } = context
  return {
    kind: settings.kind,
    vocabularySize,
    bosId,
    dtype,
    splits,
    ...(await countOverlaps(settings, splits, run)),
  }
}

function wholeSplit(split: SplitOutline): SplitResult {
  return { ...split, shards: itemsOf(split.shards), rejects: itemsOf(split.rejects) }
}

function splitReport({
  conversations,
  tokens,
  trainedTokens,
  truncated,
  shards,
  sources,
}: SplitResult): SplitReport {
  return { conversations, tokens, trainedTokens, truncated, shards: shards.length, sources }
}

/** Conversations of train that stand in another split as well, for each of the others. */
async function countOverlaps(
  settings: Pick<SftLock, 'splitOrder'>,
  splits: Readonly<Record<string, SplitOutline>>,
  run: Runner,
): Promise<Pick<SftResult, 'overlap' | 'overlaps'>> {
  const train = splits['train']?.fingerprints ?? null
  const overlaps: Record<string, number> = {}
  for (const name of splitNames(settings)) {
    const other = splits[name]?.fingerprints ?? null
    if (name === 'train' || train === null || other === null) continue
    const found = await run.stage({
      stage: 'overlap',
      title: `${name} and train disjoint?`,
      params: {},
      inputs: { val: other, train },
    })
    overlaps[name] = number(found, 'overlap')
  }
  const overlap = Object.values(overlaps).reduce((sum, count) => sum + count, 0)
  return settings.splitOrder === undefined ? { overlap } : { overlap, overlaps }
}

/** How the shards are cut is the shuffle's affair, and what their files are called the output folder's. */
export function formatOf({ output }: Pick<SftLock, 'output'>): ShardContext['output'] {
  if (output === undefined) return undefined
  const { cut: _, options: { names: __, ...options } = {}, ...format } = output
  return Object.keys(options).length === 0 ? format : { ...format, options }
}

function chooseDtype(wanted: SftLock['dtype'], vocabularySize: number): 'uint16' | 'uint32' {
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
