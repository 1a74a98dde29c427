/**
 * Records the histories that test/temporal/replay.test.ts replays. Run it when a workflow changes on purpose, with
 * RECORD_HISTORIES=1, or RECORD_HISTORIES=chat-eval for those of chat evaluation alone: builds under way at an upgrade belong to the old code (worker versioning), so what is replayed
 * is what the present code has recorded.
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { temporal } from '@temporalio/proto'
import { test } from 'vitest'
import {
  type Bench,
  bench,
  goldenHub,
  goldenRecipe,
  ok,
  projectRoot,
  serve,
  smallRecipe,
  start,
} from '../e2e/cli.ts'
import { completionsServer, modelName } from '../e2e/completions-server.ts'
import {
  chatEvalBench,
  goldenTokenizer,
  manyFilesEvalHub,
  manyFilesEvalRecipe,
} from '../temporal/chat-eval.ts'
import { historiesOf, listed, type History as Recorded, untilRunning } from '../temporal/histories.ts'
import { manyFilesHub, manyFilesRecipe } from '../temporal/many-files.ts'
import { manyPartitionsHub, manyPartitionsRecipe } from '../temporal/many-partitions.ts'
import {
  clientEnv,
  startServer,
  startWorker,
  stopWorker,
  type TestServer,
  temporalArgs,
  temporalSuite,
} from '../temporal/server.ts'

const { History } = temporal.api.history.v1
const folder = join(projectRoot, 'test', 'temporal', 'histories')

temporalSuite('recording', () => {
  test.runIf(process.env['RECORD_HISTORIES'] === '1')('every path', async () => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const server = await startServer()
    const hub = await serve(goldenHub)

    const golden = bench(goldenRecipe({ shardTokens: 40 }), hub)
    const worker = await startWorker(server, golden)
    await save(server, 'finished', await submit(server, golden))
    await save(server, 'cached', await submit(server, golden))
    await stopWorker(worker)

    const long = bench(smallRecipe(), hub)
    const second = await startWorker(server, long)
    await save(server, 'continued', await submit(server, long, { SHARDMILL_HISTORY_LIMIT: '30' }))
    await stopWorker(second)

    const many = bench(manyFilesRecipe('many'), await serve(manyFilesHub(20)))
    const third = await startWorker(server, many)
    await save(server, 'many-files', await submit(server, many))
    await stopWorker(third)

    const pages = bench(manyPartitionsRecipe('pages'), await serve(manyPartitionsHub(70)))
    const fourth = await startWorker(server, pages)
    await save(server, 'many-partitions', await submit(server, pages))
    await stopWorker(fourth)

    const cancelled = bench(smallRecipe(), hub)
    const slow = await startWorker(server, cancelled, { slowMs: 100 })
    const id = await submitOnly(server, cancelled)
    await untilRunning(server.client, id, 'tokenize')
    await server.client.workflow.getHandle(id).cancel()
    await server.client.workflow
      .getHandle(id)
      .result()
      .catch(() => undefined)
    await save(server, 'cancelled', id)
    await stopWorker(slow)

    const bad = bench(smallRecipe(), hub)
    appendFileSync(
      join(bad.folder, 'identity_conversations.jsonl'),
      '[{"role":"assistant","content":"first"}]\n',
    )
    const fifth = await startWorker(server, bad)
    await save(server, 'failed', await submit(server, bad))
    await stopWorker(fifth)
  })

  test.runIf(['1', 'chat-eval'].includes(process.env['RECORD_HISTORIES'] ?? ''))(
    'chat evaluation',
    async () => {
      const server = await startServer()
      const at = chatEvalBench(await serve(manyFilesEvalHub(20)), manyFilesEvalRecipe)
      const worker = await startWorker(server, at)
      await save(server, 'chat-eval', await submit(server, at))
      const endpoint = await completionsServer(goldenTokenizer().vocabularySize, (id) => `<${id}>`)
      try {
        const args = ['eval', at.out, '--endpoint', endpoint.url, '--model', modelName, '--store', at.store]
        await ok([...args, '--temporal'], { env: clientEnv(server, at) })
      } finally {
        await endpoint.close()
      }
      for await (const { workflowId } of server.client.workflow.list({ query: 'WorkflowType = "evaluate"' }))
        await save(server, 'chat-eval', workflowId)
      await stopWorker(worker)
    },
  )
})

async function submitOnly(server: TestServer, at: Bench, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await start([...temporalArgs(at), '--detach'], {
    env: { ...clientEnv(server, at), ...env },
  }).done
  return stdout.trim()
}

async function submit(server: TestServer, at: Bench, env: Record<string, string> = {}): Promise<string> {
  const id = await submitOnly(server, at, env)
  await server.client.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined)
  return id
}

/** One file a workflow type of the build: its longest run. */
async function save(server: TestServer, name: string, id: string): Promise<void> {
  await listed(server.client, id)
  const current = (await server.client.workflow.getHandle(id).describe()).runId
  const longest = new Map<string, { workflowId: string; history: Recorded; events: number }>()
  for (const { workflowId, runId, type, history } of await historiesOf(server.client, id)) {
    // Of several builds with one id only the last is meant; what it continued belongs to it.
    if (name === 'cached' && runId !== current) continue
    const events = history.events?.length ?? 0
    const key =
      name === 'continued'
        ? `${type}-${[...longest.keys()].filter((other) => other.startsWith(type)).length}`
        : type
    if ((longest.get(key)?.events ?? 0) < events) longest.set(key, { workflowId, history, events })
  }
  for (const [type, { workflowId, history }] of longest) {
    const path = join(folder, `${name}-${type}.${encodeURIComponent(workflowId)}.history`)
    writeFileSync(path, gzipSync(History.encode(withoutHosts(history)).finish(), { level: 9 }))
  }
}

/** Which machine recorded a history is nobody's business. */
function withoutHosts<T>(value: T): T {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'identity' && typeof inner === 'string') (value as Record<string, unknown>)[name] = 'worker'
    else withoutHosts(inner)
  }
  return value
}
