/** A build is cancelled while each of its stages runs: it stops, leaves nothing half-made, and a later one goes on. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import { expect, test } from 'vitest'
import { goldenRecipe, json, outputOf, recordsOf } from '../e2e/cli.ts'
import { buildHere, expectWhole } from '../e2e/in-process.ts'
import { suiteWithServer } from './fixture.ts'
import { untilRunning } from './histories.ts'
import { stopWorker, temporalArgs } from './server.ts'

/** How long a cancelled build may take to stop: a promise to users. */
const stopsWithinMs = 10_000

suiteWithServer('cancel', (on) => {
  test('while each stage runs', async () => {
    const recipe = goldenRecipe({ shardTokens: 1_500 })
    const reference = await on.inProcess(recipe)
    const at = on.bench(recipe)
    const env = on.env(at)
    const worker = await on.worker(at, { slowMs: 120 })
    let before = recordsOf(at.store)
    for (const stage of [
      'tokenizer',
      'download',
      'scan',
      'format',
      'tokenize',
      'shuffle',
      'shard',
      'verify',
      'overlap',
    ]) {
      const { id } = await on.submit(at)
      await untilRunning(on.client, id, stage)
      const handle = on.client.workflow.getHandle(id)
      const askedAt = Date.now()
      await handle.cancel()
      await expect(handle.result(), stage).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } })
      expect(Date.now() - askedAt, `${stage} took too long to stop`).toBeLessThan(stopsWithinMs)
      for (const part of ['val', 'train']) {
        const described = await on.client.workflow
          .getHandle(`${id}/${part}`)
          .describe()
          .catch(() => undefined)
        expect(described?.status.name, part).not.toBe('RUNNING')
      }
      // Whole records only, for the stages that were through; what was there stays.
      const now = recordsOf(at.store)
      for (const [key, record] of before) expect(now.get(key)).toEqual(record)
      before = now
      await expectWhole(at.store)
    }
    await stopWorker(worker)
    const last = await on.worker(at)
    const report = await json<{ stages: { run: number; cached: number } }>(temporalArgs(at), { env })
    expect(report.stages.cached).toBe(before.size)
    expect(outputOf(at.out)).toEqual(reference.output)
    await stopWorker(last)
    await buildHere(at)
    expect(readdirSync(join(at.store, 'v1', 'tmp'))).toEqual([])
  }, 240_000)

  test('terminated while its worker is gone, it can be submitted again at once', async () => {
    const recipe = goldenRecipe({ shardTokens: 1_500 })
    const reference = await on.inProcess(recipe)
    const at = on.bench(recipe)
    const lost = await on.worker(at, { slowMs: 200 })
    const { id } = await on.submit(at)
    await untilRunning(on.client, `${id}/val`, 'tokenize')
    await stopWorker(lost, 'SIGKILL')
    await on.client.workflow.getHandle(id).terminate('by hand')
    // Told to stop, but what it has in flight is missed only when its heartbeat has been missing for a while.
    const { status } = await on.client.workflow.getHandle(`${id}/val`).describe()
    expect(status.name).toBe('RUNNING')
    const worker = await on.worker(at)
    const again = await on.submit(at)
    expect(again.id).toBe(id)
    await on.client.workflow.getHandle(id).result()
    expect(outputOf(at.out)).toEqual(reference.output)
    await stopWorker(worker)
  }, 120_000)

  test('a part’s name that an earlier run still holds is waited for', async () => {
    const recipe = goldenRecipe({ shardTokens: 1_500 })
    const reference = await on.inProcess(recipe)
    const at = on.bench(recipe)
    const { id } = await on.submit(at)
    const build = on.client.workflow.getHandle(id)
    await build.terminate('no worker has seen it')
    const holder = await on.client.workflow.start('holdsTheName', {
      workflowId: `${id}/val`,
      taskQueue: 'no worker is here',
    })
    const worker = await on.worker(at)
    await on.submit(at)
    while (!(await refusedChildOf(on.client, id))) await pause(200)
    await holder.terminate('it has ended')
    await build.result()
    expect(outputOf(at.out)).toEqual(reference.output)
    await stopWorker(worker)
  }, 120_000)
})

/** Whether a child of a build could not be started because its name was held. */
async function refusedChildOf(client: Client, id: string): Promise<boolean> {
  const { events } = await client.workflow.getHandle(id).fetchHistory()
  return events?.some((event) => event.startChildWorkflowExecutionFailedEventAttributes != null) ?? false
}
