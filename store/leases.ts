/**
 * Leases: small files that say which processes are using the store, so that `gc` keeps away from builds and
 * left-overs of the dead can be told from work of the living.
 *
 * A lease is one file `<kind>-<token>-<pid>-<start>-<machine>` in leases/. All that matters stands in the name:
 * an empty file can be made on a full disk. Its owner touches it every few seconds (the heartbeat). Kinds:
 *   member  a process that writes: owns its files in tmp/ and scratch/
 *   build   a build (or check) that needs what it finds to stay
 *   gc      a collection
 *
 * Builds and collections exclude each other as in Dekker's algorithm: each first makes its own lease visible
 * and only then looks for the other's. Whichever looks second sees the first, so at least one of two sees the
 * other: a collection that sees a build gives up, a build that sees a collection waits for its end. Hence a
 * collection only ever deletes while no build that could know of the deleted thing is under way.
 *
 * Who is alive? On the machine that asks (same boot, same pid namespace) the process table knows: gone,
 * a zombie, or another process with the same pid is dead at once; one that runs gets ten times the patience.
 * Everyone else, and a process that is stopped, is judged by the age of the last heartbeat. Clocks of machines differ, so the age
 * is measured on the file system's own clock: a file touched just now against the lease, by ctime (which the
 * file system sets itself whatever times are asked for).
 *
 * A frozen process can wake after it was taken for dead. The one who takes it for dead removes its lease;
 * the owner notices at its next heartbeat and `assertHeld` throws. Whatever it had in flight until then is
 * harmless: a record is never visible without its blobs having been there, a deleted blob makes a miss or a
 * MISSING_BLOB error, never wrong bytes.
 */

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import {
  closeQuietly,
  errno,
  list,
  openNew,
  readSmallFile,
  remove,
  removeIfThere,
  setTimes,
  stat,
  writeAll,
} from './fs-calls.ts'
import type { Layout } from './layout.ts'

export type LeaseKind = 'member' | 'build' | 'gc'

/**
 * live: leave alone. dead: proven, by the process table. stale: no heartbeat for too long, so probably dead
 * (or frozen, and may wake).
 */
export type Liveness = 'live' | 'dead' | 'stale'

export interface SeenLease {
  readonly kind: LeaseKind
  readonly token: string
  readonly path: string
  readonly pid: number
  readonly liveness: Liveness
  /** The process table says so; else it is judged by the age of the last heartbeat. */
  readonly certain: boolean
}

export interface LeaseTimes {
  readonly heartbeatMs: number
  /** No heartbeat for this long: taken for dead. */
  readonly staleMs: number
}

/** A process known to run may be too busy for its heartbeat; this many times longer, and it is not coming back. */
const BUSY_FACTOR = 10

export const LEASE_TIMES: LeaseTimes = { heartbeatMs: 5_000, staleMs: 60_000 }

/** Who looks at leases: the owner of one, which is left out, or somebody who only looks. */
export interface Onlooker {
  /** Undefined for one who has no lease. */
  readonly path: string | undefined
  /** The store's own clock, milliseconds since 1970. */
  now(): Promise<number>
}

/**
 * Looks without a lease, and writes nothing. Its clock is this machine's, which may be off: only heartbeats that are
 * very old count as none.
 */
export const justLooking: Onlooker = { path: undefined, now: async () => Date.now() }

/** Leases of this process that are given back but could not be removed yet. */
const givenBack = new Set<string>()

/** `<kind>-<token>-<pid>-<start>-<machine>`. */
const LEASE_NAME = /^(member|build|gc)-([0-9a-f]{16})-(\d+)-(\d+)-([0-9a-f]{12})$/

export interface Lease {
  readonly kind: LeaseKind
  /** Random, 16 hex digits: names the owner in tmp/ and scratch/. */
  readonly token: string
  readonly path: string
  /** Aborted when another process has taken this one for dead. */
  readonly lost: AbortSignal
  /** Throws STORE when the lease was lost. Looks at the file only when the last heartbeat is not recent. */
  assertHeld(): Promise<void>
  /** A heartbeat. Throws STORE when the lease was lost. */
  touch(): Promise<void>
  /** The store's own clock, milliseconds since 1970. */
  now(): Promise<number>
  /** Never throws: what cannot be removed now is tried again while the process runs. */
  release(): Promise<void>
}

export async function takeLease(
  layout: Layout,
  kind: LeaseKind,
  times: LeaseTimes = LEASE_TIMES,
): Promise<Lease> {
  const { token, name, words } = newLease(kind)
  const path = join(layout.leases, name)
  const handle = await openNew(path)
  // A full disk has no room for it, and need not.
  await writeAll(handle, words).catch(() => undefined)
  await closeQuietly(handle)

  const lost = new AbortController()
  let lastBeat = clock()
  let released = false
  const goneError = () =>
    new ShardmillError('STORE', `this process was taken for dead by another one using ${layout.root}`, {
      hint: 'it did not run for a while (suspended or overloaded); run the command again, finished work is kept',
      retryable: true,
    })

  async function touch(): Promise<void> {
    const started = clock()
    try {
      await setTimes(path, new Date())
      lastBeat = started
    } catch (error) {
      if (errno(error) !== 'ENOENT') throw error
      if (!released) lost.abort(goneError())
      throw goneError()
    }
  }
  // A failed beat is no news: the next one tries again, and `touch` has noted a lost lease.
  const timer = setInterval(() => void touch().catch(() => undefined), times.heartbeatMs)
  timer.unref()

  return {
    kind,
    token,
    path,
    lost: lost.signal,
    touch,
    async now() {
      await touch()
      return (await stat(path)).ctimeMs
    },
    async assertHeld() {
      if (lost.signal.aborted) throw goneError()
      if (clock() - lastBeat > times.staleMs / 4) await touch()
    },
    async release() {
      if (released) return
      released = true
      clearInterval(timer)
      try {
        await removeIfThere(path)
      } catch {
        // All is done that the lease stood for, so this is no failure; but others wait for it to go.
        givenBack.add(path)
        const again = setInterval(() => {
          removeIfThere(path).then(
            () => {
              clearInterval(again)
              givenBack.delete(path)
            },
            () => undefined,
          )
        }, times.heartbeatMs)
        again.unref()
      }
    },
  }
}

/** Milliseconds that also pass while the machine sleeps (the monotonic clock stands still then on Linux). */
function clock(): number {
  return Date.now()
}

/** All leases but the onlooker's own, with who is alive. */
export async function surveyLeases(
  layout: Layout,
  by: Onlooker,
  times: LeaseTimes = LEASE_TIMES,
): Promise<SeenLease[]> {
  const names = (await list(layout.leases)).map((entry) => entry.name)
  const now = await by.now()
  const seen: SeenLease[] = []
  for (const name of names) {
    const path = join(layout.leases, name)
    if (path === by.path || givenBack.has(path)) continue
    const lease = await judge(name, path, by, times, () => ageOf(path, now))
    if (lease !== undefined) seen.push(lease)
  }
  return seen
}

/** A lease of a store of any kind by its name and age; undefined for what is none, or was released meanwhile. */
export async function judge(
  name: string,
  path: string,
  by: Onlooker,
  times: LeaseTimes,
  ageMs: () => Promise<number | undefined>,
): Promise<SeenLease | undefined> {
  const match = LEASE_NAME.exec(name)
  if (match === null) return undefined
  const pid = Number(match[3])
  const facts = { kind: match[1] as LeaseKind, token: match[2]!, path, pid }
  const known = onThisMachine(pid, match[4]!, match[5]!)
  if (known === 'dead') return { ...facts, liveness: 'dead', certain: true }
  const age = await ageMs()
  if (age === undefined) return undefined
  const patience = known === 'live' || by.path === undefined ? BUSY_FACTOR : 1
  const liveness = age > times.staleMs * patience ? 'stale' : 'live'
  return { ...facts, liveness, certain: known === 'live' && liveness === 'live' }
}

/** A new lease's token, its name, and what it says of its owner: for people, and for messages. */
export function newLease(kind: LeaseKind): { token: string; name: string; words: Buffer } {
  const token = randomBytes(8).toString('hex')
  const { pid, start, machine } = thisProcess()
  const words = { kind, host: hostname(), pid: process.pid, since: new Date().toISOString() }
  return {
    token,
    name: `${kind}-${token}-${pid}-${start}-${machine}`,
    words: Buffer.from(`${JSON.stringify(words)}\n`),
  }
}

/** `pid 123 on host abc, since …`: what the lease says of its owner, for a message. */
export async function describeLease(
  { pid, path }: SeenLease,
  read: (path: string) => Promise<Uint8Array | undefined> = readSmallFile,
): Promise<string> {
  try {
    const words: unknown = JSON.parse(Buffer.from((await read(path)) ?? []).toString('utf8'))
    if (typeof words === 'object' && words !== null && 'host' in words && 'since' in words) {
      return `pid ${pid} on ${String(words.host)}, since ${String(words.since)}`
    }
  } catch {
    // released, or made on a full disk
  }
  return `pid ${pid}`
}

/** Removes the lease of one taken for dead: should it wake, this is how it learns. */
export async function revoke(lease: SeenLease): Promise<void> {
  try {
    await remove(lease.path)
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error
  }
}

async function ageOf(path: string, now: number): Promise<number | undefined> {
  try {
    return now - (await stat(path)).ctimeMs
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined
    throw error
  }
}

interface ProcessId {
  readonly pid: number
  /** Start time in the kernel's ticks since boot, 0 where it cannot be had: tells a reused pid. */
  readonly start: string
  readonly machine: string
}

let self: ProcessId | undefined

function thisProcess(): ProcessId {
  self ??= { pid: process.pid, start: procStat(process.pid)?.start ?? '0', machine: machineId() }
  return self
}

/** The process table's answer, or undefined where it cannot tell. */
function onThisMachine(pid: number, start: string, machine: string): Liveness | undefined {
  if (machine !== thisProcess().machine) return undefined
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errno(error) === 'ESRCH') return 'dead'
  }
  const stat = procStat(pid)
  if (stat === undefined) return undefined
  if (start !== '0' && stat.start !== start) return 'dead'
  if ('ZXx'.includes(stat.state)) return 'dead'
  return 'Tt'.includes(stat.state) ? undefined : 'live'
}

/** State letter and start time from /proc; undefined elsewhere. */
function procStat(pid: number): { state: string; start: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field, the command in brackets, may hold spaces and brackets itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const state = fields[0]
    const start = fields[19]
    return state === undefined || start === undefined ? undefined : { state, start }
  } catch {
    return undefined
  }
}

/**
 * Where a pid means the same process: host name, boot and pid namespace. Two containers may share a host
 * name and a store but not pids.
 */
function machineId(): string {
  const facts = [hostname(), process.platform]
  try {
    facts.push(readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim())
    facts.push(readlinkSync('/proc/self/ns/pid'))
  } catch {
    // not Linux: no pid namespaces either
  }
  return createHash('sha256').update(facts.join('\n')).digest('hex').slice(0, 12)
}
