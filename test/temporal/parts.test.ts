/** Builds on Temporal off the straight road: files of many partitions, blobs found damaged, cancelling by command. */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  bench,
  blobPath,
  goldenRecipe,
  json,
  ok,
  outputOf,
  recordsOf,
  run,
  type StoredRecord,
  serve,
  start,
} from '../e2e/cli.ts'
import { expectWhole } from '../e2e/in-process.ts'
import { suiteWithServer } from './fixture.ts'
import { historiesOf, listed, untilRunning } from './histories.ts'
import { manyPartitionsHub, manyPartitionsRecipe } from './many-partitions.ts'
import { stopWorker, temporalArgs } from './server.ts'

suiteWithServer('parts', (on) => {
  test('a file of more than 64 partitions: pages of it are child workflows, the bytes those of one process', async () => {
    const count = 70
    const hub = await serve(manyPartitionsHub(count))
    const recipe = manyPartitionsRecipe('partitions')
    const reference = await on.inProcess(recipe, hub)
    const at = bench(recipe, hub)
    const worker = await on.worker(at)
    const { id, ended } = await on.submit(at)
    await ended
    expect(outputOf(at.out)).toEqual(reference.output)
    await listed(on.client, id)
    const pages = (await historiesOf(on.client, id)).filter(({ type }) => type === 'buildPartitions')
    expect(pages.map(({ workflowId }) => /-(\d+)$/.exec(workflowId)?.[1]).sort()).toEqual(['0', '64'])
    const scheduled = pages.map(
      ({ history }) =>
        (history.events ?? []).filter(
          ({ activityTaskScheduledEventAttributes: of }) =>
            of?.activityType?.name === 'format' || of?.activityType?.name === 'tokenize',
        ).length,
    )
    expect(scheduled.reduce((sum, some) => sum + some, 0)).toBe(2 * count)
    expect(Math.max(...scheduled)).toBe(2 * 64)
    await stopWorker(worker)
  }, 180_000)

  test('blobs found damaged in the middle of a build are made again, and the build goes on by itself', async () => {
    const at = on.bench()
    const env = on.env(at)
    const worker = await on.worker(at)
    await ok(temporalArgs(at), { env })
    const good = outputOf(at.out)
    const before = recordsOf(at.store)
    rmSync(at.out, { recursive: true })
    // One that a stage reads whole, and one of another partition that is read here and there; what read them is to do again.
    const records = [...before.values()]
    const conversations = records.find(({ stage }) => stage === 'format')!.outputs['conversations']!.digest
    const block = records.find(
      ({ stage, inputs }) => stage === 'tokenize' && inputs['conversations'] !== conversations,
    )!.outputs['tokens']!.digest
    flip(blobPath(at.store, conversations))
    flip(blobPath(at.store, block))
    const readers = ({ stage, inputs }: StoredRecord) =>
      Object.values(inputs).includes(conversations) || stage === 'shard'
    let gone = 0
    for (const record of records.filter(readers)) {
      rmSync(join(at.store, 'v1', 'records', record.key.slice(0, 2), `${record.key}.json`))
      gone++
    }
    const report = await json<{ stages: { run: number; cached: number } }>(temporalArgs(at), { env })
    expect(outputOf(at.out)).toEqual(good)
    expect(new Set(recordsOf(at.store).keys())).toEqual(new Set(before.keys()))
    expect(report.stages.run).toBeGreaterThanOrEqual(gone)
    expect(report.stages.run).toBeLessThan(before.size)
    await expectWhole(at.store)

    // In one run of the workflow: the failure is in its history, and the recipe was resolved once more behind it.
    const id = /shardmill-golden-[0-9a-f]{12}/.exec((await ok(['list'], { env })).stdout)![0]
    await listed(on.client, id)
    const { runId } = await on.client.workflow.getHandle(id).describe()
    const histories = await historiesOf(on.client, id)
    const failures = histories.flatMap(({ history }) =>
      (history.events ?? []).flatMap(
        ({ activityTaskFailedEventAttributes: failed }) =>
          failed?.failure?.applicationFailureInfo?.type ?? [],
      ),
    )
    // What one attempt has thrown away is missing for its neighbours.
    expect(failures).toContain('CORRUPT_BLOB')
    expect(failures.filter((code) => code !== 'CORRUPT_BLOB' && code !== 'MISSING_BLOB')).toEqual([])
    expect(failures.length).toBeGreaterThan(1)
    const root = histories.find((history) => history.runId === runId)!
    const resolved = (root.history.events ?? []).filter(
      ({ activityTaskScheduledEventAttributes: of }) => of?.activityType?.name === 'resolve',
    )
    expect(resolved.length).toBeGreaterThan(1)
    await stopWorker(worker)
  }, 180_000)

  test('`shardmill cancel` stops a running build and returns once it has; its follower says so; the next build goes on', async () => {
    const at = on.bench(goldenRecipe({ shardTokens: 1_500 }))
    const env = on.env(at)
    const slow = await on.worker(at, { slowMs: 120 })
    const { id } = await on.submit(at)
    const following = start(['attach', id], { env })
    await untilRunning(on.client, id, 'tokenize')
    const cancelled = await ok(['cancel', id], { env })
    expect(cancelled.stdout).toBe(`${id}: cancelled; finished stages are kept\n`)
    expect((await on.client.workflow.getHandle(id).describe()).status.name).toBe('CANCELLED')
    const left = await following.done
    expect(left.code).toBe(130)
    expect(left.stderr).toContain(`build ${id} was cancelled; finished stages are kept`)
    expect(await json(['status', id], { env })).toMatchObject({ status: 'cancelled' })
    expect(await json(['cancel', id], { env })).toEqual({ schema: 1, build: id, status: 'cancelled' })
    const unknown = await run(['cancel', 'shardmill-nothing'], { env })
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no build') })
    await stopWorker(slow)

    const kept = recordsOf(at.store)
    expect(kept.size).toBeGreaterThan(0)
    const worker = await on.worker(at)
    const report = await json<{ stages: { cached: number } }>(temporalArgs(at), { env })
    expect(report.stages.cached).toBe(kept.size)
    await stopWorker(worker)
  }, 180_000)
})

/** Blobs are read-only: damage comes from outside. */
function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 1
  chmodSync(path, 0o644)
  writeFileSync(path, bytes)
}
