import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { toolVersion } from '../../errors/version.ts'
import { recipeJsonSchema } from '../../recipe/schema.ts'

const root = resolve(import.meta.dirname, '../..')

test('the version in the code is the package’s', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  expect(toolVersion).toBe(version)
})

test('the committed JSON Schema is the recipe schema’s (`shardmill schema > recipes/recipe.schema.json` writes it)', () => {
  expect(JSON.parse(readFileSync(join(root, 'recipes/recipe.schema.json'), 'utf8'))).toEqual(
    recipeJsonSchema(),
  )
})
