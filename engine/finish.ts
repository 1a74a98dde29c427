/** The end of every build, whichever engine ran it: the build's record in the store, and the output folder. */
import { outputKind } from '../output/kinds/index.ts'
import { makeOutput, type Output } from '../output/manifest.ts'
import { type PublishOptions, publish } from '../output/publish.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import { filesOf, type Lock, lockDigest } from '../pipeline/lock.ts'
import type { BuildResult } from '../pipeline/results.ts'
import { decodeVocabulary } from '../stages/tokenizers/vocabulary.ts'
import { sha256 } from '../store/digest.ts'
import type { Digest, Json, StageRecord, Store } from '../store/types.ts'

export interface Used {
  /** Every record the build used, by key. */
  readonly records: ReadonlyMap<Digest, StageRecord>
  /** Lists that stages took as inputs, by digest. */
  readonly lists: ReadonlyMap<Digest, Json>
}

export interface FinishOptions extends PublishOptions {
  readonly out: string
}

/** Writes the build record (the root that garbage collection keeps) and publishes the output. */
export async function finishBuild(
  lock: Lock,
  result: BuildResult,
  { records, lists }: Used,
  { out, ...options }: FinishOptions,
): Promise<{ readonly output: Output; readonly published: 'written' | 'unchanged' }> {
  const { store } = options
  const rejected = await gatherRejected(outputKind(lock.kind).rejects(result), store)
  const specials = await specialsOf(lock, records, store)
  const output = makeOutput(lock, result, records.values(), lists, rejected, specials, sha256)
  const lockBlob = await store.putBlob(Buffer.from(canonicalJson(lock as unknown as Json)))
  await store.putBuild({
    schema: 1,
    id: lockDigest(lock),
    name: lock.name,
    finishedAt: new Date().toISOString(),
    lock: lockBlob,
    records: [...records.keys()].sort(),
    blobs: [...new Set([...lists.keys(), ...importedFiles(lock)])].sort(),
  })
  return { output, published: await publish(out, output, options) }
}

/** Ids of the template's special tokens, by which the folder's masks can be checked without the tokenizer. */
async function specialsOf(
  { template }: Lock,
  records: Used['records'],
  store: Store,
): Promise<Record<string, number> | undefined> {
  const record = [...records.values()].find(({ stage }) => stage === 'tokenizer')
  const vocabulary = record?.outputs['vocabulary']
  if (vocabulary === undefined || template.specials.length === 0) return undefined
  const { specials } = decodeVocabulary(await store.readBlobBytes(vocabulary.digest))
  return Object.fromEntries(template.specials.map((name) => [name, specials.get(name)!]))
}

/** Files that no stage made: they would be lost to garbage collection without being named. */
function importedFiles(lock: Lock): Digest[] {
  return filesOf(lock).flatMap(({ hub, sha256: digest }) =>
    hub === undefined && digest !== undefined ? [digest] : [],
  )
}

/** The rows that were set aside, of all sources, each with its split and source. */
async function gatherRejected(
  splits: ReturnType<ReturnType<typeof outputKind>['rejects']>,
  store: Store,
): Promise<{ bytes: Uint8Array; digest: Digest } | undefined> {
  const lines: string[] = []
  for (const { split, rejects } of splits) {
    for (const { label, file, blob } of rejects) {
      const text = Buffer.from(await store.readBlobBytes(blob.digest)).toString('utf8')
      for (const line of text.split('\n')) {
        if (line !== '')
          lines.push(JSON.stringify({ split, source: label, file, ...(JSON.parse(line) as object) }))
      }
    }
  }
  if (lines.length === 0) return undefined
  const bytes = Buffer.from(`${lines.join('\n')}\n`)
  return { bytes, digest: sha256(bytes) }
}
