/** kind: sft. Its fields, and its lock. */
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { type SftLock, usualSplits } from '../../pipeline/lock.ts'
import { outputFormatOf, outputFormats } from '../../stages/outputs/index.ts'
import { templateOf } from '../../stages/templates/index.ts'
import {
  editorSchema,
  nameSchema,
  onUntrained,
  type RecipeSource,
  seed,
  sourceSchema,
  templateName,
  templateSchema,
  tokenizerSchema,
  tooLong,
} from '../fields.ts'
import { defineKind, type Locking } from './define-kind.ts'

/** Formats bring their own options, as sources bring fields. */
const outputSchema = z.discriminatedUnion(
  'format',
  outputFormats.map(({ name, about, fields }) =>
    z.strictObject({ format: z.literal(name).describe(about), ...fields }),
  ) as unknown as [z.ZodObject<{ format: z.ZodLiteral<string> }>],
)

const sourceList = z.array(sourceSchema).describe('The mixture: its sources, in order')

/** Lists by the names of their splits. */
export const namedSplits = <T extends z.ZodArray>(list: T) =>
  z
    .record(z.string(), list)
    .superRefine((entries, context) => {
      const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
      for (const name of Object.keys(entries)) {
        const meant = misspelt(name)
        if (meant !== undefined) issue([name], `is no name for a split; did you mean \`${meant}\`?`)
        else if (name.length > longestName)
          issue(
            [name],
            `is too long for the name of a split: ${name.length} characters, at most ${longestName}`,
          )
        else if (!splitName.test(name))
          issue([name], 'is no name for a split: letters, digits, "_" and "-", beginning with a letter')
      }
      if (entries['train']?.length === 0)
        issue(['train'], 'is an empty list, expected a list with at least one entry')
      if (Object.values(entries).every((list) => list.length === 0))
        issue([], 'has no sources, expected some for `train`, `val` or a split of another name')
    })
    .describe('By name; every other one is finished and verified before train begins')

/** By name, in the recipe's order. */
export const splits = namedSplits(sourceList)

const longestName = 64
export const splitName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** A name that is almost surely one of the usual two: the same letters, or (train) one letter off. */
function misspelt(name: string): string | undefined {
  const letters = (text: string) => [...text.toLowerCase()].sort().join('')
  return ['train', 'val'].find(
    (usual) =>
      name !== usual &&
      (letters(name) === letters(usual) || (usual === 'train' && distance(name.toLowerCase(), usual) === 1)),
  )
}

export const sftFields = z.strictObject({
  $schema: editorSchema,
  kind: z.literal('sft').describe('Chat conversations → token and mask shards'),
  name: nameSchema,
  tokenizer: tokenizerSchema,
  template: templateSchema,
  maskAssistantHeader: z
    .boolean()
    .optional()
    .describe(
      'Template chatml: whether the header of the assistant’s turns is left out of training (default: false)',
    ),
  onUntrained: onUntrained
    .default('keep')
    .describe('What is done with a conversation that has no trained token: left out, or an error'),
  tooLong: tooLong
    .default('truncate')
    .describe('What is done with a conversation of more than maxSeqLen tokens'),
  maxSeqLen: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .describe('A conversation is cut to this many tokens'),
  shardTokens: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .describe('Tokens in a shard; the last one of a split may have fewer'),
  dtype: z
    .enum(['auto', 'uint16', 'uint32'])
    .default('auto')
    .describe('Of the shard files; auto: uint32 when the vocabulary exceeds 65536'),
  output: outputSchema.optional().describe('The format of the shard files (default: llmc-bin)'),
  shuffle: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('python').describe('CPython random.Random(seed).shuffle'), seed }),
      z.strictObject({ kind: z.literal('numpy').describe('NumPy default_rng(seed).permutation'), seed }),
      z.strictObject({
        kind: z.literal('seedrandom').describe('Fisher-Yates with the npm package seedrandom'),
        seed,
      }),
      z.strictObject({ kind: z.literal('none').describe('One source after the other') }),
    ])
    .optional()
    .describe('The order of each split, over all of its sources (default: python with seed 42, as nanochat)'),
  order: z
    .enum(['mixture', 'sequence'])
    .optional()
    .describe(
      'mixture: shuffled as `shuffle` says, the default; sequence: one source after the other (a curriculum)',
    ),
  onBadRow: z
    .enum(['fail', 'quarantine'])
    .default('fail')
    .describe(
      'What a row does that is not what its source expects: stops the build, or is set aside, counted and listed',
    ),
  badRowLimit: z
    .int()
    .nonnegative()
    .default(100)
    .describe('Most rows a source may set aside (onBadRow: quarantine)'),
  splits,
})

export const sftSchema = sftFields.superRefine((recipe, context) => {
  checkDtype(recipe, context)
  checkMaskOption(recipe, context)
  checkOrder(recipe, context)
  checkTogether(recipe, context)
})

type Fields = z.output<typeof sftFields>

export function checkDtype(
  { dtype, output }: Pick<Fields, 'dtype' | 'output'>,
  context: z.RefinementCtx,
): void {
  if (output !== undefined && dtype !== 'auto' && !outputFormatOf(output).format.hasDtype)
    context.addIssue({
      code: 'custom',
      path: ['dtype'],
      message: `is no option of the output format ${output.format}, which has one type of its own`,
    })
}

function checkMaskOption({ template, maskAssistantHeader }: Fields, context: z.RefinementCtx): void {
  const { name, options } = templateOf(templateName(template))
  if (maskAssistantHeader !== undefined && options?.maskAssistantHeader === undefined)
    context.addIssue({
      code: 'custom',
      path: ['maskAssistantHeader'],
      message: `is no option of the template ${name}, whose mask is fixed`,
    })
}

/** Some templates write tokens of one tokenizer only, some formats hold conversations of one template only. */
function checkTogether({ tokenizer, template, output }: Fields, context: z.RefinementCtx): void {
  const issue = (field: string, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message })
  const { name, tokenizer: only } = templateOf(templateName(template))
  if (only !== undefined && tokenizer.kind !== only)
    issue('template', `is ${name}, which writes text: it goes with \`tokenizer: { kind: ${only} }\` only`)
  const { format } = outputFormatOf(output)
  if (format.template !== undefined && format.template !== name)
    issue(
      'output',
      `is ${format.name}, which holds what \`template: ${format.template}\` writes, and no tokens`,
    )
}

export function checkOrder(
  { order, shuffle }: Pick<Fields, 'order' | 'shuffle'>,
  context: z.RefinementCtx,
): void {
  const contradiction = (message: string) => context.addIssue({ code: 'custom', path: ['order'], message })
  if (order === 'sequence' && shuffle !== undefined && shuffle.kind !== 'none')
    contradiction(
      `is sequence, which keeps the sources in their order, but shuffle.kind is ${shuffle.kind}; leave one out`,
    )
  if (order === 'mixture' && shuffle?.kind === 'none')
    contradiction('is mixture, which is shuffled, but shuffle.kind is none; leave one out')
}

export type SftRecipe = z.output<typeof sftSchema>

export const sft = defineKind<SftRecipe, SftLock>({
  kind: 'sft',
  schema: sftSchema,
  entries: ({ splits }) =>
    Object.entries(splits).flatMap(([split, entries]) =>
      (entries as unknown as readonly RecipeSource[]).map((entry, i) => ({
        entry,
        where: `splits.${split}[${i}]`,
      })),
    ),
  lock: lockSft,
})

async function lockSft(recipe: SftRecipe, locking: Locking): Promise<SftLock> {
  const lockSplit = (split: string) =>
    locking.sources(
      split,
      ((recipe.splits[split] ?? []) as unknown as readonly RecipeSource[]).map((entry, i) => ({
        entry: withPolicies(entry, recipe),
        where: `splits.${split}[${i}]`,
      })),
    )
  const splitOrder = splitOrderOf(recipe)
  const tokenizer = await locking.tokenizer(recipe)
  return {
    schema: 1,
    kind: 'sft',
    name: recipe.name,
    tokenizer,
    template: await lockTemplate(recipe, locking),
    maxSeqLen: recipe.maxSeqLen,
    shardTokens: recipe.shardTokens,
    ...lockOutput(recipe),
    dtype: recipe.dtype,
    shuffle: shuffleOf(recipe),
    onBadRow: { policy: recipe.onBadRow, limit: recipe.badRowLimit },
    ...(splitOrder === undefined ? {} : { splitOrder }),
    splits: await eachSplit(splitOrder ?? usualSplits, lockSplit),
  }
}

/** Only what is not val and train, which a lock has both of, needs an order of its own: the recipe's, train last. */
export function splitOrderOf({
  splits,
}: {
  readonly splits: Readonly<Record<string, unknown>>
}): readonly string[] | undefined {
  const names = Object.keys(splits)
  if (names.every((name) => name === 'val' || name === 'train')) return undefined
  return [...names.filter((name) => name !== 'train'), ...names.filter((name) => name === 'train')]
}

export async function eachSplit<T>(names: readonly string[], of: (name: string) => Promise<T>) {
  const splits: Record<string, T> = {}
  for (const name of names) splits[name] = await of(name)
  return splits
}

/** The order of the splits: `order: sequence` is another way to say that nothing is shuffled. */
export function shuffleOf({
  order,
  shuffle = { kind: order === 'sequence' ? 'none' : 'python', seed: 42 },
}: Pick<SftRecipe, 'order' | 'shuffle'>): SftLock['shuffle'] {
  return shuffle.kind === 'none' ? { kind: 'none', seed: 0 } : shuffle
}

async function lockTemplate(recipe: SftRecipe, locking: Locking): Promise<SftLock['template']> {
  const { name, version, specials, options, isFile } = templateOf(templateName(recipe.template))
  if (isFile === true) return { name, version, specials, ...(await locking.templateFiles(recipe)) }
  if (options === undefined) return { name, version, specials }
  const { maskAssistantHeader = options.maskAssistantHeader ?? false } = recipe
  return { name, version, specials, options: { maskAssistantHeader } }
}

/** The usual format is not in a lock, so that the locks from before there were others stay as they are. */
export function lockOutput({
  output: chosen,
  maxSeqLen,
}: Pick<SftRecipe, 'output' | 'maxSeqLen'>): Pick<SftLock, 'output'> {
  if (chosen === undefined || chosen.format === outputFormats[0]!.name) return {}
  const { format: name, ...given } = chosen
  const { format } = outputFormatOf(chosen)
  const options = format.settle?.(given, { maxSeqLen }) ?? given
  const cut = format.cut?.(options)
  return {
    output: {
      format: name,
      version: format.version,
      ...(Object.keys(options).length === 0 ? {} : { options }),
      ...(cut === undefined ? {} : { cut }),
    },
  }
}

/** A source's policies for rows are its own, else the recipe's. */
function withPolicies(source: RecipeSource, { onUntrained, tooLong }: SftRecipe): RecipeSource {
  return { ...source, onUntrained: source.onUntrained ?? onUntrained, tooLong: source.tooLong ?? tooLong }
}
