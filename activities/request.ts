/** What a client asks for, as it lies in the store: everything a worker needs to resolve the recipe. */
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import type { Lock } from '../pipeline/lock.ts'
import type { LocalFiles } from '../recipe/local-files.ts'
import type { Digest, Store } from '../store/types.ts'

export interface BuildRequest {
  readonly schema: 1
  readonly recipe: { readonly text: string; readonly file: string; readonly settings: readonly string[] }
  readonly locals: LocalFiles
  /** The lock to keep to. */
  readonly locked?: Lock
}

export async function putRequest(store: Store, request: BuildRequest): Promise<Digest> {
  return (await store.putBlob(Buffer.from(JSON.stringify(request)))).digest
}

export async function readRequest(store: Store, digest: Digest): Promise<BuildRequest> {
  try {
    return JSON.parse(Buffer.from(await store.readBlobBytes(digest)).toString('utf8')) as BuildRequest
  } catch (error) {
    if (!isShardmillError(error, 'MISSING_BLOB')) throw error
    throw new ShardmillError(
      'STORE',
      `the store ${store.name} of this worker does not hold the request: it is not the store of the client`,
      {
        hint: 'Give the client and all workers the same store (--store or SHARDMILL_STORE).',
      },
    )
  }
}
