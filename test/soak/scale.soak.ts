/** A source of 5,000 partitions (SCALE_FILES changes the number): it completes, and no history comes near a limit. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { bench, outputOf, serve, start } from '../e2e/cli.ts'
import { historiesOf, listed } from '../temporal/histories.ts'
import { manyFilesHub, manyFilesRecipe } from '../temporal/many-files.ts'
import { startServer, startWorker, stopWorker, temporalArgs, temporalSuite } from '../temporal/server.ts'

const files = Number(process.env['SCALE_FILES'] ?? 5_000)
const warnEvents = 10_240
const warnBytes = 10 * 1024 * 1024

temporalSuite('scale', () => {
  test(`${files} partitions`, async () => {
    const hub = await serve(manyFilesHub(files))
    const reference = bench(manyFilesRecipe('scale'), hub)
    const inProcessAt = performance.now()
    await build({
      recipe: { text: readFileSync(reference.recipe, 'utf8'), file: reference.recipe, settings: [] },
      out: reference.out,
      store: reference.store,
      threads: 2,
      env: reference.env,
      signal: new AbortController().signal,
      observer: silentObserver,
    })
    const inProcessSeconds = (performance.now() - inProcessAt) / 1000

    const server = await startServer()
    const at = bench(manyFilesRecipe('scale'), hub)
    const worker = await startWorker(server, at, { args: ['--io', '16'] })
    const startedAt = performance.now()
    const submitted = await start([...temporalArgs(at), '--detach'], {
      env: { ...at.env, TEMPORAL_ADDRESS: server.address },
    }).done
    const id = submitted.stdout.trim()
    const report = (await server.client.workflow.getHandle(id).result()) as { run: number; cached: number }
    const seconds = (performance.now() - startedAt) / 1000
    expect(outputOf(at.out)).toEqual(outputOf(reference.out))

    await listed(server.client, id)
    const byType = new Map<
      string,
      { runs: number; mostEvents: number; mostBytes: number; activities: number }
    >()
    for (const { workflowId, runId, type, history } of await historiesOf(server.client, id)) {
      const { historyLength, historySize = 0 } = await server.client.workflow
        .getHandle(workflowId, runId)
        .describe()
      const activities = (history.events ?? []).filter(
        ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled != null,
      ).length
      const seen = byType.get(type) ?? { runs: 0, mostEvents: 0, mostBytes: 0, activities: 0 }
      byType.set(type, {
        runs: seen.runs + 1,
        mostEvents: Math.max(seen.mostEvents, historyLength),
        mostBytes: Math.max(seen.mostBytes, historySize),
        activities: seen.activities + activities,
      })
      expect(historyLength, `${type} ${workflowId}`).toBeLessThan(warnEvents)
      expect(historySize, `${type} ${workflowId}`).toBeLessThan(warnBytes)
    }
    const activities = [...byType.values()].reduce((sum, { activities: some }) => sum + some, 0)
    console.table(Object.fromEntries(byType))
    console.log(
      `${files} files, ${report.run} stages run: in process ${inProcessSeconds.toFixed(1)} s, on Temporal ${seconds.toFixed(1)} s (${(activities / seconds).toFixed(1)} activities/s)`,
    )
    await stopWorker(worker)
  })
})
