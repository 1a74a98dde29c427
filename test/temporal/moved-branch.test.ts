/** Branches of the hub that move while a build on Temporal resolves its recipe more than once move nothing in it. */
import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Limits } from '../../workflows/types.ts'
import { type Bench, bench, blobPath, outputOf, recordsOf, serve } from '../e2e/cli.ts'
import { expectWhole } from '../e2e/in-process.ts'
import { moveBranches, movingHub, movingRecipe } from '../e2e/moving-hub.ts'
import { suiteWithServer } from './fixture.ts'
import { historiesOf, listed } from './histories.ts'
import { stopWorker } from './server.ts'

suiteWithServer('branches that move', (on) => {
  /**
   * Builds, and moves the branches when train downloads its first table (val is finished by then). Expects the bytes of
   * a build before the move. Returns how often the recipe was resolved, and the build continued as new.
   */
  async function builds({ limits = {}, onMove }: { limits?: Limits; onMove?: (at: Bench) => void }) {
    const folder = movingHub()
    let whenTrain: (() => void) | undefined
    const hub = await serve(folder, (line) => {
      if (!line.includes('/data/train-0000')) return
      whenTrain?.()
      whenTrain = undefined
    })
    const recipe = movingRecipe()
    const before = await on.inProcess(recipe, hub)
    const at = bench(recipe, hub)
    let moved = false
    whenTrain = () => {
      moveBranches(folder)
      onMove?.(at)
      moved = true
    }
    const worker = await on.worker(at)
    const { id, ended } = await on.submit(at, limits)
    await ended
    expect(moved).toBe(true)
    expect(outputOf(at.out)).toEqual(before.output)
    expect(new Set(recordsOf(at.store).keys())).toEqual(before.keys)
    await expectWhole(at.store)
    await stopWorker(worker)
    await listed(on.client, id)
    const runs = (await historiesOf(on.client, id)).filter(({ workflowId }) => workflowId === id)
    const events = runs.flatMap(({ history }) => history.events ?? [])
    return {
      resolved: events.filter(
        ({ activityTaskScheduledEventAttributes: of }) => of?.activityType?.name === 'resolve',
      ).length,
      continued: events.filter(({ workflowExecutionContinuedAsNewEventAttributes: of }) => of != null).length,
    }
  }

  test('a blob is lost, and made again', async () => {
    // Of val; overlap reads it behind train.
    const onMove = ({ store }: Bench) => {
      const shuffle = [...recordsOf(store).values()].find(({ stage }) => stage === 'shuffle')!
      rmSync(blobPath(store, shuffle.outputs['fingerprints']!.digest))
    }
    expect(await builds({ onMove })).toEqual({ resolved: 2, continued: 0 })
  }, 180_000)

  test('the history grows long, and is continued as new', async () => {
    const { resolved, continued } = await builds({ limits: { history: 12 } })
    expect(continued).toBeGreaterThan(0)
    expect(resolved).toBe(1 + continued)
  }, 180_000)
})
