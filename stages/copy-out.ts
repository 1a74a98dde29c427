/** Files of the output, written where they will stay: new, whole and durable. */
import { constants } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import type { Digest, Store } from '../store/types.ts'
import { NewFile } from './new-file.ts'

/** Smaller files are written through the page cache. */
const leastDirect = 1 << 20

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined
  /** Told once there is little to compute, and the disk is waited for. */
  readonly onWritten?: () => void
}

/**
 * Writes a blob's bytes, checked against its digest on the way (or see ReadOptions.hashedAs), to a file that must not
 * be there yet. Where the file system can, the two share their extents, and nothing is copied.
 */
export async function copyOut(
  store: Store,
  blob: Digest,
  path: string,
  { hashedAs, ...options }: WriteOptions & { readonly hashedAs?: string | undefined } = {},
): Promise<void> {
  if (hashedAs !== undefined && (await clone(store, blob, path, hashedAs))) return
  const direct = ((await store.statBlob(blob)) ?? 0) >= leastDirect
  await writeNewFile(path, store.readBlob(blob, { reuse: true, hashedAs, last: true }), {
    ...options,
    direct,
  })
}

/** False where this is no file system that clones, or the blob is not what was hashed: then it has to be read. */
async function clone(store: Store, blob: Digest, path: string, hashedAs: string): Promise<boolean> {
  try {
    await copyFile(
      await store.localFile(blob),
      path,
      constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE,
    )
  } catch {
    return false
  }
  try {
    const file = await open(path, 'r')
    try {
      await file.chmod(0o644) // blobs are read-only
      await file.sync()
    } finally {
      await file.close()
    }
    if ((await store.identity(blob)) === hashedAs) return true
  } catch {
    // Whatever it was, copying says so.
  }
  await rm(path, { force: true })
  return false
}

/** A chunk is used up before the next one is asked for. `direct`: past the page cache, see NewFile. */
export async function writeNewFile(
  path: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { signal, onWritten, direct = false }: WriteOptions & { readonly direct?: boolean } = {},
): Promise<void> {
  const file = await NewFile.create(path, direct)
  try {
    for await (const chunk of content) {
      signal?.throwIfAborted()
      await file.write(chunk)
    }
    onWritten?.()
    await file.sync()
  } finally {
    await file.close()
  }
}
