/** What resolve makes of the lock that its build was resolved to before. */
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { MockActivityEnvironment } from '@temporalio/testing'
import { expect, test } from 'vitest'
import type { Dependencies } from '../../activities/index.ts'
import { putRequest } from '../../activities/request.ts'
import { createResolve } from '../../activities/resolve.ts'
import type { IoActivities } from '../../activities/types.ts'
import { createHub } from '../../hub/client/hub.ts'
import { hubSettings } from '../../hub/client/settings.ts'
import { importLocalFiles } from '../../recipe/local-files.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { openStore } from '../../stages/open-store.ts'
import { checkStore } from '../../store/check.ts'
import type { Digest } from '../../store/types.ts'
import { blobPath, serve, temporaryFolder, writeRecipe } from '../e2e/cli.ts'
import { moveBranches, movingHub, movingRecipe } from '../e2e/moving-hub.ts'

/** A recipe that was resolved once, and then the hub's branches have moved. */
async function moved() {
  const folder = movingHub()
  const { url } = await serve(folder)
  const location = temporaryFolder()
  const store = await openStore(location)
  const holdingStore: Dependencies['holdingStore'] = (work) => work()
  const hub: Dependencies['hub'] = (signal) => createHub(hubSettings({ HF_ENDPOINT: url }), { signal })
  const activity = createResolve({ store, holdingStore, hub } as unknown as Dependencies)

  const file = writeRecipe(temporaryFolder(), movingRecipe())
  const recipe = { text: JSON.stringify(movingRecipe()), file, settings: [] }
  const locals = await importLocalFiles(parseRecipe(recipe.text, file, []), store, dirname(file))
  const request = await putRequest(store, { schema: 1, recipe, locals })
  const resolve = (resolved?: Digest) =>
    new MockActivityEnvironment().run(activity, {
      request,
      ...(resolved === undefined ? {} : { resolved }),
    }) as ReturnType<IoActivities['resolve']>

  const first = await resolve()
  moveBranches(folder)
  return { store, first, resolve, path: blobPath(location, first.lock) }
}

test('references to the hub stay where the lock has them', async () => {
  const { store, first, resolve } = await moved()
  expect((await resolve()).lock).not.toBe(first.lock)
  expect(await resolve(first.lock)).toEqual(first)
  await store.close()
})

test.each([
  ['missing', (path: string) => rmSync(path)],
  [
    'damaged',
    (path: string) => {
      chmodSync(path, 0o644)
      writeFileSync(path, '{}')
    },
  ],
])('a %s lock is left aside, and nothing damaged is left behind', async (_, damage) => {
  const { store, first, resolve, path } = await moved()
  const anew = await resolve()
  damage(path)
  expect(await resolve(first.lock)).toEqual(anew)
  expect(await store.statBlob(first.lock)).toBeUndefined()
  expect((await checkStore(store, { repair: false })).findings).toEqual([])
  // The next round keeps to what it was resolved to now.
  expect(await resolve(anew.lock)).toEqual(anew)
  await store.close()
})
