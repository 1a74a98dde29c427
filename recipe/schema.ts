/** The recipe's schema: a union of the kinds, each with its own fields (kinds/). */
import { z } from 'zod'
import { type ChatEvalRecipe, chatEvalSchema } from './kinds/chat-eval.ts'
import { type MixRecipe, mixSchema, mixSplits } from './kinds/mix.ts'
import { type SftRecipe, sftSchema, splitName, splits } from './kinds/sft.ts'

export const recipeSchema = z.discriminatedUnion('kind', [sftSchema, mixSchema, chatEvalSchema])

/** A recipe as it stands after validation, defaults filled in. */
export type Recipe = SftRecipe | MixRecipe | ChatEvalRecipe

/** The recipe's JSON Schema (draft 2020-12), for editors. */
export function recipeJsonSchema(): object {
  const schema = z.toJSONSchema(recipeSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema !== splits && zodSchema !== mixSplits) return
      // The usual names, for editors.
      const list = jsonSchema.additionalProperties as typeof jsonSchema
      jsonSchema.propertyNames = { pattern: splitName.source }
      jsonSchema.properties = { val: list, train: { ...list, minItems: 1 } }
    },
  }) as Record<string, unknown>
  return { ...schema, title: 'shardmill recipe' }
}
