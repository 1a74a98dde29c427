/** A worker's hold on its store: one lease for all its work, and a new one when it was taken for dead. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { StoreHold } from '../../workers/store-hold.ts'
import { namesIn, openStore, temporaryFolder } from '../store/helpers.ts'

async function held(folder: string): Promise<string[]> {
  const names = await namesIn(join(folder, 'v1', 'leases'))
  return names.filter((name) => name.startsWith('build-'))
}

test('work at the same time shares a lease, which is given back a while after the last of it', async () => {
  const folder = temporaryFolder()
  const { store } = await openStore(folder)
  const hold = new StoreHold(store, 20)
  const during = await Promise.all([0, 1, 2].map(() => hold.during(() => held(folder))))
  expect(during[0]).toHaveLength(1)
  expect(new Set(during.flat()).size).toBe(1)
  await expect.poll(() => held(folder)).toEqual([])
  await hold.close()
})

test('a lease that was lost is taken anew before work begins, once for all', async () => {
  const folder = temporaryFolder()
  const { store } = await openStore(folder, { leaseTimes: { heartbeatMs: 20, staleMs: 60_000 } })
  const hold = new StoreHold(store)
  const [first] = await hold.during(() => held(folder))
  // What another process does that takes this one for dead.
  await rm(join(folder, 'v1', 'leases', first!))
  await pause(100)
  const again = await Promise.all([0, 1, 2].map(() => hold.during(() => held(folder))))
  expect(again.map((leases) => leases.length)).toEqual([1, 1, 1])
  expect(again.flat()).not.toContain(first)
  await hold.close()
  expect(await held(folder)).toEqual([])
})

test('a lease that cannot be had is asked for again by the next one', async () => {
  const { store } = await openStore(temporaryFolder())
  let asked = 0
  const leaseForBuild = () => (asked++ === 0 ? Promise.reject(new Error('no room')) : store.leaseForBuild())
  const hold = new StoreHold({ ...store, leaseForBuild } as unknown as typeof store)
  await expect(Promise.all([hold.during(async () => 1), hold.during(async () => 2)])).rejects.toThrow(
    'no room',
  )
  expect(await hold.during(async () => 3)).toBe(3)
  await hold.close()
})
