/** Workers and the server die, or freeze, in the middle of a build: it ends by itself, with the same bytes. */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeAll, expect, test } from 'vitest'
import {
  type Bench,
  bench,
  buildOn,
  type Finished,
  goldenHub,
  goldenRecipe,
  ok,
  outputOf,
  random,
  recordsOf,
  type StoredRecord,
  serve,
  start,
  testSeed,
} from '../e2e/cli.ts'
import { stageEvents, untilRunning } from './histories.ts'
import {
  clientEnv,
  startServer,
  startWorker,
  stopWorker,
  type TestServer,
  temporalArgs,
  temporalSuite,
  type WorkerProcess,
} from './server.ts'

temporalSuite('kills', () => {
  let hub: Awaited<ReturnType<typeof serve>>
  let server: TestServer
  let inProcess: Record<string, string>
  let recordCount = 0
  const seed = testSeed()

  beforeAll(async () => {
    hub = await serve(goldenHub)
    server = await startServer()
    const at = bench(goldenRecipe(), hub)
    await buildOn(at)
    inProcess = outputOf(at.out)
    recordCount = recordsOf(at.store).size
  })

  // Each test has a build of its own; one that failed must not occupy the next test's workers.
  afterEach(async () => {
    for await (const run of server.client.workflow.list({
      query: 'ExecutionStatus = "Running" AND WorkflowType = "buildDataset"',
    })) {
      await server.client.workflow.getHandle(run.workflowId).terminate()
    }
  })

  /** Submits without waiting; `ended` follows it from this process. */
  async function submit(at: Bench): Promise<{ id: string; ended: Promise<unknown> }> {
    const { stdout } = await ok([...temporalArgs(at), '--detach'], { env: clientEnv(server, at) })
    const id = stdout.trim()
    const ended = server.client.workflow.getHandle(id).result()
    ended.catch(() => {})
    return { id, ended }
  }

  /** What must hold at the end of every one of these builds. */
  async function expectUndisturbed(at: Bench, id: string): Promise<void> {
    expect(outputOf(at.out)).toEqual(inProcess)
    const records = recordsOf(at.store)
    expect(records.size).toBe(recordCount)
    const events = await stageEvents(server.client, id)
    const ran = events.filter(({ cached }) => cached === false).map(({ key }) => key)
    expect(new Set(ran).size, 'a stage was run and finished twice').toBe(ran.length)
    expect(new Set(events.map(({ key }) => key))).toEqual(new Set(records.keys()))
    expect((await ok(['store', 'check', '--store', at.store, '--json'])).code).toBe(0)
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
    const at = bench(goldenRecipe(), hub)
    const { id, ended } = await submit(at)
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
      const worker = await startWorker(server, at, { fault: { spec, path: `${at.store}/v1/` } }).catch(
        () => undefined,
      )
      if (worker !== undefined) await Promise.race([worker.exited, ended])
      const now = recordsOf(at.store)
      expectKept(known, now)
      for (const [key, { stage }] of now) if (!known.has(key)) killedIn.add(stage)
      known = now
      if (worker === undefined || worker.ended()) kills++
    }
    expect(kills, 'the build ended before it was killed 20 times').toBe(20)
    const last = await startWorker(server, at)
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
  }, 240_000)

  test('SIGKILL of two of three workers', async () => {
    const at = bench(goldenRecipe({ shardTokens: 100 }), hub)
    await buildOn(at)
    const expected = outputOf(at.out)
    const fresh = { ...bench(goldenRecipe({ shardTokens: 100 }), hub) }
    const workers = await Promise.all([0, 1, 2].map(() => startWorker(server, fresh, { slowMs: 40 })))
    const { id, ended } = await submit(fresh)
    await untilRunning(server.client, id, 'tokenize')
    workers[0]!.child.kill('SIGKILL')
    await untilRunning(server.client, id, 'shard')
    workers[1]!.child.kill('SIGKILL')
    await ended
    expect(outputOf(fresh.out)).toEqual(expected)
    await stopWorker(workers[2]!)
  }, 120_000)

  test('SIGKILL of the server, restarted on its database: workers and a following client wait for it', async () => {
    const at = bench(goldenRecipe(), hub)
    const worker = await startWorker(server, at, { slowMs: 60 })
    const following = start(temporalArgs(at), { env: clientEnv(server, at) })
    await following.says('submitted: ')
    const id = await runningBuild()
    await untilRunning(server.client, id, 'format')
    await server.kill()
    await pause(1_500)
    await server.restart()
    const finished: Finished = await following.done
    expect(finished, finished.stderr).toMatchObject({ code: 0 })
    await expectUndisturbed(at, id)
    await stopWorker(worker)
  }, 120_000)

  test('a worker frozen past its heartbeat timeout and let go on does no harm', async () => {
    const at = bench(goldenRecipe(), hub)
    const frozen = await startWorker(server, at, {
      fault: { spec: 'rename:40:stop-before', path: `${at.store}/v1/` },
    })
    const { id, ended } = await submit(at)
    while (!(await isStopped(frozen))) await pause(50)
    const other = await startWorker(server, at)
    await ended
    const before = outputOf(at.out)
    frozen.child.kill('SIGCONT')
    await pause(3_000)
    expect(outputOf(at.out)).toEqual(before)
    await expectUndisturbed(at, id)
    await stopWorker(other)
    // What was frozen goes on working.
    const more = { ...at, out: `${at.out}-more` }
    await ok(temporalArgs(more), { env: clientEnv(server, at) })
    expect(outputOf(more.out)).toEqual(inProcess)
    await stopWorker(frozen)
  }, 120_000)

  test('SIGTERM hands running work back within the grace period: another worker goes on at once', async () => {
    const at = bench(goldenRecipe(), hub)
    const slow = await startWorker(server, at, { slowMs: 800, args: ['--grace', '1'] })
    const { id, ended } = await submit(at)
    await untilRunning(server.client, id, 'download')
    await stopWorker(slow)
    const other = await startWorker(server, at)
    await ended
    await expectUndisturbed(at, id)
    await stopWorker(other)
  }, 120_000)

  async function runningBuild(): Promise<string> {
    for (;;) {
      for await (const run of server.client.workflow.list({
        query: 'ExecutionStatus = "Running" AND WorkflowType = "buildDataset"',
      }))
        return run.workflowId
      await pause(100)
    }
  }
})

async function isStopped({ child }: WorkerProcess): Promise<boolean> {
  const text = await readFile(`/proc/${child.pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).startsWith('T')
}
