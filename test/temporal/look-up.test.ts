/** What a look-up hands to a workflow: never more than a message may be. */
import { MockActivityEnvironment } from '@temporalio/testing'
import { expect, test } from 'vitest'
import type { Dependencies } from '../../activities/index.ts'
import { createLookUp } from '../../activities/look-up.ts'
import type { LookUpAnswer } from '../../activities/types.ts'
import { openStore } from '../../stages/open-store.ts'
import { runStage } from '../../stages/run-stage.ts'
import type { Digest } from '../../store/types.ts'
import { temporaryFolder } from '../store/helpers.ts'

test('an answer is measured in bytes, however many a character takes', async () => {
  const store = await openStore(temporaryFolder())
  const answers = await store.putBlob(Buffer.from('answers'))
  const model = { model: 'm', revision: null, topLogprobs: 20 }
  const chunks: { title: string; problems: Digest }[] = []
  for (let i = 0; i < 60; i++) {
    const { digest: problems } = await store.putBlob(Buffer.from(`problems ${i}`))
    const call = { stage: 'score', title: 'chunk', params: model, inputs: { problems } } as const
    // 600,000 characters in all, which are 1.8 MB.
    const stats = { fingerprints: ['字'.repeat(10_000)] }
    const engine = { engine: 'in-process' }
    await runStage(call, { store, engine, execute: async () => ({ outputs: { answers }, stats }) })
    chunks.push({ title: call.title, problems })
  }
  const holdingStore: Dependencies['holdingStore'] = (work) => work()
  const lookUp = createLookUp({ store, holdingStore } as unknown as Dependencies)
  const args = { ...model, endpoint: '', batch: 1, timeoutMs: 1, concurrency: 4, chunks }
  const found = (await new MockActivityEnvironment().run(lookUp, { part: 'evaluate', args })) as LookUpAnswer
  expect(Object.keys(found.stages).length).toBeGreaterThan(10)
  expect(Object.keys(found.stages).length).toBeLessThan(60)
  expect(Buffer.byteLength(JSON.stringify(found))).toBeLessThan(1_100_000)
  await store.close()
})
