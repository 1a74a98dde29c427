/** The two sides that exclude each other: builds, which wait for a collection, and collections, which do not wait. */

import { setTimeout as pause } from 'node:timers/promises'
import { ShardmillError } from '../errors/index.ts'
import type { Layout } from './layout.ts'
import { describeLease, type Lease, type LeaseTimes, revoke, surveyLeases, takeLease } from './leases.ts'

export interface BuildLeaseOptions {
  readonly signal?: AbortSignal | undefined
  /** Told once when there is a collection to wait for, and who runs it. */
  readonly onWait?: (who: string) => void
}

const LOOK_AGAIN_MS = 100

/** A build's lease. Waits until no collection is under way; a dead one's lease is removed. */
export async function takeBuildLease(
  layout: Layout,
  times: LeaseTimes,
  options: BuildLeaseOptions = {},
): Promise<Lease> {
  const lease = await takeLease(layout, 'build', times)
  try {
    for (let told = false; ; ) {
      const others = await surveyLeases(layout, lease, times)
      for (const other of others) {
        if (other.kind !== 'member' && other.liveness !== 'live') await revoke(other)
      }
      const collection = others.find((other) => other.kind === 'gc' && other.liveness === 'live')
      if (collection === undefined) return lease
      if (!told) options.onWait?.(await describeLease(collection))
      told = true
      await pause(LOOK_AGAIN_MS, undefined, { signal: options.signal })
    }
  } catch (error) {
    await lease.release()
    if (options.signal?.aborted) {
      throw new ShardmillError('INTERRUPTED', 'interrupted while a collection was cleaning the store')
    }
    throw error
  }
}

/** How often a collection that met another one at the very start tries again, so that one of them wins. */
const TRIES = 5

/** A collection's lease. Throws STORE (retryable) when a build or another collection is using the store. */
export async function takeGcLease(layout: Layout, times: LeaseTimes): Promise<Lease> {
  for (let tries = 1; ; tries += 1) {
    const lease = await takeLease(layout, 'gc', times)
    try {
      const others = await surveyLeases(layout, lease, times)
      const live = others.filter((other) => other.kind !== 'member' && other.liveness === 'live')
      const inTheWay = live.find((other) => other.kind === 'build') ?? live[0]
      if (inTheWay === undefined) {
        for (const other of others) if (other.kind !== 'member') await revoke(other)
        return lease
      }
      const who = await describeLease(inTheWay)
      if (inTheWay.kind === 'build' || tries === TRIES) {
        const what = inTheWay.kind === 'build' ? 'a build is using' : 'another gc is cleaning'
        throw new ShardmillError('STORE', `${what} the store ${layout.root} (${who})`, {
          hint: 'nothing was removed; run `shardmill store gc` again when it has ended',
          retryable: true,
        })
      }
    } catch (error) {
      await lease.release()
      throw error
    }
    await lease.release()
    await pause(20 + Math.random() * 200)
  }
}
