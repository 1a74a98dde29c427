/** What lies in a dataset's folder: regular files only, and nothing that a link fetches from outside. */
import type { Dirent } from 'node:fs'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { type Stamp, toStamp } from './digests.ts'

export interface FoundFile {
  /** Relative to the dataset, `/` between segments. */
  readonly path: string
  /** Where it really is, all links resolved. */
  readonly real: string
  readonly stamp: Stamp
}

/** Written by tools about the dataset, not part of it. */
const NOT_CONTENT = new Set(['.git', '.cache'])

const AT_ONCE = 256

/**
 * Every file below `folder`, in no particular order. Links are followed as long as they stay inside `root`; others, and those that run
 * in circles, are left out and told to `log`.
 */
export async function scanFolder(
  root: string,
  folder: string,
  log: (line: string) => void,
): Promise<FoundFile[]> {
  const found: FoundFile[] = []
  await scan(folder, '', [folder])
  return found

  async function scan(real: string, path: string, above: readonly string[]): Promise<void> {
    const files: Dirent[] = []
    for (const entry of await listFolder(real)) {
      if (path === '' && NOT_CONTENT.has(entry.name)) continue
      const child = below(path, entry.name)
      if (entry.isSymbolicLink()) await follow(join(real, entry.name), child, above)
      else if (entry.isDirectory())
        await scan(join(real, entry.name), child, [...above, join(real, entry.name)])
      else if (entry.isFile()) files.push(entry)
    }
    for (let i = 0; i < files.length; i += AT_ONCE) {
      await Promise.all(
        files.slice(i, i + AT_ONCE).map(({ name }) => add(join(real, name), below(path, name))),
      )
    }
  }

  async function follow(link: string, path: string, above: readonly string[]): Promise<void> {
    const real = await insideOf(root, link)
    if (real === undefined) return log(`left out ${path}: a link that leads outside or nowhere`)
    const stat = await lstat(real)
    if (stat.isFile()) return add(real, path)
    if (!stat.isDirectory()) return
    if (above.includes(real)) return log(`left out ${path}: a link to a folder that holds it`)
    await scan(real, path, [...above, real])
  }

  async function add(real: string, path: string): Promise<void> {
    try {
      const stat = await lstat(real, { bigint: true })
      if (stat.isFile()) found.push({ path, real, stamp: toStamp(stat) })
    } catch (error) {
      if (!isMissing(error)) throw error // gone since it was listed
    }
  }
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`
}

/** The entries of a folder; none when it is gone. */
export async function listFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** `path` with its links resolved, or undefined when it is missing or not inside `root`. */
export async function insideOf(root: string, path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path)
    return real.startsWith(root.endsWith(sep) ? root : root + sep) ? real : undefined
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP'
}
