/** Workers and the server die, or freeze, in the middle of a build: it ends by itself, with the same bytes. */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeAll, expect, test } from 'vitest'
import {
  type Bench,
  type Finished,
  goldenRecipe,
  ok,
  outputOf,
  random,
  recordsOf,
  type StoredRecord,
  start,
  testSeed,
} from '../e2e/cli.ts'
import { expectWhole } from '../e2e/in-process.ts'
import { type Reference, suiteWithServer } from './fixture.ts'
import { untilRunning } from './histories.ts'
import { stopWorker, temporalArgs, type WorkerProcess } from './server.ts'

suiteWithServer('kills', (on) => {
  let golden: Reference
  const seed = testSeed()

  beforeAll(async () => {
    golden = await on.inProcess()
  })

  // Each test has a build of its own; one that failed must not occupy the next test's workers.
  afterEach(async () => {
    for await (const run of on.client.workflow.list({
      query: 'ExecutionStatus = "Running" AND WorkflowType = "buildDataset"',
    })) {
      await on.client.workflow.getHandle(run.workflowId).terminate()
    }
  })

  /** What must hold at the end of every one of these builds. */
  async function expectUndisturbed(at: Bench, id: string): Promise<void> {
    expect(outputOf(at.out)).toEqual(golden.output)
    const keys = new Set(recordsOf(at.store).keys())
    expect(keys).toEqual(golden.keys)
    expect(new Set((await on.eventsOf(id)).map(({ key }) => key))).toEqual(keys)
    await expectWhole(at.store)
  }

  /** Records are written once: whoever comes after a kill leaves them as they are. */
  function expectKept(
    before: ReadonlyMap<string, StoredRecord>,
    after: ReadonlyMap<string, StoredRecord>,
  ): void {
    for (const [key, record] of before)
      expect(after.get(key), `the record of ${record.stage}`).toEqual(record)
  }

  test(`SIGKILL at 20 moments, before, in and after writes of blobs and records, over all stages (seed ${seed})`, async () => {
    const at = on.bench()
    const { id, ended } = await on.submit(at)
    let over = false
    ended.finally(() => (over = true)).catch(() => {})
    const next = random(seed)
    const moments = [
      'rename:#:kill-before',
      'rename:#:kill-after',
      'write:#:torn',
      'fsync:#:kill-before',
    ] as const
    const killedIn = new Set<string>()
    let kills = 0
    let known = new Map<string, StoredRecord>()
    while (!over && kills < 20) {
      // A golden build writes some two hundred files: each life gets a twentieth of them.
      const spec = moments[kills % moments.length]!.replace('#', String(4 + Math.floor(next() * 8)))
      const worker = await on.worker(at, { fault: { spec, path: `${at.store}/v1/` } }).catch(() => undefined)
      if (worker !== undefined) await Promise.race([worker.exited, ended])
      const now = recordsOf(at.store)
      expectKept(known, now)
      for (const [key, { stage }] of now) if (!known.has(key)) killedIn.add(stage)
      known = now
      if (worker === undefined || worker.ended()) kills++
    }
    expect(kills, 'the build ended before it was killed 20 times').toBe(20)
    const last = await on.worker(at)
    await ended
    expectKept(known, recordsOf(at.store))
    await expectUndisturbed(at, id)
    expect([...killedIn].sort()).toEqual([
      'download',
      'format',
      'scan',
      'shard',
      'shuffle',
      'tokenize',
      'tokenizer',
      'verify',
    ])
    await stopWorker(last)
  }, 600_000)

  test('SIGKILL of two of three workers', async () => {
    const recipe = goldenRecipe({ shardTokens: 100 })
    const { output } = await on.inProcess(recipe)
    const fresh = on.bench(recipe)
    const workers = await Promise.all([0, 1, 2].map(() => on.worker(fresh, { slowMs: 40 })))
    const { id, ended } = await on.submit(fresh)
    await untilRunning(on.client, id, 'tokenize')
    workers[0]!.child.kill('SIGKILL')
    await untilRunning(on.client, id, 'shard')
    workers[1]!.child.kill('SIGKILL')
    await ended
    expect(outputOf(fresh.out)).toEqual(output)
    await stopWorker(workers[2]!)
  }, 120_000)

  test('SIGKILL of the server, restarted on its database: workers and a following client wait for it', async () => {
    const at = on.bench()
    const worker = await on.worker(at, { slowMs: 60 })
    const following = start(temporalArgs(at), { env: on.env(at) })
    await following.says('submitted: ')
    const id = await on.running('buildDataset')
    await untilRunning(on.client, id, 'format')
    await on.server.kill()
    await pause(1_500)
    await on.server.restart()
    const finished: Finished = await following.done
    expect(finished, finished.stderr).toMatchObject({ code: 0 })
    await expectUndisturbed(at, id)
    await stopWorker(worker)
  }, 120_000)

  test('a worker frozen past its heartbeat timeout and let go on does no harm', async () => {
    const at = on.bench()
    const frozen = await on.worker(at, {
      fault: { spec: 'rename:40:stop-before', path: `${at.store}/v1/` },
    })
    const { id, ended } = await on.submit(at)
    while (!(await isStopped(frozen))) await pause(50)
    const other = await on.worker(at)
    await ended
    const before = outputOf(at.out)
    frozen.child.kill('SIGCONT')
    await pause(3_000)
    expect(outputOf(at.out)).toEqual(before)
    await expectUndisturbed(at, id)
    await stopWorker(other)
    // What was frozen goes on working.
    const more = { ...at, out: `${at.out}-more` }
    await ok(temporalArgs(more), { env: on.env(at) })
    expect(outputOf(more.out)).toEqual(golden.output)
    await stopWorker(frozen)
  }, 120_000)

  test('SIGTERM hands running work back within the grace period: another worker goes on at once', async () => {
    const at = on.bench()
    const slow = await on.worker(at, { slowMs: 800, args: ['--grace', '1'] })
    const { id, ended } = await on.submit(at)
    await untilRunning(on.client, id, 'download')
    await stopWorker(slow)
    const other = await on.worker(at)
    await ended
    await expectUndisturbed(at, id)
    await stopWorker(other)
  }, 120_000)
})

async function isStopped({ child }: WorkerProcess): Promise<boolean> {
  const text = await readFile(`/proc/${child.pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).startsWith('T')
}
