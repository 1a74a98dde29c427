/**
 * publish: a finished build's output folder. The build is walked once more with a runner that only looks up: what
 * the workflow left in the store is all that is needed, however many workers made it.
 */
import { CachedRunner } from '../engine/cached-runner.ts'
import { finishBuild } from '../engine/finish.ts'
import { buildDataset } from '../pipeline/build.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import { pipelineKind } from '../pipeline/kinds/index.ts'
import type { Json } from '../store/types.ts'
import type { BuildReport } from '../workflows/types.ts'
import type { Dependencies } from './dependencies.ts'
import { lostStage } from './failures.ts'
import { readLockBlob } from './resolve.ts'
import { inSpan } from './spans.ts'
import { translate } from './translate.ts'
import type { IoActivities } from './types.ts'

export function createPublish(deps: Dependencies): IoActivities['publish'] {
  return ({ lock: lockDigest, out, recheck, build }) =>
    translate(deps, ({ signal, report }) =>
      inSpan(deps, 'publish', build, { 'shardmill.out': out }, async (): Promise<BuildReport> => {
        const { store } = deps
        const lock = await readLockBlob(store, lockDigest)
        const runner = new CachedRunner(store, signal, ({ stage, title }) => lostStage(`${stage} ${title}`))
        const result = await buildDataset(lock, runner)
        const { output, published } = await finishBuild(lock, result, runner, {
          store,
          out,
          signal,
          recheck,
          copyOut: async (blob, path) => (await deps.pool()).copyOut(store, blob, path, signal),
          onProgress: (done, total) => report(() => ({ title: 'publish', done, total })),
        })
        const files = output.files.map(({ path, sha256, bytes }) => ({ path, sha256, bytes }))
        const { digest } = await store.putBlob(Buffer.from(canonicalJson(files as unknown as Json)))
        const ran = [...runner.records.values()].filter(
          ({ circumstances }) => circumstances['buildRun'] === build.runId,
        ).length
        return {
          schema: 1,
          name: lock.name,
          lock: lockDigest,
          out,
          published,
          run: ran,
          cached: runner.records.size - ran,
          ...pipelineKind(lock.kind).report(result),
          fileCount: files.length,
          bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
          files: digest,
        }
      }),
    )
}
