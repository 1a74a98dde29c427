/** Chat evaluation on the real server: the same folder and the same answers as in process, through kills and cancels. */
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { hubOf } from '../e2e/chat-eval-hub.ts'
import { type Bench, json, ok, outputOf, recordsOf, serve, start, temporaryFolder } from '../e2e/cli.ts'
import { type CompletionsServer, completionsServer, modelName } from '../e2e/completions-server.ts'
import { buildHere } from '../e2e/in-process.ts'
import { chatEvalBench, goldenTokenizer, manyFilesEvalHub, manyFilesEvalRecipe } from './chat-eval.ts'
import { suiteWithServer } from './fixture.ts'
import { historiesOf, untilRunning } from './histories.ts'
import { stopWorker, temporalArgs } from './server.ts'

interface Evaluation {
  readonly run: number
  readonly cached: number
}

const patience = 180_000
const secret = 'sk-secret-1234567890'

suiteWithServer('chat evaluation', (on) => {
  let endpoint: CompletionsServer
  let at: Bench
  let inProcess: Record<string, string>
  /** The store as the build left it. */
  let built: string

  beforeAll(async () => {
    endpoint = await completionsServer(goldenTokenizer().vocabularySize, (id) => `<${id}>`)
    const hub = await serve(hubOf())
    at = chatEvalBench(hub)
    const { folder, recipe } = at
    built = join(folder, 'built')
    const here = join(folder, 'here')
    await buildHere({ ...at, recipe, out: here, store: built })
    inProcess = outputOf(here)
    return () => endpoint.close()
  }, patience)

  beforeEach(() => {
    endpoint.faults.length = 0
    endpoint.requests.length = 0
  })

  /** A store of its own for each evaluation, and the folder to evaluate. */
  function evaluation(): Bench {
    const store = join(temporaryFolder(), 'store')
    cpSync(built, store, { recursive: true })
    return { ...at, store, out: join(at.folder, 'here') }
  }

  function evalArgs({ out, store }: Bench, ...more: string[]): string[] {
    return ['eval', out, '--endpoint', endpoint.url, '--model', modelName, '--store', store, ...more]
  }

  async function detailed(of: Bench, env: Record<string, string>, ...more: string[]) {
    const file = join(temporaryFolder(), 'details.jsonl')
    const report = await json<Evaluation>(evalArgs(of, '--details', file, ...more), { env })
    return { report, details: readFileSync(file, 'utf8') }
  }

  const asked = () => endpoint.requests.flatMap(({ prompt }) => prompt.map((tokens) => tokens.join(' ')))

  const keyed = { OPENAI_API_KEY: secret, SHARDMILL_EVAL_TRIES: '3' }

  test('a build equals the one in process, and is cached', { timeout: patience }, async () => {
    const worker = await on.worker(at)
    const env = on.env(at)
    const first = await json<{ stages: Evaluation }>(temporalArgs(at), { env })
    expect(first.stages).toMatchObject({ cached: 0 })
    expect(outputOf(at.out)).toEqual(inProcess)
    expect(new Set(recordsOf(at.store).keys())).toEqual(new Set(recordsOf(built).keys()))
    const again = await json<{ published: string; stages: Evaluation }>(temporalArgs(at), { env })
    expect(again).toMatchObject({ published: 'unchanged', stages: { run: 0, cached: first.stages.run } })
    await stopWorker(worker)
  })

  test('a task of many files is a workflow of its own', { timeout: patience }, async () => {
    const many = chatEvalBench(await serve(manyFilesEvalHub(20)), manyFilesEvalRecipe)
    const here = join(many.folder, 'here')
    await buildHere({ ...many, out: here, store: join(many.folder, 'other') })
    const worker = await on.worker(many)
    await ok(temporalArgs(many), { env: on.env(many) })
    expect(outputOf(many.out)).toEqual(outputOf(here))
    const tasks: string[] = []
    for await (const { workflowId } of on.client.workflow.list({ query: 'WorkflowType = "buildTask"' }))
      tasks.push(workflowId)
    expect(tasks).toEqual([expect.stringMatching(/\/task-1$/)])
    await stopWorker(worker)
  })

  test('answers equal those in process; the key is in no history', { timeout: patience }, async () => {
    const here = await detailed(evaluation(), keyed)
    const asHere = asked()
    endpoint.requests.length = 0
    const there = evaluation()
    // The key is the workers'; the client asks only which models there are.
    const env = { ...on.env(there), ...keyed }
    const worker = await on.worker(there, { env: keyed })
    const first = await detailed(there, env, '--temporal')
    expect(first).toEqual(here)
    expect(asked().sort()).toEqual(asHere.sort())
    endpoint.requests.length = 0
    const again = await detailed(there, env, '--temporal')
    expect(again).toEqual({ details: here.details, report: { ...here.report, run: 0, cached: 3 } })
    expect(endpoint.requests).toEqual([])
    await stopWorker(worker)
    expect(worker.output()).not.toContain(secret)
    let events = 0
    for await (const { workflowId } of on.client.workflow.list({ query: 'WorkflowType = "evaluate"' })) {
      for (const { history } of await historiesOf(on.client, workflowId)) {
        for (const event of history.events ?? []) {
          events++
          expect(textsOf(event)).not.toContain(secret)
        }
      }
    }
    expect(events).toBeGreaterThan(20)
  })

  test('after a SIGKILL of the worker what was answered is not asked again', {
    timeout: patience,
  }, async () => {
    const here = await detailed(evaluation(), keyed)
    const perChunk = endpoint.requests.length
    expect(perChunk).toBe(3)
    endpoint.requests.length = 0
    const there = evaluation()
    const env = { ...on.env(there), ...keyed }
    // One chunk after the other: the first is answered, the second hangs until the worker is gone.
    endpoint.faults.push((answer) => answer, 'silence')
    const before = recordsOf(there.store).size
    const worker = await on.worker(there, { env: keyed })
    const file = join(temporaryFolder(), 'details.jsonl')
    const args = evalArgs(there, '--concurrency', '1', '--temporal', '--json', '--details', file)
    const { done } = start(args, { env })
    await untilRunning(on.client, await on.running('evaluate'), 'score')
    for (const until = Date.now() + 60_000; endpoint.faults.length > 0; await pause(20))
      expect(Date.now(), 'the second chunk was never asked').toBeLessThan(until)
    expect(recordsOf(there.store).size).toBe(before + 1)
    await stopWorker(worker, 'SIGKILL')
    const second = await on.worker(there, { env: keyed })
    const finished = await done
    expect(finished.code, finished.stderr).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe(here.details)
    expect(JSON.parse(finished.stdout)).toMatchObject({ run: 3, cached: 0 })
    // The answer that a fault function let through is not counted among the requests: these are the other two chunks.
    expect(endpoint.requests.length).toBe(2)
    await stopWorker(second)
  })

  test('cancelled, it ends, keeps what was answered, and goes on', { timeout: patience }, async () => {
    const here = await detailed(evaluation(), keyed)
    endpoint.requests.length = 0
    const there = evaluation()
    const env = { ...on.env(there), ...keyed }
    endpoint.faults.push((answer) => answer, 'silence')
    const worker = await on.worker(there, { env: keyed })
    const { child, done } = start(evalArgs(there, '--concurrency', '1', '--temporal'), { env })
    const id = await on.running('evaluate')
    for (const until = Date.now() + 60_000; endpoint.faults.length > 0; await pause(20))
      expect(Date.now(), 'the second chunk was never asked').toBeLessThan(until)
    child.kill('SIGINT')
    const finished = await done
    expect([finished.code, finished.stderr]).toEqual([
      130,
      expect.stringContaining('what was answered is kept'),
    ])
    const { status } = await on.client.workflow.getHandle(id).describe()
    expect(status.name).toBe('CANCELLED')
    const again = await detailed(there, env, '--concurrency', '1', '--temporal')
    expect(again).toEqual({ details: here.details, report: { ...here.report, run: 2, cached: 1 } })
    await stopWorker(worker)
  })

  test('what the endpoint refuses reads as in process', { timeout: patience }, async () => {
    const there = evaluation()
    const worker = await on.worker(there, { env: keyed })
    endpoint.faults.push({ status: 401 }, { status: 401 }, { status: 401 })
    const env = { ...on.env(there), ...keyed }
    const failed = await start(evalArgs(there, '--temporal'), { env }).done
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(/^error: .*answered 401/m)])
    expect(failed.stderr + worker.output()).not.toContain(secret)
    await stopWorker(worker)
  })
})

/** Everything an event holds, bytes as the text they are. */
function textsOf(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (value === null || typeof value !== 'object') return String(value)
  return Object.values(value).map(textsOf).join('\n')
}
