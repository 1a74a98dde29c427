/**
 * One version of a dataset: its files with their digests, as git would hold them. Folder oids and the commit sha
 * are those of real git objects with fixed author, date and message, so equal files have an equal commit
 * anywhere, and any change moves it.
 */
import { createHash } from 'node:crypto'
import { compareCodePoints } from '../data-files.ts'
import type { Digest } from './digests.ts'
import type { FoundFile } from './folder.ts'

/** The date of every commit: content alone decides, no clock. */
export const COMMIT_DATE = '2000-01-01T00:00:00.000Z'
export const COMMIT_TITLE = 'Dataset files'
const COMMIT_SECONDS = Date.parse(COMMIT_DATE) / 1000

export interface HubFile extends FoundFile, Digest {
  readonly type: 'file'
}

export interface HubFolder {
  readonly type: 'directory'
  readonly path: string
  readonly oid: string
  /** Folders first, then files, each by name. */
  readonly entries: readonly (HubFile | HubFolder)[]
}

export interface Snapshot {
  readonly commit: string
  readonly root: HubFolder
  readonly files: ReadonlyMap<string, HubFile>
  readonly folders: ReadonlyMap<string, HubFolder>
}

export function makeSnapshot(list: readonly HubFile[]): Snapshot {
  const files = new Map(
    [...list].sort((a, b) => compareCodePoints(a.path, b.path)).map((file) => [file.path, file]),
  )
  const folders = new Map<string, HubFolder>()
  const root = makeFolder('', [...files.values()], folders)
  const person = `shardmill <shardmill> ${COMMIT_SECONDS} +0000`
  const commit = gitOid(
    'commit',
    `tree ${root.oid}\nauthor ${person}\ncommitter ${person}\n\n${COMMIT_TITLE}\n`,
  )
  return { commit, root, files, folders }
}

function makeFolder(path: string, files: readonly HubFile[], folders: Map<string, HubFolder>): HubFolder {
  const start = path === '' ? 0 : path.length + 1
  const here: HubFile[] = []
  const below = new Map<string, HubFile[]>()
  for (const file of files) {
    const slash = file.path.indexOf('/', start)
    if (slash < 0) here.push(file)
    else pushTo(below, file.path.slice(0, slash), file)
  }
  const inner = [...below].map(([name, list]) => makeFolder(name, list, folders))
  inner.sort((a, b) => compareCodePoints(a.path, b.path))
  const entries = [...inner, ...here]
  const folder: HubFolder = { type: 'directory', path, oid: treeOid(entries, start), entries }
  folders.set(path, folder)
  return folder
}

/** A git tree: entries by the bytes of their names, a folder's name counting with a `/` behind it. */
function treeOid(entries: readonly (HubFile | HubFolder)[], start: number): string {
  const sorted = entries
    .map((entry) => ({
      entry,
      key: Buffer.from(entry.path.slice(start) + (entry.type === 'file' ? '' : '/')),
    }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
  const parts = sorted.flatMap(({ entry }) => [
    Buffer.from(`${entry.type === 'file' ? '100644' : '40000'} ${entry.path.slice(start)}\0`),
    Buffer.from(entry.oid, 'hex'),
  ])
  return gitOid('tree', Buffer.concat(parts))
}

function gitOid(type: string, content: string | Buffer): string {
  const bytes = Buffer.from(content as string)
  return createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex')
}

function pushTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list) list.push(value)
  else lists.set(key, [value])
}
