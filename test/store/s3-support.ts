/** What the tests of the store in a bucket share: stores with caches of their own, and a look behind their backs. */

import { randomBytes } from 'node:crypto'
import type { LeaseTimes } from '../../store/leases.ts'
import type { ManagedStore } from '../../store/managed-store.ts'
import { blobPath, parseS3Address, recordPath } from '../../store/s3/address.ts'
import type { CacheBounds } from '../../store/s3/blob-cache.ts'
import { connect } from '../../store/s3/connection.ts'
import { S3Objects } from '../../store/s3/objects.ts'
import { openS3Store } from '../../store/s3/s3-store.ts'
import { cacheFolder } from '../../store/s3/settings.ts'
import type { Digest } from '../../store/types.ts'
import { keyOf, temporaryFolder } from './helpers.ts'
import { startFaultProxy } from './s3-fault-proxy.ts'
import { BUCKET } from './s3-server.ts'

/** A store that no other test knows. */
export function newLocation(): string {
  return `s3://${BUCKET}/tests/${randomBytes(6).toString('hex')}`
}

export interface OpenedS3 {
  readonly store: ManagedStore
  readonly warnings: string[]
  /** The folder on this machine. */
  readonly local: string
}

export interface OpenS3Options {
  readonly cacheHome?: string
  readonly cache?: CacheBounds
  readonly leaseTimes?: LeaseTimes
  readonly readOnly?: boolean
  readonly env?: NodeJS.ProcessEnv
}

/** Opens a store as a machine of its own does, unless `cacheHome` is another one's. */
export async function openS3(
  endpoint: string,
  location: string,
  { cacheHome = temporaryFolder(), env: more = {}, ...options }: OpenS3Options = {},
): Promise<OpenedS3> {
  const warnings: string[] = []
  const env = { AWS_ENDPOINT_URL_S3: endpoint, XDG_CACHE_HOME: cacheHome, ...more }
  const onWarning = (message: string) => void warnings.push(message)
  const store = await openS3Store(location, { keyOf, onWarning, env, ...options })
  return { store, warnings, local: cacheFolder(parseS3Address(location), env) }
}

export interface Backdoor {
  readonly objects: S3Objects
  change(path: string, change: (bytes: Buffer) => Buffer | undefined): Promise<void>
  changeBlob(digest: Digest, change: (bytes: Buffer) => Buffer | undefined): Promise<void>
  changeRecord(key: Digest, change: (bytes: Buffer) => Buffer | undefined): Promise<void>
  /** Paths of the objects below one. */
  paths(below: string): Promise<string[]>
  /** Uploads in parts that were begun and not ended. */
  uploads(): Promise<string[]>
}

/** The bucket without a store in front of it. */
export async function backdoor(endpoint: string, location: string): Promise<Backdoor> {
  const objects = new S3Objects(await connect({ AWS_ENDPOINT_URL_S3: endpoint }), parseS3Address(location))
  const change: Backdoor['change'] = async (path, how) => {
    const found = await objects.getBytes(path, 1 << 30)
    const bytes = how(found?.bytes ?? Buffer.alloc(0))
    if (bytes === undefined) await objects.delete(path)
    else await objects.put(path, bytes)
  }
  return {
    objects,
    change,
    changeBlob: (digest, how) => change(blobPath(digest), how),
    changeRecord: (key, how) => change(recordPath(key), how),
    async paths(below) {
      const paths: string[] = []
      for await (const { path } of objects.list(below)) paths.push(path)
      return paths
    },
    async uploads() {
      const paths: string[] = []
      for await (const { path } of objects.uploads.list('')) paths.push(path)
      return paths
    },
  }
}

/** A store of its own behind a server that can be made to fail, and a look past both. */
export async function openBehindProxy(
  endpoint: string,
  env: NodeJS.ProcessEnv = {},
  leaseTimes?: LeaseTimes,
) {
  const location = newLocation()
  const proxy = await startFaultProxy(endpoint)
  const opened = await openS3(proxy.endpoint, location, {
    env,
    ...(leaseTimes === undefined ? {} : { leaseTimes }),
  })
  return { ...opened, proxy, location, behind: await backdoor(endpoint, location) }
}
