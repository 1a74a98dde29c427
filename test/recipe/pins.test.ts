/** A recipe resolved again with the pins of its lock is that lock, wherever the hub's branches have moved. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHub } from '../../hub/client/hub.ts'
import { hubSettings } from '../../hub/client/settings.ts'
import type { Lock } from '../../pipeline/lock.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { type Pins, pinsOf, resolveRecipe } from '../../recipe/resolve.ts'
import { openStore } from '../../stages/open-store.ts'
import type { ManagedStore } from '../../store/managed-store.ts'
import { goldenRecipe, type RecipeObject, serve, temporaryFolder, writeRecipe } from '../e2e/cli.ts'
import { moveBranches, movingEvalRecipe, movingHub, movingRecipe } from '../e2e/moving-hub.ts'

let store: ManagedStore
beforeAll(async () => {
  store = await openStore(temporaryFolder())
})
afterAll(() => store.close())

const quiz = { task: 'messages', repo: 'own/quiz', split: 'test' }
const talk = { task: 'smoltalk', split: 'test' }

const recipes: Readonly<Record<string, RecipeObject>> = {
  'a model, tables, a file, the converted branch': movingRecipe(),
  'kind: chat-eval': movingEvalRecipe(),
  'a template that is named': {
    ...movingRecipe(),
    template: { jinja: { model: 'own/model', file: 'chat_template.jinja' } },
  },
  'a subset, and the default one of the same dataset': goldenRecipe({
    splits: { val: [{ ...quiz, subset: 'more' }], train: [quiz] },
  }),
  'the converted branch, and the files it was converted from': goldenRecipe({
    splits: { val: [{ ...talk, revision: 'refs/convert/parquet' }], train: [talk] },
  }),
}

/** With a hub of its own, which remembers nothing. */
function resolve(path: string, url: string, pinned?: Pins): Promise<Lock> {
  const { signal } = new AbortController()
  return resolveRecipe(parseRecipe(readFileSync(path, 'utf8'), path, []), {
    store,
    hub: () => createHub(hubSettings({ HF_ENDPOINT: url }), { signal }),
    folder: dirname(path),
    signal,
    ...(pinned === undefined ? {} : { pinned }),
  })
}

test.each(Object.entries(recipes))('%s: the same lock, to the order of its fields', async (_, recipe) => {
  const folder = movingHub()
  const { url } = await serve(folder)
  const path = writeRecipe(temporaryFolder(), recipe)
  const first = await resolve(path, url)
  moveBranches(folder)
  expect(await resolve(path, url)).not.toEqual(first)
  // As a lock comes from a file or a blob.
  const read = JSON.parse(JSON.stringify(first)) as Lock
  expect(JSON.stringify(await resolve(path, url, pinsOf(read)))).toBe(JSON.stringify(first))
})
