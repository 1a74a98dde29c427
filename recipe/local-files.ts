/**
 * The local files a recipe names, taken into the store where the recipe lies: so that whoever resolves the recipe
 * elsewhere (a worker) needs only the store.
 */
import type { LockedFile } from '../pipeline/lock.ts'
import type { Source } from '../stages/sources/define-source.ts'
import { sourceOf } from '../stages/sources/index.ts'
import type { Store } from '../store/types.ts'
import { type RecipeSource, templateName } from './fields.ts'
import { importLocal } from './import-file.ts'
import type { TokenizingRecipe } from './kinds/define-kind.ts'
import { recipeKind } from './kinds/index.ts'
import type { Recipe } from './schema.ts'
import { besideTokenizer, namedTemplateFiles, sibling } from './template-files.ts'

/** By the path as the recipe writes it; null for an optional file that is not there. */
export type LocalFiles = Readonly<Record<string, LockedFile | null>>

interface Named {
  readonly path: string
  readonly where: string
  readonly optional: boolean
}

/** Imports them all. Throws what `resolveRecipe` throws for files that are missing or may not be read. */
export async function importLocalFiles(recipe: Recipe, store: Store, folder: string): Promise<LocalFiles> {
  const files: Record<string, LockedFile | null> = {}
  for (const { path, where, optional } of namedFiles(recipe)) {
    files[path] = (await importLocal(store, folder, path, where, optional)) ?? null
  }
  return files
}

function namedFiles(recipe: Recipe): Named[] {
  const { tokenizer } = recipe
  const named: Named[] = []
  if ('path' in tokenizer && tokenizer.path !== undefined) {
    named.push({ path: tokenizer.path, where: 'tokenizer.path', optional: false })
  }
  named.push(...filesOfTemplate(recipe))
  for (const { entry, where } of recipeKind(recipe.kind).entries(recipe))
    named.push(...filesOfSource(sourceOf(entry.task), entry, where))
  return named
}

function filesOfTemplate({ template, tokenizer }: TokenizingRecipe): Named[] {
  const files = Object.entries(namedTemplateFiles(template))
  if (templateName(template) !== 'jinja' || files.length > 0)
    return files.flatMap(([role, path]) =>
      typeof path === 'string' ? [{ path, where: `template.${role}`, optional: false }] : [],
    )
  if (!('path' in tokenizer) || tokenizer.path === undefined) return []
  const { path } = tokenizer
  return Object.values(besideTokenizer).map((name) => ({
    path: sibling(path, name),
    where: 'template',
    optional: true,
  }))
}

function filesOfSource(source: Source, entry: RecipeSource, where: string): Named[] {
  if (source.kind === 'lines') return [{ ...source.path(entry), where: `${where}.path` }]
  if (source.kind === 'generated') {
    return Object.entries(source.aux(entry)).flatMap(([role, file]) =>
      file.kind === 'local' ? [{ path: file.path, where: `${where}.${role}`, optional: false }] : [],
    )
  }
  const path = (entry as { readonly path?: unknown }).path
  return typeof path === 'string' ? [{ path, where: `${where}.path`, optional: false }] : []
}
