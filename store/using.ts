/** The two sides that exclude each other: builds, which wait for a collection, and collections, which do not wait. */

import { setTimeout as pause } from 'node:timers/promises'
import { ShardmillError } from '../errors/index.ts'
import type { Layout } from './layout.ts'
import {
  describeLease,
  justLooking,
  type Lease,
  type LeaseKind,
  type LeaseTimes,
  revoke,
  type SeenLease,
  surveyLeases,
  takeLease,
} from './leases.ts'
import type { StoreUser } from './managed-store.ts'

export interface BuildLeaseOptions {
  readonly signal?: AbortSignal | undefined
  /** Told once when there is a collection to wait for, and who runs it. */
  readonly onWait?: (who: string) => void
}

/** Where leases hang for all to see. */
export interface LeaseBoard {
  /** The store's. */
  readonly name: string
  /** How long to wait before looking again. */
  readonly lookAgainMs: number
  take(kind: LeaseKind): Promise<Lease>
  /** All leases but `own`, with who is alive. Without one as somebody who only looks. */
  survey(own?: Lease): Promise<SeenLease[]>
  revoke(lease: SeenLease): Promise<void>
  /** What a lease says of its owner, for a message. */
  describe(lease: SeenLease): Promise<string>
}

export function boardOf(layout: Layout, times: LeaseTimes): LeaseBoard {
  return {
    name: layout.root,
    lookAgainMs: 100,
    take: (kind) => takeLease(layout, kind, times),
    survey: (own) => surveyLeases(layout, own ?? justLooking, times),
    revoke,
    describe: describeLease,
  }
}

/** A build's lease. Waits until no collection is under way; a dead one's lease is removed. */
export function takeBuildLease(
  layout: Layout,
  times: LeaseTimes,
  options: BuildLeaseOptions = {},
): Promise<Lease> {
  return takeBuildLeaseOn(boardOf(layout, times), options)
}

export async function takeBuildLeaseOn(board: LeaseBoard, options: BuildLeaseOptions): Promise<Lease> {
  const lease = await board.take('build')
  try {
    for (let told = false; ; ) {
      const others = await board.survey(lease)
      for (const other of others) {
        if (other.kind !== 'member' && other.liveness !== 'live') await board.revoke(other)
      }
      const collection = others.find((other) => other.kind === 'gc' && other.liveness === 'live')
      if (collection === undefined) return lease
      if (!told) options.onWait?.(await board.describe(collection))
      told = true
      await pause(board.lookAgainMs, undefined, { signal: options.signal })
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
export function takeGcLease(layout: Layout, times: LeaseTimes): Promise<Lease> {
  return takeGcLeaseOn(boardOf(layout, times))
}

export async function takeGcLeaseOn(board: LeaseBoard): Promise<Lease> {
  for (let tries = 1; ; tries += 1) {
    const lease = await board.take('gc')
    try {
      const others = await board.survey(lease)
      const live = others.filter((other) => other.kind !== 'member' && other.liveness === 'live')
      const inTheWay = live.find((other) => other.kind === 'build') ?? live[0]
      if (inTheWay === undefined) {
        for (const other of others) if (other.kind !== 'member') await board.revoke(other)
        return lease
      }
      const who = await board.describe(inTheWay)
      if (inTheWay.kind === 'build' || tries === TRIES) {
        const what = inTheWay.kind === 'build' ? 'a build is using' : 'another gc is cleaning'
        throw new ShardmillError('STORE', `${what} the store ${board.name} (${who})`, {
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

/** Builds that have a lease and are not known to have ended, for one who only looks. */
export async function buildsOn(board: LeaseBoard): Promise<StoreUser[]> {
  const users: StoreUser[] = []
  for (const lease of await board.survey()) {
    if (lease.kind !== 'build' || lease.liveness !== 'live') continue
    users.push({ who: await board.describe(lease), certain: lease.certain })
  }
  return users
}
