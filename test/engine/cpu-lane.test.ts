import { expect, test } from 'vitest'
import { CpuLane } from '../../engine/cpu-lane.ts'
import type { StageName } from '../../pipeline/stage.ts'

async function orderOf(ahead: number, calls: readonly (readonly [StageName, number])[]): Promise<string[]> {
  const lane = new CpuLane(1, ahead)
  const order: string[] = []
  let open = () => {}
  const gate = lane.run('scan', 0, () => new Promise<void>((resolve) => (open = resolve)))
  const rest = calls.map(([stage, weight]) =>
    lane.run(stage, weight, async () => void order.push(`${stage} ${weight}`)),
  )
  open()
  await Promise.all([gate, ...rest])
  return order
}

test('a few partitions are formatted ahead, then the largest is tokenized', async () => {
  const order = await orderOf(2, [
    ['tokenize', 1],
    ['format', 0],
    ['tokenize', 3],
    ['format', 0],
    ['tokenize', 2],
  ])
  expect(order).toEqual(['tokenize 3', 'tokenize 2', 'format 0', 'format 0', 'tokenize 1'])
})

test('stages that are not tokenize come in turn, a verification first', async () => {
  const order = await orderOf(4, [
    ['shard', 1],
    ['shard', 2],
    ['verify', 3],
    ['shard', 4],
    ['verify', 5],
  ])
  expect(order).toEqual(['verify 3', 'verify 5', 'shard 1', 'shard 2', 'shard 4'])
})
