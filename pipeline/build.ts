/**
 * The orchestration: a lock unfolds into stages, every other split wholly before train. Deterministic and pure (no
 * clock, no I/O, no Node built-ins), so the laptop calls it with a runner that runs stages in process, and a Temporal
 * workflow calls the same function with a runner that executes activities.
 */
import { ShardmillError } from '../errors/index.ts'
import { type Context, number, obtain, present } from './context.ts'
import { type Lock, splitNames } from './lock.ts'
import type { BuildOutline, BuildResult, Outline, SplitOutline, SplitResult } from './results.ts'
import { splitPart } from './split.ts'
import { itemsOf, type Part, type Runner } from './stage.ts'

/** Builds one dataset where lists stay lists: in process. */
export async function buildDataset(lock: Lock, run: Runner): Promise<BuildResult> {
  const { splits, ...facts } = await orchestrate(lock, run)
  const whole = (split: SplitOutline): SplitResult => ({
    ...split,
    shards: itemsOf(split.shards),
    rejects: itemsOf(split.rejects),
  })
  return {
    ...facts,
    splits: Object.fromEntries(Object.entries(splits).map(([name, split]) => [name, whole(split)])),
  }
}

/** Builds one dataset: every stage of a split up to its verification before the next one, train last. */
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
  const splits: Record<string, SplitOutline> = {}
  for (const split of splitNames(settings)) {
    const ofSplit = sources[split]!
    run.note({ kind: 'split-started', split })
    splits[split] = await run.part(
      splitPart,
      { settings, context, split, sources: ofSplit },
      { id: split, title: split, large: ofSplit.length > 0 },
    )
    run.note({ kind: 'split-verified', split })
  }
  const { vocabularySize, bosId, dtype } = context
  return { vocabularySize, bosId, dtype, splits, ...(await countOverlaps(settings, splits, run)) }
}

/** Conversations of train that stand in another split as well, for each of the others. */
async function countOverlaps(
  settings: Pick<Lock, 'splitOrder'>,
  splits: Readonly<Record<string, SplitOutline>>,
  run: Runner,
): Promise<Pick<BuildResult, 'overlap' | 'overlaps'>> {
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

/** The whole, as something that may be run elsewhere. */
export const datasetPart: Part<Outline, BuildOutline> = { name: 'buildDataset', run: orchestrate }
