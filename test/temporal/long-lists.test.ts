/** Lists too long for a message, on the real server: what parts bring together has no bound of its own. */
import { fileURLToPath } from 'node:url'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { expect, test } from 'vitest'
import type { Dependencies } from '../../activities/index.ts'
import { createListActivities, readList } from '../../activities/lists.ts'
import type { StoredList } from '../../pipeline/stage.ts'
import { openStore } from '../../stages/open-store.ts'
import { queues } from '../../workflows/names.ts'
import { temporaryFolder } from '../store/helpers.ts'
import { startServer, temporalSuite } from './server.ts'

temporalSuite('long lists', () => {
  // 500 pages of 96 blocks, as of a source of 8,000 files with 6 partitions each: 7 MB, where a message has 2 at most.
  const [pages, blocks] = [500, 96]

  test('of a source with 48,000 partitions are stored', async () => {
    Runtime.install({ logger: new DefaultLogger('ERROR') })
    const server = await startServer()
    const store = await openStore(temporaryFolder())
    const connection = await NativeConnection.connect({ address: server.address })
    const holdingStore: Dependencies['holdingStore'] = (work) => work()
    const io = await Worker.create({
      connection,
      taskQueue: queues.io,
      activities: createListActivities({ store, holdingStore } as unknown as Dependencies),
    })
    const workflows = await Worker.create({
      connection,
      taskQueue: 'long-lists',
      workflowsPath: fileURLToPath(new URL('./pack-workflow.ts', import.meta.url)),
    })
    try {
      const packed = await workflows.runUntil(
        io.runUntil(
          server.client.workflow.execute('packPages', {
            workflowId: 'long-lists',
            taskQueue: 'long-lists',
            args: [pages, blocks],
            workflowExecutionTimeout: '2 minutes',
          }) as Promise<StoredList>,
        ),
      )
      expect(packed.count).toBe(pages * blocks)
      const items = (await readList(packed, 0, packed.count, store)) as { index: string }[]
      const wanted = Array.from(
        { length: pages * blocks },
        (_, i) => `${Math.floor(i / blocks)}.${i % blocks}`,
      )
      expect(items.map(({ index }) => index)).toEqual(wanted.map((index) => index.padEnd(64, '.')))
    } finally {
      await connection.close()
      await store.close()
    }
  }, 240_000)
})
