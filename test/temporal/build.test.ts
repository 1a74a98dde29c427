/** Builds on Temporal are the in-process builds: same bytes, same order, same cache, whoever does the work. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import {
  type Bench,
  bench,
  buildOn,
  goldenHub,
  goldenRecipe,
  json,
  manifestOf,
  ok,
  outputOf,
  recordsOf,
  run,
  serve,
  smallRecipe,
  start,
  temporaryFolder,
} from '../e2e/cli.ts'
import { historiesOf, listed, stageEvents } from './histories.ts'
import {
  clientEnv,
  startServer,
  startWorker,
  stopWorker,
  type TestServer,
  temporalArgs,
  temporalSuite,
} from './server.ts'

interface Submitted {
  readonly build: string
  readonly started: boolean
}

temporalSuite('builds on Temporal', () => {
  let server: TestServer
  let inProcess: Record<string, string>
  let hub: Awaited<ReturnType<typeof serve>>

  beforeAll(async () => {
    hub = await serve(goldenHub)
    server = await startServer()
    const at = bench(goldenRecipe(), hub)
    await buildOn(at)
    inProcess = outputOf(at.out)
  })

  const build = (at: Bench, out = at.out) =>
    json<{ stages: { run: number; cached: number } }>(temporalArgs(at, out), { env: clientEnv(server, at) })

  async function buildIds(): Promise<string[]> {
    const ids: string[] = []
    for await (const { workflowId, type } of server.client.workflow.list())
      if (type === 'buildDataset') ids.push(workflowId)
    return ids
  }

  test('one worker: the bytes of the in-process build; val is verified before train begins; records name the attempt; a rerun is a few dozen events', async () => {
    const at = bench(goldenRecipe(), hub)
    const worker = await startWorker(server, at)
    const first = await build(at)
    expect(first.stages.cached).toBe(0)
    expect(outputOf(at.out)).toEqual(inProcess)

    const [id] = await buildIds()
    const events = await stageEvents(server.client, id!)
    const verified = events.filter(
      ({ stage, workflowId }) => stage === 'verify' && workflowId.endsWith('/val'),
    )
    const train = events.filter(({ workflowId }) => workflowId.endsWith('/train'))
    expect(verified.length).toBeGreaterThan(0)
    expect(train.length).toBeGreaterThan(0)
    const lastVerified = Math.max(
      ...verified.map(({ completedAt }) => completedAt ?? Number.POSITIVE_INFINITY),
    )
    expect(Math.min(...train.map(({ scheduledAt }) => scheduledAt))).toBeGreaterThanOrEqual(lastVerified)

    // The UI reads as an audit trail: each activity says what it is about, and under which key.
    const keys = new Set(events.map(({ key }) => key))
    for (const { title, key } of events) expect(title).toContain(key.slice(0, 16))
    const records = recordsOf(at.store)
    expect(keys).toEqual(new Set(records.keys()))
    for (const { circumstances } of records.values()) {
      expect(circumstances).toMatchObject({
        engine: 'temporal',
        build: id,
        attempt: 1,
        identity: `${worker.child.pid}@${(circumstances as { host?: string }).host}`,
      })
      expect(circumstances).toHaveProperty('runId', expect.stringMatching(/^[0-9a-f-]{36}$/))
      expect(circumstances).toHaveProperty('activityId', expect.stringMatching(/^\d+$/))
      expect((circumstances as { workflowId?: string }).workflowId).toMatch(
        new RegExp(`^${id}(/val|/train)?$`),
      )
    }

    const again = await build(at)
    expect(again.stages).toEqual({ run: 0, cached: records.size })
    await listed(server.client, id!)
    const { historyLength } = await server.client.workflow.getHandle(id!).describe()
    expect(historyLength).toBeLessThan(50)
    const { runId } = await server.client.workflow.getHandle(id!).describe()
    const rerun = (await historiesOf(server.client, id!)).filter((run) => run.runId === runId)
    expect(rerun).toHaveLength(1)
    expect(manifestOf(at.out).stages).toHaveLength(records.size)
    await stopWorker(worker)
  })

  test('three workers, queues apart: the same bytes', async () => {
    const at = bench(goldenRecipe(), hub)
    const workers = await Promise.all([
      startWorker(server, at, { args: ['--queues', 'workflows,io'] }),
      startWorker(server, at, { args: ['--queues', 'cpu'] }),
      startWorker(server, at),
    ])
    await build(at)
    expect(outputOf(at.out)).toEqual(inProcess)
    for (const worker of workers) await stopWorker(worker)
  })

  test('histories that grow too long continue as new, and come to the same bytes', async () => {
    const at = bench(goldenRecipe(), hub)
    const worker = await startWorker(server, at)
    const env = { ...clientEnv(server, at), SHARDMILL_HISTORY_LIMIT: '30' }
    const before = new Set(await buildIds())
    const report = await json<{ stages: { run: number; cached: number } }>(temporalArgs(at), { env })
    expect(outputOf(at.out)).toEqual(inProcess)
    expect(report.stages.run).toBe(recordsOf(at.store).size)
    const id = (await buildIds()).find((candidate) => !before.has(candidate))!
    await listed(server.client, id)
    const continued = (await historiesOf(server.client, id)).filter(({ history }) =>
      history.events?.some(
        ({ workflowExecutionContinuedAsNewEventAttributes: attributes }) =>
          attributes !== null && attributes !== undefined,
      ),
    )
    expect(continued.map(({ type }) => type)).toContain('buildSplit')
    const ran = (await stageEvents(server.client, id))
      .filter(({ cached }) => cached === false)
      .map(({ key }) => key)
    expect(new Set(ran).size).toBe(ran.length)
    await stopWorker(worker)
  })

  test('many shards and many files become child workflows; a bounded number of events each', async () => {
    const at = bench(goldenRecipe({ shardTokens: 30 }), hub)
    await buildOn(at)
    const expected = outputOf(at.out)
    rmSync(at.store, { recursive: true })
    rmSync(at.out, { recursive: true })
    const worker = await startWorker(server, at)
    const before = new Set(await buildIds())
    await build(at)
    expect(outputOf(at.out)).toEqual(expected)
    const id = (await buildIds()).find((candidate) => !before.has(candidate))!
    await listed(server.client, id)
    const histories = await historiesOf(server.client, id)
    expect(histories.map(({ type }) => type)).toContain('buildShards')
    await stopWorker(worker)
  })

  test('workers of a deployment: a build is pinned to the code version it began with', async () => {
    const at = bench(smallRecipe(), hub)
    const worker = await startWorker(server, at, { args: ['--deployment', 'shardmill-test'] })
    const buildId = /^ready \S+ (\S+)$/m.exec(worker.output())?.[1]
    expect(buildId).toMatch(/^\d+\.\d+\.\d+-[0-9a-f]{12}$/)
    // The server has to have seen the version's pollers before it can be made the current one.
    for (let tries = 0; ; tries++) {
      try {
        await server.client.workflowService.setWorkerDeploymentCurrentVersion({
          namespace: 'default',
          deploymentName: 'shardmill-test',
          buildId: buildId!,
        })
        break
      } catch (error) {
        if (tries === 50) throw error
        await pause(200)
      }
    }
    const { build: id } = await json<Submitted>([...temporalArgs(at), '--detach'], {
      env: clientEnv(server, at),
    })
    await server.client.workflow.getHandle(id).result()
    for (const workflowId of [id, `${id}/val`, `${id}/train`]) {
      const { raw } = await server.client.workflow.getHandle(workflowId).describe()
      expect(raw.workflowExecutionInfo?.versioningInfo).toMatchObject({
        behavior: 1,
        deploymentVersion: { buildId },
      })
    }
    await stopWorker(worker)
    // From here on workers without a version would get nothing.
    await server.client.workflowService.setWorkerDeploymentCurrentVersion({
      namespace: 'default',
      deploymentName: 'shardmill-test',
      buildId: '',
    })
  })

  test('the same build twice is one build; detached, it can be listed, watched, followed and left from elsewhere', async () => {
    const at = bench(goldenRecipe(), hub)
    const env = clientEnv(server, at)
    const detach = [...temporalArgs(at), '--detach']
    const first = await json<Submitted>(detach, { env })
    const second = await json<Submitted>(detach, { env, cwd: temporaryFolder() })
    expect(first.started).toBe(true)
    expect(second).toEqual({ ...first, started: false })

    // Nobody works yet: a client that is left behind says that the build goes on.
    const following = start(['attach', first.build], { env })
    await following.says('no worker has taken')
    following.child.kill('SIGINT')
    const left = await following.done
    expect(left.code).toBe(130)
    expect(left.stderr).toContain('the build goes on')

    const worker = await startWorker(server, at)
    const attached = await ok(['attach', first.build], { env })
    expect(attached.stdout).toContain('stages run')
    expect(outputOf(at.out)).toEqual(inProcess)
    const status = await json<{ status: string; memo: { out: string } }>(['status', first.build], { env })
    expect(status).toMatchObject({ status: 'completed', memo: { out: at.out, state: 'done' } })
    await listed(server.client, first.build)
    const lines = (await ok(['list', '--json'], { env })).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { build: string; status: string })
    expect(lines).toContainEqual(expect.objectContaining({ build: first.build, status: 'completed' }))
    const unknown = await run(['status', 'shardmill-nothing'], { env })
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no build shardmill-nothing'),
    })
    await stopWorker(worker)
    expect(readdirSync(join(at.store, 'v1', 'tmp'))).toEqual([])
  })
})
