/**
 * The file system calls the store is made of, each repeated where the operating system says "not now":
 * EINTR and EAGAIN at once, EMFILE and ENFILE (no file handle left) after a growing pause. Everything else
 * is thrown as Node gives it; `storeError` turns it into words at the store's edge.
 */

import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  type Dirent,
  fchmod,
  fchmodSync,
  fstat,
  fstatSync,
  fsync,
  open,
  openSync,
  read,
  readFileSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  write,
  writeSync,
} from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isMainThread } from 'node:worker_threads'
import { startSha256 } from './digest.ts'
import type { BlobRef } from './types.ts'

/** Reads are made in pieces of this many bytes. */
export const READ_CHUNK = 1 << 20

/**
 * A worker thread has nobody to keep waiting: what the page cache and the table of files answer it asks for itself.
 * Handing such a call to libuv's threads costs more than the call, and where all processors compute, the turn of one of
 * them is waited for first. What waits for the disk (fsync) goes there all the same.
 */
const atOnce = !isMainThread

/** A read that takes longer than this was no matter of memory: what follows in its file is read ahead, beside the work. */
const SLOW_MS = 5

/** Bytes after which a thread looks whether something else has to go on: a file that was synced, say. */
const TURN_EVERY = 256 << 10

/** About 20 seconds of pauses in all: other work in this process has time to close its files. */
const HANDLE_PAUSES_MS = [5, 10, 20, 50, 100, 200, 500, ...Array<number>(19).fill(1000)]
const AT_ONCE = 100

export function errno(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function retrying<T>(call: () => T | Promise<T>): Promise<T> {
  let again = 0
  let pauses = 0
  for (;;) {
    try {
      return await call()
    } catch (error) {
      const code = errno(error)
      if ((code === 'EINTR' || code === 'EAGAIN') && again < AT_ONCE) {
        again += 1
      } else if ((code === 'EMFILE' || code === 'ENFILE') && pauses < HANDLE_PAUSES_MS.length) {
        await pause(HANDLE_PAUSES_MS[pauses]!)
        pauses += 1
      } else {
        throw error
      }
    }
  }
}

const later = {
  open: promisify(open),
  close: promisify(close),
  read: promisify(read),
  write: promisify(write),
  fsync: promisify(fsync),
  fchmod: promisify(fchmod),
  fstat: promisify(fstat),
}
const fstatExactly = promisify<number, { bigint: true }, BigIntStats>(fstat)

/** An open file. `close` waits for the calls before it. */
export class FileHandle {
  /** Below zero once it is closed, when its number may soon be another file's: calls fail then. */
  #fd: number
  #pending: Promise<unknown> = Promise.resolve()

  private constructor(fd: number) {
    this.#fd = fd
  }

  static async open(path: string, flags: string | number, mode?: number): Promise<FileHandle> {
    return new FileHandle(atOnce ? openSync(path, flags, mode) : await later.open(path, flags, mode))
  }

  async write(bytes: Uint8Array, offset: number, length: number): Promise<number> {
    if (atOnce) return writeSync(this.#fd, bytes, offset, length, null)
    return (await this.#wait(later.write(this.#fd, bytes, offset, length, null))).bytesWritten
  }

  /** `here`: in this thread. */
  async read(into: Uint8Array, offset: number, length: number, at: number, here: boolean): Promise<number> {
    if (here) return readSync(this.#fd, into, offset, length, at)
    return (await this.#wait(later.read(this.#fd, into, offset, length, at))).bytesRead
  }

  async sync(): Promise<void> {
    await this.#wait(later.fsync(this.#fd))
  }

  async chmod(mode: number): Promise<void> {
    if (atOnce) fchmodSync(this.#fd, mode)
    else await this.#wait(later.fchmod(this.#fd, mode))
  }

  async stat(): Promise<Stats> {
    return atOnce ? fstatSync(this.#fd) : this.#wait(later.fstat(this.#fd))
  }

  /** With times to the nanosecond. */
  async statExactly(): Promise<BigIntStats> {
    const exactly = { bigint: true } as const
    return atOnce ? fstatSync(this.#fd, exactly) : this.#wait(fstatExactly(this.#fd, exactly))
  }

  async close(): Promise<void> {
    const fd = this.#fd
    if (fd < 0) return
    this.#fd = -1
    await this.#pending
    if (atOnce) closeSync(fd)
    else await later.close(fd)
  }

  #wait<T>(call: Promise<T>): Promise<T> {
    this.#pending = Promise.allSettled([this.#pending, call])
    return call
  }
}

/** Opens to read. `O_NONBLOCK`: a named pipe put in a file's place must not make us wait for ever. */
export function openToRead(path: string): Promise<FileHandle> {
  return retrying(() => FileHandle.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)))
}

/** Opens a file that must not exist yet. */
export function openNew(path: string): Promise<FileHandle> {
  return retrying(() => FileHandle.open(path, 'wx', 0o644))
}

export function rename(from: string, to: string): Promise<void> {
  return retrying(() => (atOnce ? renameSync(from, to) : fs.rename(from, to)))
}

/**
 * Makes a folder and those above it; one that is there is fine. Step by step, because Node's own `recursive` never
 * ends where a folder that is there says ENOENT (/proc, some mounts).
 */
export async function makeFolder(path: string): Promise<void> {
  const make = () => retrying(() => fs.mkdir(path))
  try {
    await make().catch(async (error: unknown) => {
      if (errno(error) !== 'ENOENT' || dirname(path) === path) throw error
      await makeFolder(dirname(path))
      await make()
    })
  } catch (error) {
    // Also where another process was faster, and where a root or mount may not be made but is there.
    const there = await fs.stat(path).catch(() => undefined)
    if (there === undefined) throw error
    if (!there.isDirectory())
      throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), { code: 'ENOTDIR', path })
  }
}

export function remove(path: string): Promise<void> {
  return retrying(() => fs.unlink(path))
}

/** Removes a file; false when it was not there. */
export async function removeIfThere(path: string): Promise<boolean> {
  try {
    await remove(path)
    return true
  } catch (error) {
    if (errno(error) === 'ENOENT') return false
    throw error
  }
}

export function removeTree(path: string): Promise<void> {
  return retrying(() => fs.rm(path, { recursive: true, force: true }))
}

/** Removes a folder if it is empty; otherwise leaves it, and says nothing. */
export async function removeFolderIfEmpty(path: string): Promise<void> {
  try {
    await retrying(() => fs.rmdir(path))
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errno(error) ?? '')) throw error
  }
}

export function stat(path: string): Promise<Stats> {
  return retrying(() => (atOnce ? statSync(path) : fs.stat(path)))
}

export function lstat(path: string): Promise<Stats> {
  return retrying(() => fs.lstat(path))
}

/** What stands at a path, or undefined when nothing does. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** A folder's entries in name order; none when there is no such folder. */
export async function list(path: string): Promise<Dirent[]> {
  try {
    const entries = await retrying(() => fs.readdir(path, { withFileTypes: true }))
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  } catch (error) {
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return []
    throw error
  }
}

export function setTimes(path: string, when: Date): Promise<void> {
  return retrying(() => fs.utimes(path, when, when))
}

export function makeReadOnly(path: string): Promise<void> {
  return retrying(() => fs.chmod(path, 0o444))
}

export function makeHandleReadOnly(handle: FileHandle): Promise<void> {
  return retrying(() => handle.chmod(0o444))
}

export function copyFile(from: string, to: string): Promise<void> {
  return retrying(() => fs.copyFile(from, to, constants.COPYFILE_FICLONE))
}

/** Writes all of the bytes at the handle's end, however few each call takes. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    done += await retrying(() => handle.write(bytes, done, bytes.length - done))
  }
  if (atOnce && done >= TURN_EVERY) await turn()
}

/** What reading a file has shown so far. */
export interface Reading {
  /** Its disk, or network, keeps readers waiting. */
  slow: boolean
}

/** Fills `into` from the place `at`; returns how many bytes there were, fewer only at the end of the file. */
export async function readAt(
  handle: FileHandle,
  into: Uint8Array,
  at: number,
  reading: Reading = { slow: false },
): Promise<number> {
  const here = atOnce && !reading.slow
  const before = here ? performance.now() : 0
  let done = 0
  while (done < into.length) {
    const got = await retrying(() => handle.read(into, done, into.length - done, at + done, here))
    if (got === 0) break
    done += got
  }
  if (here) {
    reading.slow = performance.now() - before > SLOW_MS
    if (done >= TURN_EVERY) await turn()
  }
  return done
}

export function syncFile(handle: FileHandle): Promise<void> {
  return retrying(() => handle.sync())
}

export function statHandle(handle: FileHandle): Promise<Stats> {
  return retrying(() => handle.stat())
}

/** With times to the nanosecond. */
export function statHandleExactly(handle: FileHandle): Promise<BigIntStats> {
  return retrying(() => handle.statExactly())
}

/** Closes where nothing hangs on it any more (reading, or after a failure): an error here has no news. */
export async function closeQuietly(handle: FileHandle): Promise<void> {
  await handle.close().catch(() => undefined)
}

/**
 * Makes a folder's entries durable. Some platforms and file systems cannot fsync a folder (Windows, some
 * network and FUSE mounts): there the rename is as durable as they make it.
 */
export async function syncFolder(path: string): Promise<void> {
  const cannot = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF', 'EISDIR']
  if (process.platform === 'win32') cannot.push('EPERM', 'EACCES')
  let handle: FileHandle
  try {
    handle = await openToRead(path)
  } catch (error) {
    if (cannot.includes(errno(error) ?? '')) return
    throw error
  }
  try {
    await syncFile(handle)
  } catch (error) {
    if (!cannot.includes(errno(error) ?? '')) throw error
  } finally {
    await closeQuietly(handle)
  }
}

/** Reads a small file whole. */
export async function readSmallFile(path: string): Promise<Buffer> {
  return retrying(() => (atOnce ? readFileSync(path) : fs.readFile(path)))
}

/** Size and sha256 of an open file, read from its beginning. `onBytes` is told of each piece. */
export async function hashHandle(
  handle: FileHandle,
  options: { signal?: AbortSignal | undefined; onBytes?: ((bytes: number) => void) | undefined } = {},
): Promise<BlobRef> {
  const hash = startSha256()
  const piece = Buffer.allocUnsafe(READ_CHUNK)
  let bytes = 0
  for (;;) {
    options.signal?.throwIfAborted()
    const got = await readAt(handle, piece, bytes)
    hash.update(piece.subarray(0, got))
    bytes += got
    options.onBytes?.(got)
    if (got < piece.length) return { digest: hash.digest(), bytes }
  }
}
