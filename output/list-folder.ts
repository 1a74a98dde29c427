import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What lies in a folder, sorted: files by name, those in a folder of it as `folder/file`, an empty one as itself. */
export async function listFolder(dir: string): Promise<string[]> {
  const names: string[] = []
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const inside = entry.isDirectory() ? await readdir(join(dir, entry.name)) : []
    if (inside.length === 0) names.push(entry.name)
    else names.push(...inside.map((name) => `${entry.name}/${name}`))
  }
  return names.sort()
}
