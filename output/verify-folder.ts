/**
 * Verifies an output folder from nothing but its own files: digests, and what its kind checks (kinds/: heads, lengths,
 * token range, counts, …). Goes through all of it and lists every problem.
 */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { fileDigest } from './file-digest.ts'
import { outputKind } from './kinds/index.ts'
import { listFolder } from './list-folder.ts'
import { type Manifest, type ManifestFile, manifestName, provenanceName, readManifest } from './manifest.ts'
import { readProvenanceFile } from './provenance.ts'

export interface Problem {
  readonly file: string
  readonly why: string
  /** The stage that made the file, as `shard (train shard 3/9)` or its key. */
  readonly stage?: string
  /** True of a file that the build did not write. */
  readonly isExtra?: true
}

export interface FolderReport {
  readonly files: number
  readonly bytes: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly shards: number
  /** The template whose mask contract every shard was held against; absent where ids alone cannot tell. */
  readonly masks?: string
  readonly problems: readonly Problem[]
}

export interface VerifyOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (bytes: number, total: number) => void
}

export async function verifyFolder(dir: string, options: VerifyOptions): Promise<FolderReport> {
  const manifest = await readManifest(dir)
  if (manifest === undefined) {
    throw new ShardmillError('OUTPUT', `${dir} has no ${manifestName}`, {
      hint: 'Name a folder that `shardmill build --out` has written.',
    })
  }
  const problems: Problem[] = []
  let read = 0
  const total = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
  const report = (bytes: number) => {
    read += bytes
    options.onProgress?.(read, total)
  }
  const problem = (file: ManifestFile | string, why: string) => {
    const path = typeof file === 'string' ? file : file.path
    const stage = typeof file === 'string' ? undefined : stageOf(manifest, file)
    problems.push({ file: join(dir, path), why, ...(stage === undefined ? {} : { stage }) })
  }

  const digest = async (file: ManifestFile) => {
    const found = await fileDigest(join(dir, file.path)).catch(
      (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
    )
    if (typeof found === 'string')
      problem(file, found === 'ENOENT' ? 'is missing' : `cannot be read (${found})`)
    else if (found.sha256 !== file.sha256)
      problem(file, `has sha256 ${found.sha256}, expected ${file.sha256}`)
    report(file.bytes)
  }
  const { signal } = options
  const kind = outputKind(manifest.kind)
  const checked = await kind.check({ dir, manifest, signal, problem, report, digest })
  await checkProvenance(dir, problem)
  const known = new Set([manifestName, provenanceName, ...manifest.files.map(({ path }) => path)])
  for (const name of await listFolder(dir))
    if (!known.has(name))
      problems.push({ file: join(dir, name), why: 'is not in the manifest', isExtra: true })
  return {
    files: manifest.files.length,
    bytes: read,
    tokens: checked.tokens,
    trainedTokens: checked.trained,
    shards: checked.shards,
    ...(checked.masks === undefined ? {} : { masks: checked.masks }),
    problems,
  }
}

function stageOf(manifest: Manifest, file: ManifestFile): string | undefined {
  const stage = manifest.stages.find(({ key }) => key === file.stage)
  return stage === undefined ? undefined : `${stage.stage} ${stage.key.slice(0, 16)}`
}

/** The file may be absent (it names machines and users); one that is there must be whole. */
async function checkProvenance(dir: string, problem: (file: string, why: string) => void): Promise<void> {
  const there = (await readdir(dir)).includes(provenanceName)
  if (there && (await readProvenanceFile(dir)) === undefined)
    problem(provenanceName, 'does not have the digest that its last line names')
}
