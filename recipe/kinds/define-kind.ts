/** A kind of recipe to those who read it: its fields, and how they become a lock. One file each beside this one. */
import type { z } from 'zod'
import type { Kind, Lock, LockedFile, LockedSource } from '../../pipeline/lock.ts'
import type { RecipeSource, TemplateRecipe, TokenizerRecipe } from '../fields.ts'
import type { BuiltFolder } from '../lock-built.ts'

/** An entry of a list of sources, and where it stands: `splits.val[0]`. */
export interface Entry {
  readonly entry: RecipeSource
  readonly where: string
}

/** What tokenizes: the two depend on each other. */
export interface TokenizingRecipe {
  readonly tokenizer: TokenizerRecipe
  readonly template: TemplateRecipe
}

/** What locking a recipe needs from the world: files looked up, pinned and taken into the store. */
export interface Locking {
  tokenizer(recipe: TokenizingRecipe): Promise<Lock['tokenizer']>
  /** Files and variables of a template that is a file. */
  templateFiles(recipe: TokenizingRecipe): Promise<Pick<Lock['template'], 'files' | 'options'>>
  /** A split's, in order, a few at a time. */
  sources(split: string, entries: readonly Entry[]): Promise<LockedSource[]>
  /** An output folder that was built before, by its manifest. */
  folder(from: string, where: string): Promise<BuiltFolder>
  /** The files of a split of it, checked against the manifest. */
  shards(folder: BuiltFolder, split: string, where: string): Promise<LockedFile[]>
}

export interface RecipeKind<R, L extends Lock> {
  readonly kind: Kind
  readonly schema: z.ZodType<R>
  /** All sources that the recipe names. */
  entries(recipe: R): readonly Entry[]
  lock(recipe: R, locking: Locking): Promise<L>
}

export function defineKind<R, L extends Lock>(kind: RecipeKind<R, L>): RecipeKind<R, L> {
  return kind
}
