/** Builds on Temporal are the in-process builds: same bytes, same order, same cache, whoever does the work. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import {
  type Bench,
  goldenRecipe,
  json,
  manifestOf,
  ok,
  outputOf,
  recordsOf,
  run,
  smallRecipe,
  start,
  temporaryFolder,
} from '../e2e/cli.ts'
import { type Reference, suiteWithServer } from './fixture.ts'
import { historiesOf, listed } from './histories.ts'
import { stopWorker, temporalArgs } from './server.ts'

/** What --detach --json prints. */
interface Submitted {
  readonly build: string
  readonly started: boolean
}

suiteWithServer('builds on Temporal', (on) => {
  let golden: Reference
  beforeAll(async () => {
    golden = await on.inProcess()
  })

  const build = (at: Bench, out = at.out) =>
    json<{ stages: { run: number; cached: number } }>(temporalArgs(at, out), { env: on.env(at) })

  async function buildIds(): Promise<string[]> {
    const ids: string[] = []
    for await (const { workflowId, type } of on.client.workflow.list())
      if (type === 'buildDataset') ids.push(workflowId)
    return ids
  }

  test('one worker: the bytes of the in-process build; val is verified before train begins; records name the attempt; a rerun is a few dozen events', async () => {
    const at = on.bench()
    const worker = await on.worker(at)
    const first = await build(at)
    expect(first.stages.cached).toBe(0)
    expect(outputOf(at.out)).toEqual(golden.output)

    const [id] = await buildIds()
    const events = await on.eventsOf(id!)
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
    await listed(on.client, id!)
    const { historyLength } = await on.client.workflow.getHandle(id!).describe()
    expect(historyLength).toBeLessThan(50)
    const { runId } = await on.client.workflow.getHandle(id!).describe()
    const rerun = (await historiesOf(on.client, id!)).filter((run) => run.runId === runId)
    expect(rerun).toHaveLength(1)
    expect(manifestOf(at.out).stages).toHaveLength(records.size)
    await stopWorker(worker)
  })

  test('three workers, queues apart: the same bytes', async () => {
    const at = on.bench()
    const workers = await Promise.all([
      on.worker(at, { args: ['--queues', 'workflows,io'] }),
      on.worker(at, { args: ['--queues', 'cpu'] }),
      on.worker(at),
    ])
    await build(at)
    expect(outputOf(at.out)).toEqual(golden.output)
    for (const worker of workers) await stopWorker(worker)
  })

  test('histories that grow too long continue as new, and come to the same bytes', async () => {
    const at = on.bench()
    const worker = await on.worker(at)
    const env = { ...on.env(at), SHARDMILL_HISTORY_LIMIT: '30' }
    const before = new Set(await buildIds())
    const report = await json<{ stages: { run: number; cached: number } }>(temporalArgs(at), { env })
    expect(outputOf(at.out)).toEqual(golden.output)
    expect(report.stages.run).toBe(recordsOf(at.store).size)
    const id = (await buildIds()).find((candidate) => !before.has(candidate))!
    await listed(on.client, id)
    const continued = (await historiesOf(on.client, id)).filter(({ history }) =>
      history.events?.some(
        ({ workflowExecutionContinuedAsNewEventAttributes: attributes }) =>
          attributes !== null && attributes !== undefined,
      ),
    )
    expect(continued.map(({ type }) => type)).toContain('buildSplit')
    await on.eventsOf(id)
    await stopWorker(worker)
  })

  test('many shards and many files become child workflows; a bounded number of events each', async () => {
    const recipe = goldenRecipe({ shardTokens: 30 })
    const reference = await on.inProcess(recipe)
    const at = on.bench(recipe)
    const worker = await on.worker(at)
    const before = new Set(await buildIds())
    await build(at)
    expect(outputOf(at.out)).toEqual(reference.output)
    const id = (await buildIds()).find((candidate) => !before.has(candidate))!
    await listed(on.client, id)
    const histories = await historiesOf(on.client, id)
    expect(histories.map(({ type }) => type)).toContain('buildShards')
    await stopWorker(worker)
  })

  test('workers of a deployment: a build is pinned to the code version it began with', async () => {
    const at = on.bench(smallRecipe())
    const worker = await on.worker(at, { args: ['--deployment', 'shardmill-test'] })
    const buildId = /^ready \S+ (\S+)$/m.exec(worker.output())?.[1]
    expect(buildId).toMatch(/^\d+\.\d+\.\d+-[0-9a-f]{12}$/)
    // The server has to have seen the version's pollers before it can be made the current one.
    for (let tries = 0; ; tries++) {
      try {
        await on.client.workflowService.setWorkerDeploymentCurrentVersion({
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
    const { id, ended } = await on.submit(at)
    await ended
    for (const workflowId of [id, `${id}/val`, `${id}/train`]) {
      const { raw } = await on.client.workflow.getHandle(workflowId).describe()
      expect(raw.workflowExecutionInfo?.versioningInfo).toMatchObject({
        behavior: 1,
        deploymentVersion: { buildId },
      })
    }
    await stopWorker(worker)
    // From here on workers without a version would get nothing.
    await on.client.workflowService.setWorkerDeploymentCurrentVersion({
      namespace: 'default',
      deploymentName: 'shardmill-test',
      buildId: '',
    })
  })

  test('the same build twice is one build; detached, it can be listed, watched, followed and left from elsewhere', async () => {
    const at = on.bench()
    const env = on.env(at)
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

    const worker = await on.worker(at)
    const attached = await ok(['attach', first.build], { env })
    expect(attached.stdout).toContain('stages run')
    expect(outputOf(at.out)).toEqual(golden.output)
    const status = await json<{ status: string; memo: { out: string } }>(['status', first.build], { env })
    expect(status).toMatchObject({ status: 'completed', memo: { out: at.out, state: 'done' } })
    await listed(on.client, first.build)
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
