/** kind: mix. Shards of folders that were built before, mixed into new ones. */
import { z } from 'zod'
import { ShardmillError } from '../../errors/index.ts'
import { type MixLock, usualSplits } from '../../pipeline/lock.ts'
import { outputFormatOf } from '../../stages/outputs/index.ts'
import type { Json } from '../../store/types.ts'
import { editorSchema, nameSchema, onUntrained, sliceFields } from '../fields.ts'
import { portable } from '../import-file.ts'
import { assertSameVocabulary, type BuiltFolder, shardSourceFormat } from '../lock-built.ts'
import { defineKind, type Locking } from './define-kind.ts'
import {
  checkDtype,
  checkOrder,
  eachSplit,
  lockOutput,
  namedSplits,
  sftFields,
  shuffleOf,
  splitOrderOf,
} from './sft.ts'

const { tooLong: _, ...slice } = sliceFields

const entry = z
  .strictObject({
    from: z.string().min(1).describe('An output folder with shards, relative to the recipe'),
    split: z.string().min(1).default('train').describe('The split of it'),
    label: z.string().min(1).optional().describe('Its name in config.json and reports (default: FROM/SPLIT)'),
    ...slice,
  })
  .superRefine(({ start, stop }, context) => {
    if (stop !== null && start > stop)
      context.addIssue({
        code: 'custom',
        path: ['start'],
        message: `is ${start}, which is past stop (${stop})`,
      })
  })

const list = z.array(entry).describe('What is mixed, in order')

/** By name, in the recipe's order. */
export const mixSplits = namedSplits(list)

const { shardTokens, dtype, output, shuffle, order } = sftFields.shape

export const mixSchema = z
  .strictObject({
    $schema: editorSchema,
    kind: z
      .literal('mix')
      .describe('Shards of several output folders → shards of their conversations, mixed anew'),
    name: nameSchema,
    shardTokens,
    dtype,
    output,
    shuffle,
    order,
    onUntrained: onUntrained
      .default('keep')
      .describe('What is done with a conversation that has no trained token: left out, or an error'),
    splits: mixSplits,
  })
  .superRefine((recipe, context) => {
    checkDtype(recipe, context)
    checkOrder(recipe, context)
  })

export type MixRecipe = z.output<typeof mixSchema>

/** The folders it names, each once, and where the first mention stands. */
export function foldersOf({ splits }: MixRecipe): { from: string; split: string; where: string }[] {
  return Object.entries(splits).flatMap(([name, entries]) =>
    entries.map(({ from, split }, i) => ({ from, split, where: `splits.${name}[${i}]` })),
  )
}

export const mix = defineKind<MixRecipe, MixLock>({
  kind: 'mix',
  schema: mixSchema,
  entries: () => [],
  lock: lockMix,
})

async function lockMix(recipe: MixRecipe, locking: Locking): Promise<MixLock> {
  const folders = new Map<string, BuiltFolder>()
  for (const { from, where } of foldersOf(recipe))
    if (!folders.has(from)) folders.set(from, await locking.folder(from, where))
  const [first, ...others] = folders.values()
  for (const other of others) assertSameVocabulary(first!, other)
  const { tokenizer, template } = first!.manifest.lock
  const { format } = outputFormatOf(recipe.output)
  if (format.template !== undefined && format.template !== template.name)
    throw new ShardmillError(
      'RECIPE',
      `output: is ${format.name}, which holds what template ${format.template} writes, and the folders were made with ${template.name}`,
      { hint: `Leave \`output\` out, or name another format.` },
    )
  const maxSeqLen = Math.max(...[...folders.values()].map(({ manifest }) => manifest.lock.maxSeqLen))
  const splitOrder = splitOrderOf(recipe)
  return {
    schema: 1,
    kind: 'mix',
    name: recipe.name,
    tokenizer,
    template,
    vocabulary: first!.vocabulary,
    maxSeqLen,
    shardTokens: recipe.shardTokens,
    ...lockOutput({ output: recipe.output, maxSeqLen }),
    dtype: recipe.dtype,
    shuffle: shuffleOf(recipe),
    onBadRow: { policy: 'fail', limit: 0 },
    ...(splitOrder === undefined ? {} : { splitOrder }),
    splits: await eachSplit(splitOrder ?? usualSplits, async (name) => {
      const locked: MixLock['splits'][string][number][] = []
      for (const [i, entry] of (recipe.splits[name] ?? []).entries()) {
        const { from, split, label, start, stop, step, repeat } = entry
        const folder = folders.get(from)!
        const policy = entry.onUntrained ?? recipe.onUntrained
        const path = portable(folder.path)
        locked.push({
          task: 'shards',
          label: label ?? `${path}/${split}`,
          origin: { kind: 'built', path, split, lockDigest: folder.manifest.lockDigest },
          reader: 'none',
          files: await locking.shards(folder, split, `splits.${name}[${i}]`),
          aux: {},
          format: shardSourceFormat(folder) as unknown as Json,
          seed: null,
          ...{ start, stop, step, repeat },
          ...(policy === 'keep' ? {} : { onUntrained: policy }),
        })
      }
      return locked
    }),
  }
}
