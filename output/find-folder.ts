import { basename, dirname } from 'node:path'
import { type Manifest, readManifest } from './manifest.ts'

/** The folder a file belongs to and its name in there: formats may have a folder a split. */
export async function findFolder(
  path: string,
): Promise<{ readonly dir: string; readonly name: string; readonly manifest: Manifest } | undefined> {
  let dir = dirname(path)
  let name = basename(path)
  for (let up = 0; up < 2; up++) {
    // A manifest further up may be anybody's.
    const manifest = await (up === 0 ? readManifest(dir) : readManifest(dir).catch(() => undefined))
    if (manifest !== undefined) return { dir, name, manifest }
    name = `${basename(dir)}/${name}`
    dir = dirname(dir)
  }
  return undefined
}
