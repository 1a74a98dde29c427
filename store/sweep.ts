/**
 * Left-overs of processes that are no more: half-written files, abandoned scratch folders, their leases. Who sweeps has a
 * lease, `own`; without one all is only counted.
 */

import { join } from 'node:path'
import { temporaryPath } from './blob-files.ts'
import { list, lstat, removeFolderIfEmpty, removeTree, rename } from './fs-calls.ts'
import type { Layout } from './layout.ts'
import { justLooking, type Lease, type LeaseTimes, type Liveness, revoke, surveyLeases } from './leases.ts'

export const DAY_MS = 86_400_000

export interface Swept {
  files: number
  bytes: number
}

export interface SweepOptions {
  /** Also what belongs to a process without a heartbeat that is not proven dead. */
  readonly alsoStale: boolean
  /** What has no owner to ask is removed when untouched for this long. */
  readonly ageMs: number
}

/** Files in tmp/ whose writer is gone; such as name no writer when they are old. */
export async function sweepTmp(
  layout: Layout,
  own: Lease | undefined,
  times: LeaseTimes,
  options: SweepOptions,
): Promise<Swept> {
  const swept = { files: 0, bytes: 0 }
  // Listed before the leases: a writer makes its lease before its files, so none seen here lacks one yet.
  const names = (await list(layout.tmp)).map((entry) => entry.name)
  if (names.length === 0) return swept
  const owners = await ownersOf(layout, own, times)
  const now = await (own ?? justLooking).now()
  for (const name of names) {
    const path = join(layout.tmp, name)
    const owner = /^([0-9a-f]{16})-/.exec(name)?.[1]
    const liveness = owner === undefined ? undefined : owners.get(owner)
    if (liveness === 'live' || (liveness === 'stale' && !options.alsoStale)) continue
    await sweep(path, owner === undefined ? now - options.ageMs : now, swept, own)
  }
  return swept
}

/** What the dead leave behind, cheap enough for the start of every build: half-written files, and their leases. */
export async function sweepDead(layout: Layout, own: Lease, times: LeaseTimes): Promise<void> {
  await sweepTmp(layout, own, times, { alsoStale: false, ageMs: DAY_MS })
  const dead = (await surveyLeases(layout, own, times)).filter((lease) => lease.liveness === 'dead')
  if (dead.length === 0) return
  const owners = new Set((await scratchEntries(layout)).map(({ owner }) => owner))
  for (const lease of dead) if (!owners.has(lease.token)) await revoke(lease)
}

/** Scratch folders nobody alive owns and nobody has touched lately, and the leases of the dead. */
export async function sweepScratch(
  layout: Layout,
  own: Lease | undefined,
  times: LeaseTimes,
  options: SweepOptions,
): Promise<Swept> {
  const swept = { files: 0, bytes: 0 }
  const found = await scratchEntries(layout)
  const leases = await surveyLeases(layout, own ?? justLooking, times)
  const owners = new Map(leases.map((lease) => [lease.token, lease.liveness]))
  const now = await (own ?? justLooking).now()
  const keeping = new Set<string>()
  for (const { path, owner } of found) {
    const kept = owners.get(owner) === 'live' || owner === own?.token
    if (kept || !(await sweep(path, now - options.ageMs, swept, own, layout))) keeping.add(owner)
  }
  if (own === undefined) return swept
  for (const { name } of await list(layout.scratch)) await removeFolderIfEmpty(join(layout.scratch, name))
  for (const lease of leases) {
    // A dead owner's lease stays with its folder: it tells the next one that nobody writes there any more.
    if (lease.kind === 'member' && lease.liveness !== 'live' && !keeping.has(lease.token)) await revoke(lease)
  }
  return swept
}

/** Damaged files stay seven times as long, for whoever wants to know what happened to them. */
export async function sweepQuarantine(
  layout: Layout,
  own: Lease | undefined,
  options: SweepOptions,
): Promise<Swept> {
  const swept = { files: 0, bytes: 0 }
  const now = await (own ?? justLooking).now()
  for (const entry of await list(layout.quarantine)) {
    await sweep(join(layout.quarantine, entry.name), now - 7 * options.ageMs, swept, own)
  }
  return swept
}

async function scratchEntries(layout: Layout): Promise<{ path: string; owner: string }[]> {
  const found: { path: string; owner: string }[] = []
  for (const { name } of await list(layout.scratch)) {
    const folder = join(layout.scratch, name)
    for (const entry of await list(folder)) found.push({ path: join(folder, entry.name), owner: entry.name })
  }
  return found
}

async function ownersOf(
  layout: Layout,
  own: Lease | undefined,
  times: LeaseTimes,
): Promise<Map<string, Liveness>> {
  const leases = await surveyLeases(layout, own ?? justLooking, times)
  const owners = new Map(leases.map((lease) => [lease.token, lease.liveness]))
  return own === undefined ? owners : owners.set(own.token, 'live')
}

/**
 * Removes what was last changed before `before`; false when it is younger. With `claimIn` it is renamed
 * first, so that nobody takes it over while it is being removed.
 */
async function sweep(
  path: string,
  before: number,
  swept: Swept,
  own: Lease | undefined,
  claimIn?: Layout,
): Promise<boolean> {
  try {
    const { files, bytes, changed } = await measure(path)
    if (changed > before) return false
    if (own !== undefined) {
      await own.assertHeld()
      const claimed = claimIn === undefined ? path : temporaryPath(claimIn, own.token)
      if (claimed !== path) await rename(path, claimed)
      await removeTree(claimed)
    }
    swept.files += files
    swept.bytes += bytes
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true
    throw error
  }
}

async function measure(path: string): Promise<{ files: number; bytes: number; changed: number }> {
  const stats = await lstat(path)
  if (!stats.isDirectory()) return { files: 1, bytes: stats.size, changed: stats.ctimeMs }
  const total = { files: 0, bytes: 0, changed: stats.ctimeMs }
  for (const entry of await list(path)) {
    const inner = await measure(join(path, entry.name))
    total.files += inner.files
    total.bytes += inner.bytes
    total.changed = Math.max(total.changed, inner.changed)
  }
  return total
}
