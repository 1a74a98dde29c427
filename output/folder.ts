/** What may be done with the folder a user names as output. */
import { access, constants, readlink, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { listNames } from '../errors/nearest.ts'
import { listFolder } from './list-folder.ts'
import { configName, manifestName, provenanceName, readManifest, rejectedName } from './manifest.ts'
import { readProvenanceFile } from './provenance.ts'

export type OutputFolder =
  | { readonly state: 'absent' }
  | { readonly state: 'empty' }
  /** Written by shardmill, whole or damaged: `names` is all that lies in it. */
  | { readonly state: 'ours'; readonly names: readonly string[] }

/**
 * Refuses, before any work is done, an output that could not be published in the end: not ours to replace, in a
 * folder that may not be written, or in the way of the store.
 */
export async function assertUsableOutput(dir: string, store: string): Promise<void> {
  if (dir.trim() === '') {
    throw new ShardmillError('USAGE', '--out is empty', {
      hint: 'Name a folder with --out, for example --out out/.',
    })
  }
  if (!store.includes('://')) await assertApart(dir, store)
  const { state } = await inspectOutputFolder(dir)
  await assertNotHere(dir)
  if (state === 'ours') return // may be up to date, and then nothing is written
  const parent = await nearestThere(dirname(resolve(dir)))
  try {
    await access(parent, constants.W_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ShardmillError('OUTPUT', `${dir} cannot be written: no permission in ${parent} (${code})`, {
      hint: 'Name a folder you may write to with --out.',
      cause: error,
    })
  }
}

/** The folder is replaced as a whole: whoever stands in it would be left in one that has no name any more. */
async function assertNotHere(dir: string): Promise<void> {
  if (within(`${currentFolder()}${sep}`, await real(dir))) {
    throw new ShardmillError('OUTPUT', `${dir} is the folder this runs in, or holds it`, {
      hint: 'Name a folder inside it with --out, or run the command from elsewhere: an output folder is replaced as a whole.',
    })
  }
}

function currentFolder(): string {
  try {
    return process.cwd()
  } catch (cause) {
    throw new ShardmillError('USAGE', 'the folder this runs in is not there any more', {
      hint: 'Run the command from a folder that is.',
      cause,
    })
  }
}

/** Nothing can take the name of a link that leads nowhere. */
async function assertNoDeadLink(dir: string): Promise<void> {
  const leadsTo = await readlink(resolve(dir)).catch(() => undefined)
  if (leadsTo === undefined) return
  throw new ShardmillError('OUTPUT', `${dir} is a symbolic link to ${leadsTo}, which is not there`, {
    hint: 'Make that folder, or name another one with --out.',
  })
}

async function assertApart(dir: string, store: string): Promise<void> {
  const [out, kept] = [await real(dir), await real(store)]
  const why =
    out === kept
      ? 'is the store'
      : within(out, kept)
        ? 'lies in the store'
        : within(kept, out)
          ? 'holds the store'
          : undefined
  if (why === undefined) return
  throw new ShardmillError('OUTPUT', `${dir} ${why}${out === kept ? '' : ` ${store}`}`, {
    hint: 'Name another folder with --out, or another store with --store: an output folder is replaced as a whole.',
  })
}

function within(inner: string, outer: string): boolean {
  return inner.startsWith(outer.endsWith(sep) ? outer : outer + sep)
}

/** The path without links, as far as it is there. */
async function real(path: string): Promise<string> {
  const full = resolve(path)
  try {
    return await realpath(full)
  } catch {
    const parent = dirname(full)
    return parent === full ? full : join(await real(parent), basename(full))
  }
}

/** The path itself or the nearest folder above that is there. */
async function nearestThere(path: string): Promise<string> {
  const parent = dirname(path)
  return parent === path || (await isThere(path)) ? path : nearestThere(parent)
}

/** Behind links. */
function isThere(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  )
}

/**
 * Refuses, with an OUTPUT error, anything that is not ours to replace. Ours is a folder with a manifest or a
 * provenance file of ours (one of them may be damaged or gone, and heals) and nothing but what either of them names:
 * a user's `model.pt` looks like one of our files, and is none.
 */
export async function inspectOutputFolder(dir: string): Promise<OutputFolder> {
  let names: string[]
  try {
    names = await listFolder(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') {
      await assertNoDeadLink(dir)
      return { state: 'absent' }
    }
    if (code === 'ENOTDIR') {
      const file = await nearestThere(dir.replace(/\/+$/, ''))
      throw new ShardmillError('OUTPUT', `${file} is a file, expected a folder`, {
        hint: 'Name another folder with --out.',
      })
    }
    throw new ShardmillError('OUTPUT', `${dir} cannot be read (${code})`, {
      hint: 'Name a folder you may use with --out.',
      cause: error,
    })
  }
  if (names.length === 0) return { state: 'empty' }
  const manifest = await readManifest(dir).catch(() => undefined)
  const provenance = await readProvenanceFile(dir)
  const own = new Set([
    ...[manifestName, provenanceName, configName, rejectedName],
    ...(manifest?.files.map(({ path }) => path) ?? []),
    ...Object.keys(provenance?.published ?? {}),
  ])
  const foreign = names.filter((name) => !own.has(name)).sort()
  const made = manifest !== undefined || provenance !== undefined
  if (made && foreign.length === 0) return { state: 'ours', names }
  const shown = made
    ? `it holds ${listNames(foreign, 5)}`
    : `${join(dir, manifestName)} ${names.includes(manifestName) ? 'is damaged' : 'is not there'}`
  throw new ShardmillError('OUTPUT', `${dir} has files that shardmill did not write: ${shown}`, {
    hint: 'Name an empty or new folder with --out, or move these files away: the output folder is replaced as a whole.',
  })
}
