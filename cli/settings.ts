import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'

/** --store, else SHARDMILL_STORE, else a folder in the user's cache. */
export function storeLocation(option: string | undefined): string {
  const { SHARDMILL_STORE, XDG_CACHE_HOME } = process.env
  if (option !== undefined && option !== '') return option
  if (SHARDMILL_STORE !== undefined && SHARDMILL_STORE !== '') return SHARDMILL_STORE
  const cache =
    XDG_CACHE_HOME !== undefined && XDG_CACHE_HOME !== '' ? XDG_CACHE_HOME : join(homedir(), '.cache')
  return join(cache, 'shardmill')
}

export function wholeNumber(text: string, option: string, least = 0): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new ShardmillError(
      'USAGE',
      `${option} is ${JSON.stringify(text)}, expected a whole number${least > 0 ? ` of at least ${least}` : ''}`,
    )
  }
  return value
}

export function threadCount(option: string | undefined): number {
  return option === undefined ? availableParallelism() : wholeNumber(option, '--threads', 1)
}
