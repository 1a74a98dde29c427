/** A build is cancelled while each of its stages runs: it stops, leaves nothing half-made, and a later one goes on. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bench, buildOn, goldenHub, goldenRecipe, json, ok, outputOf, recordsOf, serve } from '../e2e/cli.ts'
import { untilRunning } from './histories.ts'
import {
  clientEnv,
  startServer,
  startWorker,
  stopWorker,
  type TestServer,
  temporalArgs,
  temporalSuite,
} from './server.ts'

/** How long a cancelled build may take to stop: a promise to users. */
const stopsWithinMs = 10_000

temporalSuite('cancel', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer()
  })

  test('while each stage runs', async () => {
    const hub = await serve(goldenHub)
    const reference = bench(goldenRecipe({ shardTokens: 1_500 }), hub)
    await buildOn(reference)
    const at = bench(goldenRecipe({ shardTokens: 1_500 }), hub)
    const env = clientEnv(server, at)
    const worker = await startWorker(server, at, { slowMs: 120 })
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
      const id = (await ok([...temporalArgs(at), '--detach'], { env })).stdout.trim()
      await untilRunning(server.client, id, stage)
      const handle = server.client.workflow.getHandle(id)
      const askedAt = Date.now()
      await handle.cancel()
      await expect(handle.result(), stage).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } })
      expect(Date.now() - askedAt, `${stage} took too long to stop`).toBeLessThan(stopsWithinMs)
      for (const part of ['val', 'train']) {
        const described = await server.client.workflow
          .getHandle(`${id}/${part}`)
          .describe()
          .catch(() => undefined)
        expect(described?.status.name, part).not.toBe('RUNNING')
      }
      // Whole records only, for the stages that were through; what was there stays.
      const now = recordsOf(at.store)
      for (const [key, record] of before) expect(now.get(key)).toEqual(record)
      before = now
      await ok(['store', 'check', '--store', at.store, '--no-repair'])
    }
    await stopWorker(worker)
    const last = await startWorker(server, at)
    const report = await json<{ stages: { run: number; cached: number } }>(temporalArgs(at), { env })
    expect(report.stages.cached).toBe(before.size)
    expect(outputOf(at.out)).toEqual(outputOf(reference.out))
    await stopWorker(last)
    await buildOn(at)
    expect(readdirSync(join(at.store, 'v1', 'tmp'))).toEqual([])
  }, 240_000)
})
