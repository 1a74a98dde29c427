/** Brings a store back to where only the downloads are done, so that a build can be timed without the network. */
import { rm } from 'node:fs/promises'
import { blobEntries } from '../../store/entries.ts'
import { openFileStore } from '../../store/file-store.ts'
import { eachRecord } from '../../store/list.ts'
import type { Digest } from '../../store/types.ts'

export async function keepDownloadsOnly(location: string): Promise<void> {
  const store = await openFileStore(location)
  try {
    const kept = new Set<Digest>()
    for await (const record of eachRecord(store)) {
      if (record.stage === 'download')
        for (const { digest } of Object.values(record.outputs)) kept.add(digest)
      else await rm(store.layout.record(record.key), { force: true })
    }
    for await (const { digest, path } of blobEntries(store.layout))
      if (!kept.has(digest)) await rm(path, { force: true })
    await rm(store.layout.builds, { recursive: true, force: true })
  } finally {
    await store.close()
  }
}
