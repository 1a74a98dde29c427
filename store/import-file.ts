/** A finished local file into a store: moved out of the store's own scratch, copied from anywhere else. */

import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import {
  closeQuietly,
  errno,
  type FileHandle,
  hashHandle,
  lstat,
  openToRead,
  READ_CHUNK,
  readAt,
  statHandle,
  syncFile,
} from './fs-calls.ts'
import type { Layout } from './layout.ts'
import type { BlobRef, BlobWriter, Digest } from './types.ts'

export interface Expected {
  readonly digest?: Digest
  readonly bytes?: number
}

/** The store that a file goes into. */
export interface ImportTarget {
  /** The folder on this machine whose scratch is the store's own. */
  readonly layout: Layout
  sizeOf(digest: Digest): Promise<number | undefined>
  createBlob(): Promise<BlobWriter>
  /** Makes a durable file, of which this is the content, a blob; it need not stay where it is. */
  moveIn(handle: FileHandle, path: string, ref: BlobRef): Promise<void>
}

/**
 * The file's bytes as a blob. Throws HUB_ANSWER (retryable: what was fetched is not what was promised) when
 * size or digest are not the expected ones; the file then stays where it is.
 */
export async function importFile(target: ImportTarget, path: string, expect: Expected): Promise<BlobRef> {
  let handle: FileHandle
  try {
    handle = await openToRead(path)
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error
    return alreadyThere(target, path, expect)
  }
  try {
    const stats = await statHandle(handle)
    if (!stats.isFile()) throw new ShardmillError('BAD_FILE', 'is not a regular file', { at: { file: path } })
    if (expect.bytes !== undefined) checkExpected(path, { bytes: expect.bytes }, { bytes: stats.size })
    if (!(await isOwnScratch(target.layout, path))) return await copyIn(target, handle, path, expect)
    const found = await hashHandle(handle)
    checkExpected(path, expect, found)
    await syncFile(handle)
    await target.moveIn(handle, path, found)
    return found
  } finally {
    await closeQuietly(handle)
  }
}

/** A user's own file may change while it is read: what is stored is a copy. */
async function copyIn(
  target: ImportTarget,
  handle: FileHandle,
  path: string,
  expect: Expected,
): Promise<BlobRef> {
  if (expect.digest !== undefined) checkExpected(path, expect, await hashHandle(handle))
  const writer = await target.createBlob()
  try {
    const piece = Buffer.allocUnsafeSlow(READ_CHUNK)
    for (;;) {
      const got = await readAt(handle, piece, writer.bytes)
      await writer.write(piece.subarray(0, got))
      if (got < piece.length) break
    }
    checkExpected(path, expect, { bytes: writer.bytes })
    return await writer.commit()
  } finally {
    await writer.abort()
  }
}

/** The file is gone; that is fine when what it held is known and stored, as after a crash or a race. */
async function alreadyThere(target: ImportTarget, path: string, expect: Expected): Promise<BlobRef> {
  if (expect.digest !== undefined) {
    const bytes = await target.sizeOf(expect.digest)
    if (bytes !== undefined && (expect.bytes === undefined || expect.bytes === bytes)) {
      return { digest: expect.digest, bytes }
    }
  }
  throw new ShardmillError('NOT_FOUND', 'the file does not exist', { at: { file: path } })
}

/**
 * Only what lies in the scratch of this store is moved: a user's own file is never taken away. False also when
 * another importer of the same file was quicker and it is gone.
 */
async function isOwnScratch(layout: Layout, path: string): Promise<boolean> {
  try {
    if (!(await lstat(path)).isFile()) return false
    const [file, scratch] = await Promise.all([realpath(path), realpath(layout.scratch)])
    return file.startsWith(scratch + sep)
  } catch (error) {
    if (errno(error) === 'ENOENT') return false
    throw error
  }
}

/** Throws HUB_ANSWER when what was found is not what was expected. */
function checkExpected(path: string, expect: Expected, found: { digest?: Digest; bytes: number }): void {
  const same =
    (expect.bytes === undefined || expect.bytes === found.bytes) &&
    (expect.digest === undefined || found.digest === undefined || expect.digest === found.digest)
  if (same) return
  const words = (ref: { digest?: Digest; bytes?: number }) =>
    [
      ...(ref.bytes === undefined ? [] : [`${ref.bytes} bytes`]),
      ...(ref.digest === undefined ? [] : [`sha256 ${ref.digest}`]),
    ].join(', ')
  throw new ShardmillError('HUB_ANSWER', `expected ${words(expect)}; found ${words(found)}`, {
    at: { file: path },
    hint: 'the file was changed or damaged on its way; it will be fetched again when the build is repeated',
    retryable: true,
    details: { expected: { ...expect }, found: { ...found } },
  })
}
