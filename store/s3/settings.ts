/** Where a store in a bucket keeps its local copies, and how many. */

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { ShardmillError } from '../../errors/index.ts'
import { userFolder } from '../user-folder.ts'
import type { S3Address } from './address.ts'
import type { CacheBounds } from './blob-cache.ts'
import { endpointOf } from './connection.ts'

const DEFAULT_BYTES = 20 * 2 ** 30
const GRACE_MS = 60_000

/** `$XDG_CACHE_HOME/shardmill/s3-cache/<hash of endpoint, bucket and prefix>`. Throws USAGE where there is no home. */
export function cacheFolder(address: S3Address, env: NodeJS.ProcessEnv): string {
  const cache = userFolder(env, 'XDG_CACHE_HOME', '.cache')
  if (cache === undefined) {
    throw new ShardmillError('USAGE', `there is no home folder (HOME) for local copies of ${address.url}`, {
      hint: 'name a folder for them with XDG_CACHE_HOME',
    })
  }
  const facts = [endpointOf(env), address.bucket, address.prefix]
  const hash = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
  return resolve(cache, 'shardmill', 's3-cache', hash)
}

/** SHARDMILL_S3_CACHE_BYTES: a number of bytes, or with K, M, G or T behind it (of 1024). Throws USAGE. */
export function cacheBounds(env: NodeJS.ProcessEnv): CacheBounds {
  const text = env['SHARDMILL_S3_CACHE_BYTES']
  if (text === undefined || text === '') return { bytes: DEFAULT_BYTES, graceMs: GRACE_MS }
  const match = /^(\d{1,15})\s*([KMGT]?)(?:i?B)?$/i.exec(text)
  if (match === null) {
    throw new ShardmillError(
      'USAGE',
      `SHARDMILL_S3_CACHE_BYTES is ${JSON.stringify(text)}, expected a number of bytes`,
      { hint: 'for example 20G, 500M or 0' },
    )
  }
  const unit = 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(match[2]!.toUpperCase())
  return { bytes: Number(match[1]) * unit, graceMs: GRACE_MS }
}
