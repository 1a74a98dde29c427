/**
 * download: a file of the hub → a blob.
 *
 * In:  nothing; params pin the content (sha256, or git's blob hash and the size).   Out: the file's bytes.
 * Where it comes from is a hint and no part of the key: another mirror with the same bytes is the same file.
 */
import { join } from 'node:path'
import { downloadFile } from '../hub/client/download.ts'
import type { Hub, RetryNote } from '../hub/client/hub.ts'
import type { StageCall } from '../pipeline/stage.ts'
import type { BlobRef, Digest } from '../store/types.ts'
import { defineStage, paramsOf, type Stage, type StageContext } from './define-stage.ts'

interface Params {
  readonly sha256?: Digest
  readonly gitOid?: string
  readonly bytes: number
}

/** The download stage for a hub. */
export function createDownload(hub: () => Hub): Stage {
  return defineStage({ name: 'download', run: (call, context) => download(hub(), call, context) })
}

async function download(hub: Hub, call: StageCall, { store, signal, progress, notice }: StageContext) {
  const { sha256, gitOid, bytes } = paramsOf<Params>(call)
  const { repo, type, commit, path } = call.hints as unknown as {
    repo: string
    type?: 'model'
    commit: string
    path: string
  }
  const folder = await store.scratch(`download-${sha256 ?? gitOid}`)
  let seen = 0
  let stored: BlobRef | undefined
  await downloadFile(
    hub,
    {
      repo,
      ...(type === undefined ? {} : { type }),
      commit,
      path,
      bytes,
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(gitOid === undefined ? {} : { gitOid }),
    },
    { partPath: join(folder, 'part') },
    {
      signal,
      onProgress: (done) => {
        progress.done(done, bytes)
        progress.bytes(Math.max(0, done - seen))
        seen = Math.max(seen, done)
      },
      onRetry: (note: RetryNote) => notice(`${call.title}: ${note.message}`),
      take: async (part, found) => {
        stored = await store.importFile(part, { digest: found.sha256 as Digest, bytes: found.bytes })
      },
    },
  )
  if (stored === undefined) throw new TypeError('a finished download must have been taken into the store')
  return { outputs: { file: stored }, stats: { bytes: stored.bytes } }
}
