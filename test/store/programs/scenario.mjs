/**
 * One life of a store: what a build does, and the housekeeping after it. Used by the tests in their own
 * process and, through run-scenario.mjs and sweep.mjs, in processes that are made to fail.
 */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'

/** `api`: openFileStore, collectGarbage, checkStore, listStore and the helpers keyOf and makeRecord below need. */
export async function scenario(api, folder, outside) {
  const warnings = []
  const store = await api.openFileStore(folder, {
    onWarning: (warning) => warnings.push(warning),
    leaseTimes: { heartbeatMs: 20, staleMs: 60_000 },
  })
  const lease = await store.leaseForBuild()
  try {
    const records = []
    // As a stage runner does: what is recorded is not made again.
    const stage = async (name, make) => {
      const key = api.sha256(name)
      const found = await store.getRecord(key)
      if (found === undefined) await store.putRecord(recordOf(name, key, await make()))
      records.push(key)
    }
    await stage('download', async () => {
      const part = join(await store.scratch('big.bin'), 'part')
      copyFileSync(outside, part)
      return { file: await store.importFile(part) }
    })
    await stage('format', async () => {
      const writer = await store.createBlob()
      try {
        for (let i = 0; i < 3; i++) await writer.write(Buffer.alloc(300_000, i + 1))
        return { rows: await writer.commit(), index: await store.putBlob(Buffer.from('index')) }
      } finally {
        await writer.abort()
      }
    })
    await stage('copy', async () => ({ file: await store.importFile(outside) }))
    const lock = await store.putBlob(Buffer.from('lock'))
    await store.putBlob(Buffer.from('stray'))
    const build = {
      schema: 1,
      id: lock.digest,
      name: 'scenario',
      finishedAt: '2026-01-01T00:00:00.000Z',
      lock,
      records,
      blobs: [lock.digest],
    }
    await store.putBuild(build)
    for (const key of records) {
      for (const ref of Object.values((await store.getRecord(key))?.outputs ?? {})) {
        let bytes = 0
        for await (const chunk of store.readBlob(ref.digest)) bytes += chunk.length
        if (bytes !== ref.bytes) throw new Error(`read ${bytes} of ${ref.bytes} bytes`)
      }
    }
    await lease.release()
    await api.collectGarbage(store)
    const { findings } = await api.checkStore(store)
    const { builds, stages, blobs } = await api.listStore(store)
    return { builds, stages, blobs, findings, warnings }
  } finally {
    await lease.release().catch(() => undefined)
    await store.close().catch(() => undefined)
  }
}

function recordOf(stage, key, outputs) {
  const circumstances = {
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: '2026-01-01T00:00:00.000Z',
    host: 'somewhere',
    pid: 7,
    user: 'someone',
    engine: 'in-process',
    tool: 'shardmill 0.1.0',
    node: 'v20.19.0',
  }
  return { schema: 1, key, stage, version: 1, params: {}, inputs: {}, outputs, stats: {}, circumstances }
}

/** The api of a compiled store. */
export async function load(compiled) {
  const [digest, fileStore, gc, check, list] = await Promise.all(
    ['digest', 'file-store', 'gc', 'check', 'list'].map((name) => import(`${compiled}/store/${name}.js`)),
  )
  return { ...digest, ...fileStore, ...gc, ...check, ...list }
}
