/**
 * The recipe's schema. Sources bring their own fields, so a new one appears here (and in the JSON Schema for
 * editors, recipes/recipe.schema.json) by itself.
 */
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'
import type { Source } from '../stages/sources/define-source.ts'
import { sources } from '../stages/sources/index.ts'
import { templateOf, templates } from '../stages/templates/index.ts'

const onUntrained = z.enum(['keep', 'drop', 'fail'])
const tooLong = z.enum(['truncate', 'drop', 'fail'])

/** Fields that every source has. */
const sliceFields = {
  start: z.int().nonnegative().default(0).describe('First row of the source, in its own order'),
  stop: z
    .int()
    .nonnegative()
    .nullable()
    .default(null)
    .describe('Row before which to stop; more rows than there are is an error'),
  step: z.int().min(1).default(1).describe('Takes every step-th row'),
  repeat: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1)
    .describe('How often the mixture holds these rows (oversampling); 0 leaves them out'),
  onUntrained: onUntrained.optional().describe("As the recipe's, for this source"),
  tooLong: tooLong.optional().describe("As the recipe's, for this source"),
}

const sourceSchema = z
  .discriminatedUnion(
    'task',
    sources.map((source: Source) =>
      z.strictObject({
        task: z.literal(source.task).describe(source.about),
        ...source.fields,
        ...sliceFields,
      }),
    ) as unknown as [z.ZodObject<{ task: z.ZodLiteral<string> }>],
  )
  .superRefine((entry, context) => {
    const { start, stop } = entry as unknown as RecipeSource
    if (stop === null || start <= stop) return
    context.addIssue({
      code: 'custom',
      path: ['start'],
      message: `is ${start}, which is past stop (${stop})`,
    })
  })

/** Seeds go to three generators; all of them take these. */
const seed = z.int().nonnegative()

const tokenizerSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z
      .literal('tiktoken')
      .describe('An encoding of the tiktoken package; special tokens it lacks are appended'),
    encoding: z.enum(['gpt2', 'r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base']),
  }),
  z.strictObject({
    kind: z
      .literal('nanochat')
      .describe("nanochat's tokenizer.pkl (parsed, never executed): path, or repo and file on the hub"),
    path: z.string().min(1).optional().describe('The file, relative to the recipe'),
    repo: z.string().min(1).optional(),
    file: z.string().min(1).optional(),
    revision: z.string().min(1).default('main'),
  }),
  z.strictObject({
    kind: z
      .literal('huggingface')
      .describe(
        'A tokenizer.json with byte-level BPE: path, or repo (a dataset repository on the hub); special tokens it lacks are appended',
      ),
    path: z.string().min(1).optional().describe('The file, relative to the recipe'),
    repo: z.string().min(1).optional(),
    file: z.string().min(1).optional().describe('In the repository (default: tokenizer.json)'),
    revision: z.string().min(1).default('main'),
    addedTokens: z
      .enum(['text', 'recognise'])
      .default('text')
      .describe('Added tokens inside a text: ordinary text, or their ids, as Python’s tokenizers does'),
  }),
])

const sourceList = z.array(sourceSchema).describe('The mixture: its sources, in order')

/** By name, in the recipe's order. */
const splits = z
  .record(z.string(), sourceList)
  .superRefine((entries, context) => {
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
    for (const name of Object.keys(entries)) {
      const meant = misspelt(name)
      if (meant !== undefined) issue([name], `is no name for a split; did you mean \`${meant}\`?`)
      else if (!splitName.test(name))
        issue([name], 'is no name for a split: letters, digits, "_" and "-", beginning with a letter')
    }
    if (entries['train']?.length === 0)
      issue(['train'], 'is an empty list, expected a list with at least one entry')
    if (Object.values(entries).every((list) => list.length === 0))
      issue([], 'has no sources, expected some for `train`, `val` or a split of another name')
  })
  .describe('By name; every other one is finished and verified before train begins')

const splitName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** A name that is almost surely one of the usual two: the same letters, or (train) one letter off. */
function misspelt(name: string): string | undefined {
  const letters = (text: string) => [...text.toLowerCase()].sort().join('')
  return ['train', 'val'].find(
    (usual) =>
      name !== usual &&
      (letters(name) === letters(usual) || (usual === 'train' && distance(name.toLowerCase(), usual) === 1)),
  )
}

const fields = z.strictObject({
  $schema: z.string().optional().describe('For editors; ignored'),
  kind: z.literal('sft').describe('Chat conversations → token and mask shards'),
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
      'must be letters, digits, ".", "_" and "-", beginning with a letter or digit',
    )
    .describe('A name for people'),
  tokenizer: tokenizerSchema,
  template: z
    .enum(templates.map(({ name }) => name) as [string, ...string[]])
    .describe('How a conversation becomes tokens'),
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

export const recipeSchema = fields.superRefine(
  ({ order, shuffle, template, maskAssistantHeader }, context) => {
    if (maskAssistantHeader !== undefined && templateOf(template).options?.maskAssistantHeader === undefined)
      context.addIssue({
        code: 'custom',
        path: ['maskAssistantHeader'],
        message: `is no option of the template ${template}, whose mask is fixed`,
      })
    const contradiction = (message: string) => context.addIssue({ code: 'custom', path: ['order'], message })
    if (order === 'sequence' && shuffle !== undefined && shuffle.kind !== 'none')
      contradiction(
        `is sequence, which keeps the sources in their order, but shuffle.kind is ${shuffle.kind}; leave one out`,
      )
    if (order === 'mixture' && shuffle?.kind === 'none')
      contradiction('is mixture, which is shuffled, but shuffle.kind is none; leave one out')
  },
)

/** A recipe as it stands after validation, defaults filled in. */
export type Recipe = z.output<typeof recipeSchema>

/** One entry of a split: `task` and the slice are common, the rest is the source's own. */
export interface RecipeSource {
  readonly task: string
  readonly start: number
  readonly stop: number | null
  readonly step: number
  readonly repeat: number
  readonly onUntrained?: Recipe['onUntrained']
  readonly tooLong?: Recipe['tooLong']
  readonly [field: string]: unknown
}

/** The recipe's JSON Schema (draft 2020-12), for editors. */
export function recipeJsonSchema(): object {
  const schema = z.toJSONSchema(recipeSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema !== splits) return
      // The usual names, for editors.
      const list = jsonSchema.additionalProperties as typeof jsonSchema
      jsonSchema.propertyNames = { pattern: splitName.source }
      jsonSchema.properties = { val: list, train: { ...list, minItems: 1 } }
    },
  }) as Record<string, unknown>
  return { ...schema, title: 'shardmill recipe' }
}
