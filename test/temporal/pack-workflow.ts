/** A workflow of its own for long-lists.test.ts: packs lists as parts of a build do. */
import { workflowInfo } from '@temporalio/workflow'
import { isStored, type StoredList } from '../../pipeline/stage.ts'
import { WorkflowRunner } from '../../workflows/runner.ts'

/** What `pages` parts bring together, each a list of so many blocks. */
export async function packPages(pages: number, blocks: number): Promise<StoredList> {
  const { workflowId, runId } = workflowInfo()
  const runner = new WorkflowRunner({
    build: { workflowId, runId },
    limits: {},
    found: { stages: {}, parts: {} },
    onNote: () => {},
    onPartDone: () => {},
  })
  const lists = Array.from({ length: pages }, (_, page) =>
    Array.from({ length: blocks }, (_, i) => ({
      tokens: 'a'.repeat(64),
      index: `${page}.${i}`.padEnd(64, '.'),
    })),
  )
  const packed = await runner.pack(lists)
  if (!isStored(packed)) throw new TypeError('so many items are stored')
  return packed
}
