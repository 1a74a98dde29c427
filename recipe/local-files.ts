/**
 * The local files a recipe names, taken into the store where the recipe lies: so that whoever resolves the recipe
 * elsewhere (a worker) needs only the store.
 */
import { manifestName } from '../output/names.ts'
import type { LockedFile } from '../pipeline/lock.ts'
import type { Source } from '../stages/sources/define-source.ts'
import { sourceOf } from '../stages/sources/index.ts'
import type { Store } from '../store/types.ts'
import { type RecipeSource, templateName } from './fields.ts'
import { importLocal, leftOut } from './import-file.ts'
import type { TokenizingRecipe } from './kinds/define-kind.ts'
import { recipeKind } from './kinds/index.ts'
import { foldersOf, type MixRecipe } from './kinds/mix.ts'
import { pathIn, readBuilt, shardFiles } from './lock-built.ts'
import type { Recipe } from './schema.ts'
import { besideTokenizer, namedTemplateFiles, sibling } from './template-files.ts'

/** By the path as the recipe writes it; null for an optional file that is not there. */
export type LocalFiles = Readonly<Record<string, LockedFile | null>>

interface Named {
  readonly path: string
  readonly where: string
  readonly optional: boolean
  /** The recipe does not name it: it may lie beside what it names. */
  readonly implied?: true
}

/**
 * Imports them all; `notice` is told of optional ones that are not there. Throws what `resolveRecipe` throws for files
 * that are missing or may not be read.
 */
export async function importLocalFiles(
  recipe: Recipe,
  store: Store,
  folder: string,
  notice?: (text: string) => void,
): Promise<LocalFiles> {
  const files: Record<string, LockedFile | null> = {}
  const named = recipe.kind === 'mix' ? await shardsNamed(recipe, store, folder) : namedFiles(recipe)
  for (const { path, where, optional, implied } of named) {
    const file = await importLocal(store, folder, path, where, optional)
    if (file === undefined && implied === undefined) notice?.(leftOut(where, path, folder))
    files[path] = file ?? null
  }
  return files
}

/** Manifests, and the files that they name. */
async function shardsNamed(recipe: MixRecipe, store: Store, folder: string): Promise<Named[]> {
  const context = { store, folder }
  const named: Named[] = []
  for (const { from, split, where } of foldersOf(recipe)) {
    const built = await readBuilt(from, where, context)
    named.push({ path: pathIn(from, manifestName), where: `${where}.from`, optional: false })
    for (const { file } of shardFiles(built, split, where))
      named.push({ path: pathIn(from, file.path), where: `${where}.from`, optional: false })
  }
  return named
}

function namedFiles(recipe: Exclude<Recipe, MixRecipe>): Named[] {
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
    implied: true,
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
