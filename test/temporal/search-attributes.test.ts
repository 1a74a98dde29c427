/** Search attributes: set where the server has them, and no build asks for them. */
import { beforeAll, expect, test } from 'vitest'
import { type Bench, bench, goldenHub, ok, outputOf, serve, smallRecipe } from '../e2e/cli.ts'
import { chatEvalBench, manyFilesEvalHub, manyFilesEvalRecipe } from './chat-eval.ts'
import { listed } from './histories.ts'
import { manyFilesHub, manyFilesRecipe } from './many-files.ts'
import {
  clientEnv,
  startServer,
  startWorker,
  stopWorker,
  type TestServer,
  temporalArgs,
  temporalSuite,
} from './server.ts'

temporalSuite('search attributes', () => {
  let hub: Awaited<ReturnType<typeof serve>>
  let bytes: Record<string, string>
  beforeAll(async () => {
    hub = await serve(goldenHub)
  })

  async function build(server: TestServer, name: string): Promise<{ at: Bench; id: string }> {
    const at = bench(smallRecipe({ name }), hub)
    const env = clientEnv(server, at)
    const worker = await startWorker(server, at)
    const id = (await ok([...temporalArgs(at), '--detach'], { env })).stdout.trim()
    await server.client.workflow.getHandle(id).result()
    await listed(server.client, id)
    await stopWorker(worker)
    return { at, id }
  }

  async function listedOf(server: TestServer, at: Bench, recipe: string): Promise<string[]> {
    const env = clientEnv(server, at)
    const { stdout } = await ok(['list', '--json', '--recipe', recipe], { env })
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { build: string }).build)
  }

  const found = async (server: TestServer, query: string) => {
    const ids: string[] = []
    for await (const { workflowId } of server.client.workflow.list({ query })) ids.push(workflowId)
    return ids.sort()
  }

  test('a server that has them finds builds by recipe and parts by split', async () => {
    const server = await startServer({ attributes: true })
    const { at, id } = await build(server, 'first')
    const { id: other } = await build(server, 'second')
    bytes = outputOf(at.out)
    expect(await found(server, 'ShardmillRecipe = "first"')).toEqual([id])
    expect(await found(server, 'ShardmillSplit = "train"')).toEqual([`${id}/train`, `${other}/train`].sort())
    expect(await listedOf(server, at, 'first')).toEqual([id])
    expect(await listedOf(server, at, 'second')).toEqual([other])
    expect(await listedOf(server, at, 'fir"st')).toEqual([])
  }, 180_000)

  test('parts inside a split bear its name, tasks of an evaluation none', async () => {
    const server = await startServer({ attributes: true })
    const many = bench(manyFilesRecipe('many'), await serve(manyFilesHub(20)))
    const evaluation = chatEvalBench(await serve(manyFilesEvalHub(20)), manyFilesEvalRecipe)
    for (const at of [many, evaluation]) {
      const worker = await startWorker(server, at)
      const args = [...temporalArgs(at), '--detach']
      const id = (await ok(args, { env: clientEnv(server, at) })).stdout.trim()
      await server.client.workflow.getHandle(id).result()
      await listed(server.client, id)
      await stopWorker(worker)
    }
    const ofTrain = await found(server, 'ShardmillSplit = "train"')
    expect(ofTrain.map((id) => id.replace(/^[^/]*/, ''))).toEqual([
      '/train',
      '/train/source-0',
      '/train/source-0/files-0',
      '/train/source-0/files-16',
    ])
    expect(await found(server, 'ShardmillSplit = "val"')).toHaveLength(1)
    // The task of many files and its two pages.
    const tasks = await found(server, 'WorkflowType = "buildTask" OR WorkflowType = "buildFiles"')
    expect(tasks.filter((id) => id.includes('many-eval'))).toHaveLength(3)
    expect(await found(server, 'ShardmillSplit IS NOT NULL')).toHaveLength(5)
  }, 180_000)

  test('a server that lacks them, or has one as another type, builds the same; list looks at the memo', async () => {
    const server = await startServer()
    const { at, id } = await build(server, 'first')
    expect(outputOf(at.out)).toEqual(bytes)
    expect(await listedOf(server, at, 'first')).toEqual([id])
    expect(await listedOf(server, at, 'second')).toEqual([])
    const { raw } = await server.client.workflow.getHandle(id).describe()
    expect(raw.workflowExecutionInfo?.searchAttributes?.indexedFields ?? {}).not.toHaveProperty(
      'ShardmillRecipe',
    )
    await server.client.connection.operatorService.addSearchAttributes({
      namespace: 'default',
      searchAttributes: { ShardmillRecipe: 3 },
    })
    const { at: second } = await build(server, 'second')
    expect(await listedOf(server, second, 'second')).toHaveLength(1)
  }, 180_000)
})
