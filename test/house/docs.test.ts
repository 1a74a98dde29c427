/** docs/recipe.md has a row for everything that a recipe can name. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { recipeJsonSchema } from '../../recipe/schema.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import { sources } from '../../stages/sources/index.ts'
import { templates } from '../../stages/templates/index.ts'
import { projectRoot } from '../e2e/cli.ts'

const text = readFileSync(join(projectRoot, 'docs', 'recipe.md'), 'utf8')

/** First cells of the table under a heading, but for its head. */
function rowsUnder(heading: string): string[] {
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!).slice(1)
}

/** The constants that `kind` has in a part of the schema. */
function kindsIn(schema: unknown, found = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return found
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'kind' && typeof (value as { const?: unknown }).const === 'string')
      found.add((value as { const: string }).const)
    kindsIn(value, found)
  }
  return found
}

describe('docs/recipe.md has a row for every', () => {
  test('source', () => {
    expect(rowsUnder('Sources')).toEqual(sources.map(({ task }) => task))
  })
  test('template', () => {
    expect(rowsUnder('What is trained on').sort()).toEqual(
      templates.map(({ name }) => (name === 'jinja' ? 'model' : name)).sort(),
    )
  })
  test('output format', () => {
    expect(rowsUnder('Output formats').sort()).toEqual(outputFormats.map(({ name }) => name).sort())
  })
  test('kind of recipe and of tokenizer', () => {
    const shuffles = ['python', 'numpy', 'seedrandom', 'none']
    const all = [...kindsIn(recipeJsonSchema())].filter((kind) => !shuffles.includes(kind))
    const rows = [...rowsUnder('Kinds'), ...rowsUnder('Tokenizers')]
    expect(rows.sort()).toEqual(all.sort())
  })
})
