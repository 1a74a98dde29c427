import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../stages/open-store.ts'
import type { ManagedStore } from '../../store/managed-store.ts'

/** Runs `work` with a store of its own that is gone afterwards. */
export async function withTempStore<T>(work: (store: ManagedStore) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'shardmill-store-'))
  const store = await openStore(dir)
  try {
    return await work(store)
  } finally {
    await store.close()
    rmSync(dir, { recursive: true, force: true })
  }
}
