/** What may be done with the folder a user names as output. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { listNames } from '../errors/nearest.ts'
import { isShardName } from '../stages/outputs/llmc-bin.ts'
import { configName, manifestName, provenanceName, readManifest, rejectedName } from './manifest.ts'
import { readProvenanceFile } from './provenance.ts'

export type OutputFolder =
  | { readonly state: 'absent' }
  | { readonly state: 'empty' }
  /** Written by shardmill, whole or damaged: `names` is all that lies in it. */
  | { readonly state: 'ours'; readonly names: readonly string[] }

/**
 * Refuses, with an OUTPUT error, anything that is not ours to replace. Ours is a folder with a manifest or a
 * provenance file of ours (one of them may be damaged or gone, and heals) and nothing but names we give.
 */
export async function inspectOutputFolder(dir: string): Promise<OutputFolder> {
  let names: string[]
  try {
    names = await readdir(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { state: 'absent' }
    if (code === 'ENOTDIR')
      throw new ShardmillError('OUTPUT', `${dir} is a file, expected a folder`, {
        hint: 'Name another folder with --out.',
      })
    throw new ShardmillError('OUTPUT', `${dir} cannot be read (${code})`, { cause: error })
  }
  if (names.length === 0) return { state: 'empty' }
  const manifest = await readManifest(dir).catch(() => undefined)
  const own = new Set([
    ...[manifestName, provenanceName, configName, rejectedName],
    ...(manifest?.files.map(({ path }) => path) ?? []),
  ])
  const foreign = names.filter((name) => !own.has(name) && !isShardName(name)).sort()
  const made = manifest !== undefined || (await readProvenanceFile(dir)) !== undefined
  if (made && foreign.length === 0) return { state: 'ours', names }
  const shown = made
    ? `it holds ${listNames(foreign, 5)}`
    : `${join(dir, manifestName)} ${names.includes(manifestName) ? 'is damaged' : 'is not there'}`
  throw new ShardmillError('OUTPUT', `${dir} has files that shardmill did not write: ${shown}`, {
    hint: 'Name an empty or new folder with --out, or move these files away: the output folder is replaced as a whole.',
  })
}
