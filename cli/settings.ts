import { availableParallelism, homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { ShardmillError } from '../errors/index.ts'

/** --store, else SHARDMILL_STORE, else a folder in the user's cache. An absolute path, or a URL as it was given. */
export function storeLocation(option: string | undefined): string {
  const { SHARDMILL_STORE, XDG_CACHE_HOME } = process.env
  const named = option !== undefined && option !== '' ? option : SHARDMILL_STORE
  if (named !== undefined && named !== '') return isUrl(named) ? named : resolve(named)
  const cache =
    XDG_CACHE_HOME !== undefined && XDG_CACHE_HOME !== '' ? XDG_CACHE_HOME : join(homedir(), '.cache')
  return join(cache, 'shardmill')
}

/** A scheme has two letters at least: `C:` is a drive. */
function isUrl(location: string): boolean {
  return /^[a-z][a-z0-9+.-]+:/i.test(location)
}

export function wholeNumber(text: string, option: string, least = 0, most?: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least || value > (most ?? value)) {
    const bounds = most !== undefined ? ` from ${least} to ${most}` : least > 0 ? ` of at least ${least}` : ''
    throw new ShardmillError(
      'USAGE',
      `${option} is ${JSON.stringify(text)}, expected a whole number${bounds}`,
    )
  }
  return value
}

/** More than any machine makes use of; each thread has a heap of its own. */
const mostThreads = 1024

export function threadCount(text: string | undefined, option: string): number {
  return text === undefined ? availableParallelism() : wholeNumber(text, option, 1, mostThreads)
}
