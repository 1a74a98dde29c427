/** Local files into the store, by content. The user's file is only read. Without a store it is only digested. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import type { LockedFile } from '../pipeline/lock.ts'
import type { Digest, Store } from '../store/types.ts'

export async function importBytes(
  store: Store | undefined,
  bytes: Uint8Array,
  name: string,
): Promise<LockedFile> {
  const digest = createHash('sha256').update(bytes).digest('hex') as Digest
  if (store !== undefined && (await store.statBlob(digest)) !== bytes.length) await store.putBlob(bytes)
  return { path: name, bytes: bytes.length, sha256: digest }
}

export async function importLocal(
  store: Store | undefined,
  folder: string,
  path: string,
  where: string,
): Promise<LockedFile>
export async function importLocal(
  store: Store | undefined,
  folder: string,
  path: string,
  where: string,
  optional: boolean,
): Promise<LockedFile | undefined>
export async function importLocal(
  store: Store | undefined,
  folder: string,
  path: string,
  where: string,
  optional = false,
): Promise<LockedFile | undefined> {
  const full = resolve(folder, path)
  let bytes: number
  try {
    const found = await stat(full)
    if (!found.isFile()) {
      const what = found.isDirectory() ? 'a folder, expected a file' : 'no ordinary file'
      throw new ShardmillError('RECIPE', `${where}: ${path} is ${what}`, {
        hint: 'Name a file; one source entry takes one local file.',
      })
    }
    bytes = found.size
  } catch (error) {
    if (isAbsent(error) && optional) return undefined
    throw unreadable(error, where, path, full)
  }
  try {
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(full, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
    const digest = hash.digest('hex') as Digest
    if (store !== undefined && (await store.statBlob(digest)) !== bytes)
      await copyIn(store, full, digest, where, path)
    return { path: portable(path), bytes, sha256: digest }
  } catch (error) {
    throw unreadable(error, where, path, full)
  }
}

async function copyIn(
  store: Store,
  full: string,
  digest: Digest,
  where: string,
  path: string,
): Promise<void> {
  const writer = await store.createBlob()
  try {
    for await (const chunk of createReadStream(full, { highWaterMark: 1 << 20 }))
      await writer.write(chunk as Buffer)
    const stored = await writer.commit()
    if (stored.digest !== digest)
      throw new ShardmillError('RECIPE', `${where}: ${path} changed while it was read`, {
        hint: 'Try again once nothing writes to it.',
        retryable: true,
      })
  } finally {
    await writer.abort()
  }
}

function unreadable(error: unknown, where: string, path: string, full: string): unknown {
  if (isShardmillError(error)) return error
  const { code } = error as NodeJS.ErrnoException
  const hint = `Paths in a recipe start from the recipe's folder; this one means ${full}.`
  if (isAbsent(error)) return new ShardmillError('RECIPE', `${where}: there is no file ${path}`, { hint })
  if (code === 'EACCES' || code === 'EPERM') {
    return new ShardmillError('RECIPE', `${where}: ${path} may not be read`, { hint, cause: error })
  }
  if (typeof code !== 'string') return error
  return new ShardmillError('RECIPE', `${where}: ${path} cannot be read (${code})`, { hint, cause: error })
}

/** What a user is told of an optional file that is not there. */
export function leftOut(where: string, path: string, folder: string): string {
  return `${where}: there is no file ${path} (${resolve(folder, path)}): it is optional, and left out`
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** A path in a lock must read the same on every machine: relative, with forward slashes. */
export function portable(path: string): string {
  return isAbsolute(path) ? (relative('/', path).split(sep).pop() ?? path) : path.split(sep).join('/')
}
