/** kind: chat-eval. Multiple-choice tasks as problems of tokens, for nanochat's categorical evaluation. */
import { z } from 'zod'
import { configName, manifestName, provenanceName, rejectedName } from '../../output/names.ts'
import { type ChatEvalLock, evalSplit } from '../../pipeline/lock.ts'
import { problemFormatOf, problemFormats } from '../../stages/outputs/problem-files/index.ts'
import { sourceOf, sources } from '../../stages/sources/index.ts'
import { templateOf, templates } from '../../stages/templates/index.ts'
import type { Json } from '../../store/types.ts'
import { editorSchema, nameSchema, type RecipeSource, sliceFields, tokenizerSchema } from '../fields.ts'
import { defineKind } from './define-kind.ts'

const { start, stop, step } = sliceFields

/** Sources whose rows have letters. */
const taskSchemas = sources
  .filter((source) => source.kind === 'table' && source.lettered === true)
  .map((source) =>
    z.strictObject({
      task: z.literal(source.task).describe(source.about),
      ...source.fields,
      ...{ start, stop, step },
      label: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be letters, digits, ".", "_" and "-"')
        .optional()
        .describe('The name of its file and in the figures (default: the source’s)'),
    }),
  ) as unknown as [z.ZodObject<{ task: z.ZodLiteral<string> }>]

const tasks = z
  .array(z.discriminatedUnion('task', taskSchemas))
  .min(1)
  .superRefine((entries, context) => {
    const labels = (entries as unknown as RecipeSource[]).map(labelOf)
    labels.forEach((label, i) => {
      if (labels.findIndex((other) => other.toLowerCase() === label.toLowerCase()) < i)
        context.addIssue({
          code: 'custom',
          path: [i],
          message: `has the label ${label}, which another task has; give it one of its own with \`label\``,
        })
    })
  })
  .default(() => usualTasks as never)
  .describe('The tasks, in order, a file each (default: MMLU, ARC-Easy and ARC-Challenge, test)')

const hub = { revision: 'main', split: 'test', seed: 42, start: 0, stop: null, step: 1 }
const usualTasks = [
  { task: 'mmlu', subset: 'all', ...hub },
  { task: 'arc', subset: 'ARC-Easy', ...hub },
  { task: 'arc', subset: 'ARC-Challenge', ...hub },
]

/** Files of the folder's own, which no task may be named like. */
const folderNames = [manifestName, provenanceName, configName, rejectedName]

export const chatEvalSchema = z
  .strictObject({
    $schema: editorSchema,
    kind: z
      .literal('chat-eval')
      .describe('Multiple-choice tasks → prompts of tokens with their letters, a file a task'),
    name: nameSchema,
    tokenizer: tokenizerSchema,
    template: z
      .enum(
        templates.filter(({ opening }) => opening !== undefined).map(({ name }) => name) as [
          string,
          ...string[],
        ],
      )
      .default('nanochat')
      .describe('How a prompt becomes tokens'),
    maxSeqLen: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .default(2048)
      .describe('Problems with a longer prompt are left out; prompts are cut at 2048 tokens in any case'),
    tasks,
    output: z
      .enum(problemFormats.map(({ name }) => name) as [string, ...string[]])
      .default('pt')
      .describe(problemFormats.map(({ name, about }) => `${name}: ${about}`).join('; ')),
  })
  .superRefine(({ tasks, output }, context) => {
    const { extension } = problemFormatOf(output)
    ;(tasks as unknown as RecipeSource[]).map(labelOf).forEach((label, i) => {
      const file = `${label}.${extension}`
      if (folderNames.includes(file.toLowerCase()))
        context.addIssue({
          code: 'custom',
          path: ['tasks', i],
          message: `has the label ${label}, and ${file} is a file that every output folder may have; give it another with \`label\``,
        })
    })
  })

export type ChatEvalRecipe = z.output<typeof chatEvalSchema>

function labelOf(entry: RecipeSource): string {
  const { label } = entry as { readonly label?: string }
  return label ?? sourceOf(entry.task).label(entry)
}

function entriesOf({ tasks }: ChatEvalRecipe) {
  return (tasks as unknown as readonly RecipeSource[]).map((entry, i) => ({
    entry: { ...entry, repeat: 1 },
    where: `tasks[${i}]`,
  }))
}

export const chatEval = defineKind<ChatEvalRecipe, ChatEvalLock>({
  kind: 'chat-eval',
  schema: chatEvalSchema,
  entries: entriesOf,
  async lock(recipe, locking) {
    const tokenizer = await locking.tokenizer(recipe)
    const { name, version, specials } = templateOf(recipe.template)
    const format = problemFormatOf(recipe.output)
    const entries = entriesOf(recipe)
    const locked = await locking.sources(evalSplit, entries)
    return {
      schema: 1,
      kind: 'chat-eval',
      name: recipe.name,
      tokenizer,
      template: { name, version, specials },
      maxSeqLen: recipe.maxSeqLen,
      output: { name: format.name, version: format.version },
      // A wrong problem would be a wrong accuracy.
      onBadRow: { policy: 'fail', limit: 0 },
      splitOrder: [evalSplit],
      splits: {
        [evalSplit]: locked.map((source, i) => {
          const format = source.format as Readonly<Record<string, Json>>
          const identity = { ...(format['identity'] as object), letters: true }
          return { ...source, label: labelOf(entries[i]!.entry), format: { ...format, identity } }
        }),
      },
    }
  },
})
