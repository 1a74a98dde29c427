/**
 * Every field of the recipe, one at a time: which stages run anew, and that the shards' bytes change exactly when
 * keys do. The fields are read from the recipe's own JSON Schema, so that a new one cannot be forgotten here.
 *
 * All builds share one store and run in this process: what a case runs anew are the keys that its manifest names and
 * the build of the unchanged recipe does not, whichever case came to them first.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type Bench,
  bench,
  manifestOf,
  newRecords,
  ok,
  recordsOf,
  type StoredRecord,
  serve,
  shardsOf,
  temporaryFolder,
  writeRecipe,
} from './cli.ts'
import { cases, everything, fixed, order, train } from './fields-cases.ts'
import { mirrored, writeMore } from './fields-fixture.ts'
import { buildHere } from './in-process.ts'

let at: Bench
let shards: Record<string, string>
/** The store as the unchanged recipe left it. */
let before: Map<string, StoredRecord>
/** Every key that a manifest has named. */
const named = new Set<string>()

beforeAll(async () => {
  const folder = temporaryFolder()
  writeMore(folder)
  at = bench(everything(), await serve(mirrored()), folder, 1)
  await buildHere(at)
  shards = shardsOf(at.out)
  before = recordsOf(at.store)
  for (const { key } of manifestOf(at.out).stages) named.add(key)
  expect(named).toEqual(new Set(before.keys()))
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly const?: string
}

/** The names of all fields: `maxSeqLen`, `shuffle.seed`, `gsm8k.repeat`, `spelling_bee.words.file`. */
function fieldsOf(schema: Schema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    if (path === 'splits')
      return (field.items?.oneOf ?? []).flatMap((source) =>
        fieldsOf(source, source.properties?.['task']?.const ?? '?'),
      )
    if (name === 'splits') return fieldsOf(field, 'splits')
    const full = path === '' ? name : `${path}.${name}`
    const inner = (field.oneOf ?? field.anyOf ?? [field]).flatMap((branch) => fieldsOf(branch, full))
    return inner.length === 0 || field.anyOf?.some(({ properties }) => properties === undefined)
      ? [full, ...inner]
      : inner
  })
}

test('every field of the schema is flipped below', async () => {
  const { oneOf = [] } = JSON.parse((await ok(['schema'])).stdout) as Schema
  const schema = oneOf.find(({ properties }) => properties?.['kind']?.const === 'sft')!
  const fields = [...new Set(fieldsOf(schema, ''))].filter((field) => !field.endsWith('.task'))
  expect(fields.length).toBeGreaterThan(60)
  expect(fields.filter((field) => !cases.has(field) && !fixed.includes(field))).toEqual([])
  expect([...cases.keys()].filter((name) => !fields.includes(name.split(' ')[0]!))).toEqual([])
})

describe('one field at a time', () => {
  for (const [field, { change, runs }] of cases) {
    test(`${field}: ${runs.length === 0 ? 'nothing runs' : runs.join(', ')}`, async () => {
      const recipe = everything()
      change(recipe)
      // Beside the others' files, into a folder that holds the unchanged recipe's output.
      const flipped = {
        ...at,
        recipe: writeRecipe(at.folder, recipe, 'flipped.yaml'),
        out: join(at.folder, 'flipped'),
      }
      cpSync(at.out, flipped.out, { recursive: true })
      expect(readFileSync(flipped.recipe, 'utf8')).not.toBe(readFileSync(at.recipe, 'utf8'))
      await buildHere(flipped)
      const used = manifestOf(flipped.out).stages
      for (const { key } of used) named.add(key)
      const ran = new Set(used.filter(({ key }) => !before.has(key)).map(({ stage }) => stage))
      ran.delete('overlap')
      expect([...ran].sort()).toEqual([...runs].sort())
      if (runs.some((stage) => order.includes(stage))) expect(shardsOf(flipped.out)).not.toEqual(shards)
      else expect(shardsOf(flipped.out)).toEqual(shards)
      rmSync(flipped.out, { recursive: true })
    })
  }

  test('no case has run a stage that its manifest does not name, or touched a record that was there', () => {
    const after = recordsOf(at.store)
    newRecords(before, after)
    expect(new Set(after.keys())).toEqual(named)
  })

  test('the template’s version and a source’s version are part of the keys', () => {
    // Not fields of the recipe, and yet they change bytes: each stands in the params of the stages it matters to.
    const records = [...before.values()]
    for (const { stage, params } of records) {
      if (stage === 'tokenize')
        expect(params).toMatchObject({ template: { name: 'nanochat', version: expect.any(Number) } })
      if (stage === 'format')
        expect(params).toMatchObject({ source: { task: expect.any(String), version: expect.any(Number) } })
    }
    expect(records.filter(({ stage }) => stage === 'format').length).toBeGreaterThanOrEqual(train.length)
  })
})
