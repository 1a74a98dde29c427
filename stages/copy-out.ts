/** Files of the output, written where they will stay: new, whole and durable. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Digest, Store } from '../store/types.ts'

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined
  /** Told when all is written and only the disk is waited for. */
  readonly onWritten?: () => void
}

/**
 * Writes a blob's bytes, checked against its digest on the way (or see ReadOptions.hashedAs), to a file that must not
 * be there yet.
 */
export function copyOut(
  store: Store,
  blob: Digest,
  path: string,
  { hashedAs, ...options }: WriteOptions & { readonly hashedAs?: string | undefined } = {},
): Promise<void> {
  return writeNewFile(path, store.readBlob(blob, { reuse: true, hashedAs }), options)
}

/** A chunk is used up before the next one is asked for. */
export async function writeNewFile(
  path: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { signal, onWritten }: WriteOptions = {},
): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644)
  try {
    for await (const chunk of content) {
      signal?.throwIfAborted()
      await writeAll(file, chunk)
    }
    onWritten?.()
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten
}
