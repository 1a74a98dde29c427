/**
 * Leases as objects, as leases.ts has them as files: what they stand for and how builds and collections exclude
 * each other is told there. An object store gives what that needs: a listing shows what was written before it.
 * Its clock is the server's, by which every object's time of change is set.
 *
 * A heartbeat writes the object again, only where it still stands, so that one who was taken for dead learns of it.
 */

import { ShardmillError } from '../../errors/index.ts'
import {
  describeLease,
  judge,
  justLooking,
  type Lease,
  type LeaseKind,
  type LeaseTimes,
  newLease,
  type SeenLease,
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
    describe: (lease) =>
      describeLease(lease, async (path) => (await objects.getBytes(path, WORDS_BYTES))?.bytes),
  }
}

export async function takeS3Lease(objects: S3Objects, kind: LeaseKind, times: LeaseTimes): Promise<Lease> {
  const { token, name, words: bytes } = newLease(kind)
  const path = FOLDERS.leases + name
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
    async now() {
      await touch()
      const mtimeMs = (await objects.head(path))?.mtimeMs
      if (mtimeMs === undefined) throw gone()
      return mtimeMs
    },
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

/** `own` is touched: its time is the server's now. Without one all leases are looked at by this machine's clock. */
async function survey(objects: S3Objects, own: Lease | undefined, times: LeaseTimes): Promise<SeenLease[]> {
  await own?.touch()
  const listed: { path: string; mtimeMs: number }[] = []
  for await (const object of objects.list(FOLDERS.leases)) listed.push(object)
  const by = own ?? justLooking
  const now = own === undefined ? await by.now() : listed.find(({ path }) => path === own.path)?.mtimeMs
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
    if (path === by.path) continue
    const lease = await judge(path.slice(FOLDERS.leases.length), path, by, times, async () => now - mtimeMs)
    if (lease !== undefined) seen.push(lease)
  }
  return seen
}
