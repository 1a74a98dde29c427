/** One split: its sources, their order, and its shards up to their verification. */
import {
  number,
  pageOfFiles,
  pageOfRejects,
  pageOfShards,
  pagesAtOnce,
  pagesOf,
  present,
  type ShardContext,
} from './context.ts'
import type { ShardsLock } from './lock.ts'
import type { Labelled, OutlineSource, Reject, SettingsOf, SourceResult, SplitOutline } from './results.ts'
import { placesOf } from './row-places.ts'
import { shardsPart } from './shards.ts'
import { piecesAtLeast, sourcePart } from './sources.ts'
import { type Long, lengthOf, numberedOutputs, type Part, type Runner } from './stage.ts'

interface SplitArgs {
  readonly settings: SettingsOf<ShardsLock>
  readonly context: ShardContext
  readonly split: string
  readonly sources: readonly OutlineSource[]
}

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
      ...present('cut', settings.output?.cut),
      sources: sources.map(({ seed, start, stop, step, repeat, onUntrained, tooLong }) => ({
        ...{ seed, start, stop, step, repeat },
        ...present('onUntrained', onUntrained),
        ...present('tooLong', tooLong),
      })),
    },
    inputs: Object.fromEntries(built.map((source, i) => [`source.${i}`, source.blocks])),
    hints: {
      labels: sources.map((source, i) => `splits.${split}[${i}] (${source.label})`),
      places: placesOf(
        sources,
        built.map(({ partitions }) => partitions),
      ),
    },
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
  const rejects = await run.each(built, built.length, (source, i) =>
    labelled(source.rejects, sources[i]!.label, run),
  )
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

/** A source's rejects with its label; read a page at a time, since a long list is no message. */
async function labelled(
  rejects: Long<Reject>,
  label: string,
  run: Runner,
): Promise<readonly Labelled<Reject>[]> {
  const pages = await run.each(pagesOf(lengthOf(rejects), pageOfRejects), pagesAtOnce, ({ first, end }) =>
    run.slice(rejects, first, end),
  )
  return pages.flat().map((reject) => ({ label, ...reject }))
}

export const splitPart: Part<SplitArgs, SplitOutline> = { name: 'buildSplit', run: buildSplit }
