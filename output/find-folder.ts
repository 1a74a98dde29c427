import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { listNames } from '../errors/nearest.ts'
import { asSft, formatOf } from './find-shard.ts'
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

/** Throws OUTPUT for a folder where one of its files is expected; the hint names some. */
export async function assertNoFolder(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory() !== true) return
  const manifest = await readManifest(path)
  throw new ShardmillError('OUTPUT', `${path} is a folder, expected a file of one`, {
    hint:
      manifest === undefined
        ? 'Name a file in a folder that `shardmill build --out` has written.'
        : `Name one of its files: ${listNames(
            mainNames(manifest, path).map((name) => join(path, name)),
            5,
          )}.`,
  })
}

function mainNames(manifest: Manifest, dir: string): string[] {
  const role =
    manifest.kind === 'chat-eval' ? 'problems' : formatOf(asSft(manifest, dir)).format.files[0]!.role
  return manifest.files.filter((file) => file.role === role).map((file) => file.path)
}
