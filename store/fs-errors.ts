/** File system failures in words: what the user can do about a full disk, a read-only mount, a broken one. */

import { isShardmillError, ShardmillError } from '../errors/index.ts'
import { errno } from './fs-calls.ts'

/**
 * The failure as a `ShardmillError` with code STORE that names the store. Whether a retry may help is said:
 * a full disk, missing file handles and I/O errors pass, missing permissions do not. What is no file system
 * failure (a `ShardmillError` already, an abort, a bug) comes back untouched.
 */
export function storeError(error: unknown, root: string): unknown {
  const code = errno(error)
  if (isShardmillError(error) || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  const path = pathOf(error)
  const on = path === undefined || path === root ? '' : ` (${path})`
  const details = { errno: code, ...(path === undefined ? {} : { path }) }
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ShardmillError('STORE', `the disk is full: ${code} in the store ${root}`, {
        hint: 'free some space, run `shardmill store gc`, or choose a folder on another disk with --store; what is finished is kept',
        retryable: true,
        details,
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ShardmillError('STORE', `no permission to use the store ${root}: ${code}${on}`, {
        hint: 'give this user the right to write there, or choose another folder with --store or SHARDMILL_STORE',
        details,
        cause: error,
      })
    case 'EMFILE':
    case 'ENFILE':
      return new ShardmillError('STORE', `too many open files: ${code} in the store ${root}`, {
        hint: 'raise the limit (`ulimit -n`), or lower the concurrency',
        retryable: true,
        details,
        cause: error,
      })
    default:
      return new ShardmillError('STORE', `the store ${root} cannot be read or written: ${code}${on}`, {
        hint: 'look at the disk or mount that holds the store; what is finished is kept, so the same command goes on from there',
        retryable: true,
        details,
        cause: error,
      })
  }
}

/** True for what `storeError` makes of a full disk or an exceeded quota. */
export function isFullDisk(error: unknown): boolean {
  if (!isShardmillError(error, 'STORE')) return false
  return error.details?.['errno'] === 'ENOSPC' || error.details?.['errno'] === 'EDQUOT'
}

/** Runs a piece of the store's work; its file system failures come out as `storeError` says them. */
export async function naming<T>(root: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw storeError(error, root)
  }
}

function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined
}
