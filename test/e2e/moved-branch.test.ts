/** Branches of the hub that move while a build repairs itself move nothing in it. */
import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { silentObserver } from '../../engine/events.ts'
import type { Lock } from '../../pipeline/lock.ts'
import { bench, blobPath, outputOf, type RecipeObject, serve } from './cli.ts'
import { buildHere, expectWhole } from './in-process.ts'
import { moveBranches, movingEvalRecipe, movingHub, movingRecipe } from './moving-hub.ts'

const recipes: readonly RecipeObject[] = [movingRecipe(), movingEvalRecipe()]

test.each(recipes)('$kind: lock, manifest and output are those of the first commits', async (recipe) => {
  const folder = movingHub()
  const requests: string[] = []
  const hub = await serve(folder, (line) => requests.push(line))
  const undisturbed = bench(recipe, hub)
  const first = await buildHere(undisturbed)

  const at = bench(recipe, hub)
  const locks: Lock[] = []
  const notices: string[] = []
  let lost: string | undefined
  const outcome = await buildHere(at, {
    onResolved: (lock) => void locks.push(lock),
    observer: {
      ...silentObserver,
      notice: (text) => notices.push(text),
      // The first file that was downloaded is read once more, by format.
      finished({ stage, inputs }) {
        if (stage !== 'scan' || lost !== undefined) return
        lost = inputs['file']!
        rmSync(blobPath(at.store, lost))
        moveBranches(folder)
        requests.length = 0
      },
    },
  })
  expect(notices).toContainEqual(expect.stringMatching(new RegExp(`${lost}.*it is made again`)))
  expect(locks).toEqual([first.lock, first.lock])
  expect(outcome.lock).toEqual(first.lock)
  expect(outputOf(at.out)).toEqual(outputOf(undisturbed.out))
  await expectWhole(at.store)
  // Nothing but files: the hub is not asked again where they are.
  expect(requests).not.toEqual([])
  expect(
    requests.filter((line) => !/\/(resolve|cdn)\/.*\.(parquet|jsonl|txt|json|jinja) /.test(line)),
  ).toEqual([])

  // A build that begins now goes along with the branches.
  const moved = bench(recipe, hub)
  expect((await buildHere(moved)).lock).not.toEqual(first.lock)
  expect(outputOf(moved.out)).not.toEqual(outputOf(undisturbed.out))
})
