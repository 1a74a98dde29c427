/**
 * Fields that recipes of several kinds have. Sources bring their own, so a new one appears here (and in the JSON
 * Schema for editors, recipes/recipe.schema.json) by itself.
 */
import { z } from 'zod'
import type { Source } from '../stages/sources/define-source.ts'
import { sources } from '../stages/sources/index.ts'
import { templates } from '../stages/templates/index.ts'

export const onUntrained = z.enum(['keep', 'drop', 'fail'])
export const tooLong = z.enum(['truncate', 'drop', 'fail'])

/** Fields that every source has. */
export const sliceFields = {
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

export const sourceSchema = z
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
export const seed = z.int().nonnegative()

export const tokenizerSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z
      .literal('tiktoken')
      .describe('An encoding of the tiktoken package; special tokens it lacks are appended'),
    encoding: z.enum(['gpt2', 'r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base']),
  }),
  z.strictObject({
    kind: z.literal('bytes').describe('Bytes for tokens: for template user_assistant and output text'),
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
        'A tokenizer.json with byte-level BPE: path, or model or repo (on the hub); special tokens it lacks are appended',
      ),
    path: z.string().min(1).optional().describe('The file, relative to the recipe'),
    model: z.string().min(1).optional().describe('A model repository on the hub'),
    repo: z.string().min(1).optional().describe('A dataset repository on the hub'),
    file: z.string().min(1).optional().describe('In the repository (default: tokenizer.json)'),
    revision: z.string().min(1).default('main'),
    addedTokens: z
      .enum(['text', 'recognise'])
      .optional()
      .describe(
        'Added tokens inside a text: ordinary text (the default, but for a model’s template), or their ids, as Python’s tokenizers does',
      ),
  }),
])

export type TokenizerRecipe = z.output<typeof tokenizerSchema>

const templateFile = z
  .union([
    z.string().min(1),
    z.strictObject({
      model: z.string().min(1).optional().describe('A model repository on the hub'),
      repo: z.string().min(1).optional().describe('A dataset repository on the hub'),
      file: z.string().min(1),
      revision: z.string().min(1).default('main'),
    }),
  ])
  .optional()

/** A file that a recipe names: a path, or where it is on the hub. */
export type NamedFile = NonNullable<z.output<typeof templateFile>>

const ownTemplates = templates.filter(({ isFile }) => isFile !== true).map(({ name }) => name)

export const templateSchema = z
  .union([
    z.enum(['model', ...ownTemplates]),
    z.strictObject({
      jinja: templateFile.describe('A chat_template.jinja: path, or a file on the hub'),
      config: templateFile.describe(
        'A tokenizer_config.json: special tokens, and the template if there is no jinja',
      ),
      variables: z
        .record(z.string(), z.json())
        .optional()
        .describe('What the template can use, e.g. {enable_thinking: false}'),
    }),
  ])
  .describe(
    'How a conversation becomes tokens: nanochat, chatml, the model’s own template beside the tokenizer, or a Jinja file',
  )

export type TemplateRecipe = z.output<typeof templateSchema>

/** The template's name among ours. */
export function templateName(template: TemplateRecipe): string {
  return typeof template === 'string' && template !== 'model' ? template : 'jinja'
}

export const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'must be letters, digits, ".", "_" and "-", beginning with a letter or digit',
  )
  .describe('A name for people')

/** Ignored wherever it stands. */
export const editorSchema = z.string().optional().describe('For editors; ignored')

/** One entry of a split: `task` and the slice are common, the rest is the source's own. */
export interface RecipeSource {
  readonly task: string
  readonly start: number
  readonly stop: number | null
  readonly step: number
  readonly repeat: number
  readonly onUntrained?: z.output<typeof onUntrained>
  readonly tooLong?: z.output<typeof tooLong>
  readonly [field: string]: unknown
}
