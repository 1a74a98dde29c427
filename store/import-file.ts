/** A finished local file into the store: moved out of the store's own scratch, copied from anywhere else. */

import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { FileBlobWriter, type Publisher, statBlobFile } from './blob-files.ts'
import {
  closeQuietly,
  errno,
  type FileHandle,
  hashHandle,
  lstat,
  makeReadOnly,
  openToRead,
  READ_CHUNK,
  readAt,
  statHandle,
  syncFile,
} from './fs-calls.ts'
import type { Layout } from './layout.ts'
import type { BlobRef, Digest } from './types.ts'

export interface Expected {
  readonly digest?: Digest
  readonly bytes?: number
}

/**
 * The file's bytes as a blob. Throws HUB_ANSWER (retryable: what was fetched is not what was promised) when
 * size or digest are not the expected ones; the file then stays where it is.
 */
export async function importIntoStore(
  layout: Layout,
  publisher: Publisher,
  owner: string,
  path: string,
  expect: Expected,
): Promise<BlobRef> {
  let handle: FileHandle
  try {
    handle = await openToRead(path)
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error
    return alreadyThere(layout, path, expect)
  }
  try {
    const stats = await statHandle(handle)
    if (!stats.isFile()) throw new ShardmillError('BAD_FILE', 'is not a regular file', { at: { file: path } })
    if (expect.bytes !== undefined && stats.size !== expect.bytes) {
      throw notAsExpected(path, expect, { bytes: stats.size })
    }
    if (await isOwnScratch(layout, path)) return await moveIn(layout, publisher, handle, path, expect)
    return await copyIn(layout, publisher, owner, handle, path, expect)
  } finally {
    await closeQuietly(handle)
  }
}

async function moveIn(
  layout: Layout,
  publisher: Publisher,
  handle: FileHandle,
  path: string,
  expect: Expected,
): Promise<BlobRef> {
  const found = await hashHandle(handle)
  checkExpected(path, expect, found)
  try {
    await syncFile(handle)
    await publisher.publish(path, layout.blob(found.digest))
    // Not before: a part file left by a crash in between must stay writable for whoever goes on with it.
    await makeReadOnly(layout.blob(found.digest))
    return found
  } catch (error) {
    // Another importer of the same file was quicker: its blob is ours.
    if (errno(error) === 'ENOENT' && (await statBlobFile(layout.blob(found.digest))) === found.bytes)
      return found
    throw error
  }
}

async function copyIn(
  layout: Layout,
  publisher: Publisher,
  owner: string,
  handle: FileHandle,
  path: string,
  expect: Expected,
): Promise<BlobRef> {
  if (expect.digest !== undefined) checkExpected(path, expect, await hashHandle(handle))
  const writer = await FileBlobWriter.create(layout, publisher, owner)
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
async function alreadyThere(layout: Layout, path: string, expect: Expected): Promise<BlobRef> {
  if (expect.digest !== undefined) {
    const bytes = await statBlobFile(layout.blob(expect.digest))
    if (bytes !== undefined && (expect.bytes === undefined || expect.bytes === bytes)) {
      return { digest: expect.digest, bytes }
    }
  }
  throw new ShardmillError('NOT_FOUND', 'the file does not exist', { at: { file: path } })
}

/** Only what lies in the scratch of this store is moved: a user's own file is never taken away. */
export async function isOwnScratch(layout: Layout, path: string): Promise<boolean> {
  if (!(await lstat(path)).isFile()) return false
  const [file, scratch] = await Promise.all([realpath(path), realpath(layout.scratch)])
  return file.startsWith(scratch + sep)
}

/** Throws HUB_ANSWER when what was found is not what was expected. */
export function checkExpected(
  path: string,
  expect: Expected,
  found: { digest?: Digest; bytes: number },
): void {
  const same =
    (expect.bytes === undefined || expect.bytes === found.bytes) &&
    (expect.digest === undefined || found.digest === undefined || expect.digest === found.digest)
  if (!same) throw notAsExpected(path, expect, found)
}

function notAsExpected(
  path: string,
  expect: Expected,
  found: { digest?: Digest; bytes: number },
): ShardmillError {
  const words = (ref: { digest?: Digest; bytes?: number }) =>
    [
      ...(ref.bytes === undefined ? [] : [`${ref.bytes} bytes`]),
      ...(ref.digest === undefined ? [] : [`sha256 ${ref.digest}`]),
    ].join(', ')
  return new ShardmillError('HUB_ANSWER', `expected ${words(expect)}; found ${words(found)}`, {
    at: { file: path },
    hint: 'the file was changed or damaged on its way; it will be fetched again when the build is repeated',
    retryable: true,
    details: { expected: { ...expect }, found: { ...found } },
  })
}
