/**
 * Who may write which partial file. A path has slots (`x`, `x.1`, `x.2`, …), each with a lock file beside it; a
 * process takes the first slot that nobody holds. So one process finds its predecessor's partial file again, and two
 * at once never write to the same one (both download, which is harmless).
 *
 * A lock is dead when its process is (same host and pid namespace), or when its holder, alive or unknown, has not
 * touched it for a minute by the file system's own clock.
 */
import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { type FileHandle, link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { ShardmillError } from '../../errors/index.ts'

const BEAT_MS = 5_000
const DEAD_AFTER_MS = 60_000
const MAX_SLOTS = 64

export interface Slot {
  /** The file this process may write. */
  readonly path: string
  /** False once another process has taken the slot over, because this one seemed dead. */
  held(): Promise<boolean>
  release(): Promise<void>
}

interface Holder {
  readonly nonce: string
  readonly place: string
  readonly pid: number
}

/** Locks of this process: a lock with our pid that is not here was left by a process that had the pid before. */
const ours = new Set<string>()

/** Takes a slot for `partPath`; its folder must exist. File system errors are passed on as they are. */
export async function claimSlot(partPath: string): Promise<Slot> {
  for (let i = 0; i < MAX_SLOTS; i++) {
    const path = i === 0 ? partPath : `${partPath}.${i}`
    const slot = await tryClaim(path)
    if (slot !== undefined) return slot
  }
  throw new ShardmillError('STORE', `${MAX_SLOTS} processes already download ${partPath}`, {
    retryable: true,
  })
}

async function tryClaim(path: string): Promise<Slot | undefined> {
  const lock = `${path}.lock`
  for (;;) {
    const nonce = randomBytes(12).toString('hex')
    const file = await create(lock, { nonce, place: place(), pid: process.pid })
    if (file !== undefined) return hold(path, lock, nonce, file)
    if (!(await isDead(lock))) return undefined
    if (!(await removeDead(lock))) return undefined
  }
}

async function create(lock: string, holder: Holder): Promise<FileHandle | undefined> {
  ours.add(holder.nonce) // before the file is there: another call of this process may read it at once
  let file: FileHandle | undefined
  try {
    file = await open(lock, 'wx')
    await file.write(JSON.stringify(holder), 0)
    return file
  } catch (error) {
    ours.delete(holder.nonce)
    if (file === undefined && errno(error) === 'EEXIST') return undefined
    if (file !== undefined) await rm(lock, { force: true }).catch(() => {})
    await file?.close().catch(() => {})
    throw error
  }
}

function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function hold(path: string, lock: string, nonce: string, file: FileHandle): Slot {
  // A write, not utimes: the time must come from the file system, other machines judge by it.
  const beat = setInterval(() => void file.write('{', 0).catch(() => {}), BEAT_MS)
  beat.unref()
  const held = async () => (await holderOf(lock))?.nonce === nonce
  return {
    path,
    held,
    async release() {
      clearInterval(beat)
      if (await held()) await rm(lock, { force: true }).catch(() => {})
      ours.delete(nonce)
      await file.close().catch(() => {})
    },
  }
}

async function isDead(lock: string): Promise<boolean> {
  const holder = await holderOf(lock)
  if (holder !== undefined && holder.place === place()) {
    if (holder.pid === process.pid) {
      if (!ours.has(holder.nonce)) return true
    } else if (!isAlive(holder.pid)) return true
  }
  const age = await ageOf(lock)
  return age !== undefined && age > DEAD_AFTER_MS
}

/** Moves the lock aside, looks once more at what was moved, and puts it back if somebody had renewed it meanwhile. */
async function removeDead(lock: string): Promise<boolean> {
  const aside = `${lock}.${randomBytes(6).toString('hex')}`
  try {
    await rename(lock, aside)
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error
    return true // gone: another process was faster, or its holder has let go
  }
  const dead = await isDead(aside)
  if (!dead) await link(aside, lock).catch(() => {})
  await rm(aside, { force: true })
  return dead
}

/** Undefined also while the holder is about to write its lines. */
async function holderOf(lock: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(lock, 'utf8')) as Holder
  } catch {
    return undefined
  }
}

async function ageOf(lock: string): Promise<number | undefined> {
  const probe = `${lock}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(probe, 'wx')
    await file.close()
    const [now, then] = await Promise.all([stat(probe), stat(lock)])
    return now.mtimeMs - then.mtimeMs
  } catch {
    return undefined
  } finally {
    await rm(probe, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errno(error) === 'EPERM'
  }
}

let cachedPlace: string | undefined

/** Where a pid means something: the host, and on Linux the pid namespace (two containers may share a host name). */
function place(): string {
  if (cachedPlace !== undefined) return cachedPlace
  let namespace = ''
  try {
    namespace = readlinkSync('/proc/self/ns/pid')
  } catch {
    // not Linux
  }
  cachedPlace = `${hostname()} ${namespace}`
  return cachedPlace
}
