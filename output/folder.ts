/** What may be done with the folder a user names as output. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { listNames } from '../errors/nearest.ts'
import { type Manifest, manifestName, provenanceName, readManifest } from './manifest.ts'

export type OutputFolder =
  | { readonly state: 'absent' }
  | { readonly state: 'empty' }
  | { readonly state: 'ours'; readonly manifest: Manifest }

/** Refuses, with an OUTPUT error, anything that is not ours to replace. */
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
  let manifest: Manifest | undefined
  try {
    manifest = await readManifest(dir)
  } catch {
    manifest = undefined // damaged: then nothing in the folder is provably ours
  }
  const own = new Set([manifestName, provenanceName, ...(manifest?.files.map(({ path }) => path) ?? [])])
  const foreign = names.filter((name) => !own.has(name)).sort()
  if (manifest === undefined || foreign.length > 0) {
    const shown =
      manifest === undefined
        ? `${join(dir, manifestName)} ${names.includes(manifestName) ? 'is damaged' : 'is not there'}`
        : `it holds ${listNames(foreign, 5)}`
    throw new ShardmillError('OUTPUT', `${dir} has files that shardmill did not write: ${shown}`, {
      hint: 'Name an empty or new folder with --out, or move these files away: the output folder is replaced as a whole.',
    })
  }
  return { state: 'ours', manifest }
}
