/**
 * Leases as objects, as leases.ts has them as files: what they stand for and how builds and collections exclude
 * each other is told there. An object store gives what that needs: a listing shows what was written before it.
 * Its clock is the server's, by which every object's time of change is set.
 *
 * A heartbeat writes the object again, only where it still stands, so that one who was taken for dead learns of it.
 */

import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { ShardmillError } from '../../errors/index.ts'
import {
  BUSY_FACTOR,
  LEASE_NAME,
  type Lease,
  type LeaseKind,
  type LeaseTimes,
  onThisMachine,
  type SeenLease,
  thisProcess,
} from '../leases.ts'
import type { LeaseBoard } from '../using.ts'
import { FOLDERS } from './address.ts'
import type { S3Objects } from './objects.ts'

/** Every heartbeat is two requests, so they are rarer than on a disk. */
export const S3_LEASE_TIMES: LeaseTimes = { heartbeatMs: 15_000, staleMs: 120_000 }

const LOOK_AGAIN_MS = 2_000
const WORDS_BYTES = 10_000

export function s3LeaseBoard(objects: S3Objects, times: LeaseTimes): LeaseBoard {
  return {
    name: objects.address.url,
    lookAgainMs: Math.min(LOOK_AGAIN_MS, times.heartbeatMs),
    take: (kind) => takeS3Lease(objects, kind, times),
    survey: (own) => survey(objects, own, times),
    revoke: async ({ path }) => void (await objects.delete(path)),
    async describe({ path, pid }) {
      try {
        const words: unknown = JSON.parse(String((await objects.getBytes(path, WORDS_BYTES))?.bytes))
        if (typeof words === 'object' && words !== null && 'host' in words && 'since' in words) {
          return `pid ${pid} on ${String(words.host)}, since ${String(words.since)}`
        }
      } catch {
        // released meanwhile
      }
      return `pid ${pid}`
    },
  }
}

export async function takeS3Lease(objects: S3Objects, kind: LeaseKind, times: LeaseTimes): Promise<Lease> {
  const token = randomBytes(8).toString('hex')
  const self = thisProcess()
  const path = `${FOLDERS.leases}${kind}-${token}-${self.pid}-${self.start}-${self.machine}`
  const words = { kind, host: hostname(), pid: process.pid, since: new Date().toISOString() }
  const bytes = Buffer.from(`${JSON.stringify(words)}\n`)
  const options = { contentType: 'application/json' }
  await objects.put(path, bytes, options)

  const lost = new AbortController()
  let lastBeat = Date.now()
  let released = false
  const gone = () =>
    new ShardmillError(
      'STORE',
      `this process was taken for dead by another one using ${objects.address.url}`,
      {
        hint: 'it did not run, or did not reach the store, for a while; run the command again, finished work is kept',
        retryable: true,
      },
    )

  async function touch(): Promise<void> {
    const started = Date.now()
    // Looked at first for servers that do not know `If-Match`.
    const there = await objects.head(path)
    const result =
      there === undefined || released
        ? undefined
        : await objects.put(path, bytes, { ...options, ifMatch: there.etag })
    if (result?.kind === 'written') {
      lastBeat = started
      // Given back while the heartbeat was under way: it must not stay.
      if (released) await objects.delete(path)
      return
    }
    if (!released) lost.abort(gone())
    throw gone()
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
    async assertHeld() {
      if (lost.signal.aborted) throw gone()
      if (Date.now() - lastBeat > times.staleMs / 4) await touch()
    },
    async release() {
      if (released) return
      released = true
      clearInterval(timer)
      // All is done that the lease stood for: one that cannot be removed grows old by itself.
      await objects.delete(path).catch(() => undefined)
    },
  }
}

/** `own` is touched: its time is the server's now. */
async function survey(objects: S3Objects, own: Lease, times: LeaseTimes): Promise<SeenLease[]> {
  await own.touch()
  const listed: { path: string; mtimeMs: number }[] = []
  for await (const object of objects.list(FOLDERS.leases)) listed.push(object)
  const now = listed.find(({ path }) => path === own.path)?.mtimeMs
  if (now === undefined) {
    throw new ShardmillError(
      'STORE',
      `the store ${objects.address.url} does not list what was just written`,
      {
        hint: 'it takes an object store whose listings are up to date, as those of Amazon S3 are; or another process took this one for dead: run the command again',
        retryable: true,
      },
    )
  }
  const seen: SeenLease[] = []
  for (const { path, mtimeMs } of listed) {
    const match = LEASE_NAME.exec(path.slice(FOLDERS.leases.length))
    if (match === null || path === own.path) continue
    const pid = Number(match[3])
    let liveness = onThisMachine(pid, match[4]!, match[5]!)
    if (liveness !== 'dead') {
      const patience = liveness === 'live' ? BUSY_FACTOR : 1
      liveness = now - mtimeMs > times.staleMs * patience ? 'stale' : 'live'
    }
    seen.push({ kind: match[1] as LeaseKind, token: match[2]!, path, pid, liveness })
  }
  return seen
}
