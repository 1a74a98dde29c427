/** A blob's bytes from wherever they come, cut into even chunks and checked. */

import { startSha256 } from '../digest.ts'
import { closeQuietly, type FileHandle, READ_CHUNK, readAt } from '../fs-calls.ts'
import type { Digest, ReadOptions } from '../types.ts'

/**
 * The bytes in chunks of 1 MiB, each a buffer of its own unless `reuse`. The last one comes only once the digest
 * agrees; otherwise what `damaged` returns is thrown.
 */
export async function* checkedChunks(
  source: AsyncIterable<Uint8Array>,
  digest: Digest,
  damaged: (why: string) => Error | Promise<Error>,
  { reuse = false }: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const hash = startSha256()
  let size = 0
  let held: Uint8Array | undefined
  let free: Uint8Array | undefined
  let filling: Uint8Array | undefined
  let filled = 0
  for await (const chunk of source) {
    hash.update(chunk)
    size += chunk.length
    for (let at = 0; at < chunk.length; ) {
      if (filled === READ_CHUNK) {
        if (held !== undefined) yield held
        if (reuse) free = held
        held = filling
        filling = undefined
        filled = 0
      }
      filling ??= free ?? Buffer.allocUnsafeSlow(READ_CHUNK)
      free = undefined
      const part = chunk.subarray(at, at + READ_CHUNK - filled)
      filling.set(part, filled)
      filled += part.length
      at += part.length
    }
  }
  const found = hash.digest()
  if (found !== digest) throw await damaged(`its ${size} bytes hash to ${found}`)
  if (held !== undefined) yield held
  if (filling !== undefined && filled > 0) yield filling.subarray(0, filled)
}

/** An open file from its beginning to its end; closes it unless told to keep it open. The chunks share a buffer. */
export async function* fileChunks(
  handle: FileHandle,
  { keepOpen = false }: { readonly keepOpen?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  try {
    const piece = Buffer.allocUnsafeSlow(READ_CHUNK)
    for (let at = 0; ; ) {
      const got = await readAt(handle, piece, at)
      if (got > 0) yield piece.subarray(0, got)
      if (got < READ_CHUNK) return
      at += got
    }
  } finally {
    if (!keepOpen) await closeQuietly(handle)
  }
}
