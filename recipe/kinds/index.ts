/** Every kind of recipe, as those see it who read one. */
import type { Kind, Lock } from '../../pipeline/lock.ts'
import type { Recipe } from '../schema.ts'
import { chatEval } from './chat-eval.ts'
import type { RecipeKind } from './define-kind.ts'
import { mix } from './mix.ts'
import { sft } from './sft.ts'

const kinds = { sft, mix, 'chat-eval': chatEval } as const satisfies Record<Kind, unknown>

export function recipeKind(kind: Kind): RecipeKind<Recipe, Lock> {
  return kinds[kind] as unknown as RecipeKind<Recipe, Lock>
}
