/** The contract of every store, held by the one in a bucket. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { testStore } from '../contract/store.ts'
import { namesIn, temporaryFolder } from './helpers.ts'
import { s3Suite } from './s3-server.ts'
import { backdoor, newLocation, openS3 } from './s3-support.ts'

s3Suite('the store in a bucket', (server) => {
  testStore('S3Store', async () => {
    const location = newLocation()
    const cacheHome = temporaryFolder()
    // Two processes of one machine: they share its cache.
    const { store, warnings, local } = await openS3(server.endpoint, location, { cacheHome })
    const { store: other } = await openS3(server.endpoint, location, { cacheHome })
    const behind = await backdoor(server.endpoint, location)
    return {
      store,
      other,
      warnings,
      damageBlob: behind.changeBlob,
      damageRecord: behind.changeRecord,
      async leftovers() {
        const tmp = join(local, 'v1', 'tmp')
        return [...(existsSync(tmp) ? await namesIn(tmp) : []), ...(await behind.uploads())]
      },
      async close() {
        await store.close()
        await other.close()
        behind.objects.close()
      },
    }
  })
})
