import { ShardmillError } from '../errors/index.ts'
import { stageKey } from '../pipeline/keys.ts'
import { openFileStore } from '../store/file-store.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import { isS3Location } from '../store/s3/address.ts'

export interface OpenOptions {
  readonly onWarning?: (text: string) => void
  /** Look only: a store that does not exist is an empty one. */
  readonly readOnly?: boolean
}

/**
 * The store at a location: a folder, or `s3://bucket/prefix`. What the latter needs is loaded only then. Throws
 * USAGE for an address of another kind, STORE when the store cannot be used.
 */
export async function openStore(location: string, options: OpenOptions = {}): Promise<ManagedStore> {
  if (isS3Location(location)) {
    const { openS3Store } = await import('../store/s3/s3-store.ts')
    return openS3Store(location, { keyOf: stageKey, ...options })
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location)) {
    throw new ShardmillError('USAGE', 'a store is a folder or s3://bucket/prefix', {
      hint: 'other object stores can be reached through their S3 interface: set AWS_ENDPOINT_URL_S3',
    })
  }
  return openFileStore(location, { keyOf: stageKey, ...options })
}
