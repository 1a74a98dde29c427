/** Where the files of a model's chat template are. */
import type { NamedFile, TemplateRecipe } from './fields.ts'

/** What a model's folder calls them, by their role. */
export const besideTokenizer = { config: 'tokenizer_config.json', jinja: 'chat_template.jinja' } as const

/** Those that the recipe names, by role. */
export function namedTemplateFiles(template: TemplateRecipe): Readonly<Record<string, NamedFile>> {
  if (typeof template === 'string') return {}
  const { config, jinja } = template
  return { ...(config === undefined ? {} : { config }), ...(jinja === undefined ? {} : { jinja }) }
}

/** A file in the same folder. */
export function sibling(path: string, name: string): string {
  return path.replace(/[^/\\]*$/, name)
}
