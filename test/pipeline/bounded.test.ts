import { expect, test } from 'vitest'
import { mapBounded } from '../../pipeline/stage.ts'

test('results keep the order of the items, and no more than the limit run at once', async () => {
  let running = 0
  let most = 0
  const results = await mapBounded([5, 1, 3, 2, 4], 2, async (item, i) => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, item))
    running--
    return `${i}:${item}`
  })
  expect(results).toEqual(['0:5', '1:1', '2:3', '3:2', '4:4'])
  expect(most).toBe(2)
})

test('after a failure nothing new is started', async () => {
  const started: number[] = []
  const work = async (item: number) => {
    started.push(item)
    await Promise.resolve()
    if (item === 1) throw new Error('one')
  }
  await expect(mapBounded([1, 2, 3, 4, 5], 2, work)).rejects.toThrow('one')
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(started.length).toBeLessThan(5)
})

test('an empty list is done at once', async () => {
  expect(await mapBounded([], 3, async () => 1)).toEqual([])
})
