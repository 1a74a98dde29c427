import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { userFolder } from '../store/user-folder.ts'

/** --store, else SHARDMILL_STORE, else a folder in the user's cache. An absolute path, or a URL as it was given. */
export function storeLocation(option: string | undefined): string {
  if (option !== undefined && option.trim() === '')
    throw new ShardmillError('USAGE', '--store is empty', {
      hint: 'Name a folder with --store, or leave it out for the usual one.',
    })
  const named = option ?? process.env['SHARDMILL_STORE']
  if (named !== undefined && named !== '') return isUrl(named) ? named : resolve(named)
  const cache = userFolder(process.env, 'XDG_CACHE_HOME', '.cache')
  if (cache === undefined)
    throw new ShardmillError('USAGE', 'there is no home folder (HOME) for the store', {
      hint: 'Name a folder with --store or SHARDMILL_STORE.',
    })
  return join(cache, 'shardmill')
}

/** Whether the user said where the store is: the usual one need not be there yet. */
export function isStoreNamed(option: string | undefined): boolean {
  return option !== undefined || (process.env['SHARDMILL_STORE'] ?? '') !== ''
}

/** A scheme has two letters at least: `C:` is a drive. */
export function isUrl(location: string): boolean {
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
