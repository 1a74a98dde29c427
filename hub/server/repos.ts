/**
 * The datasets of a folder `datasets/<org>/<name>/`, and the models of `models/<org>/<name>/`, with their revisions:
 * - `main` (or `HEAD`): the files as they are now;
 * - `refs/convert/parquet`: the dataset's parquet files as `<config>/<split>/0000.parquet`;
 * - any other branch or tag: the folder `datasets/<org>/<name>@<revision>/`;
 * - the commit sha of any of these, also of a former state as long as its files are untouched.
 */
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isShardmillError } from '../../errors/index.ts'
import { compareCodePoints, type DataFiles, findDataFiles } from '../data-files.ts'
import { type Digest, Digests, FileChanged, openVersion, readVersion, sameStamp } from './digests.ts'
import { insideOf, listFolder, scanFolder } from './folder.ts'
import { busy, noRepo, noRevision, Refusal } from './refusal.ts'
import { type HubFile, makeSnapshot, type Snapshot } from './snapshot.ts'

export const CONVERT = 'refs/convert/parquet'
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const ATTEMPTS = 5
const FORMER_COMMITS = 16

/** The folders that repositories lie in, named as in the hub's addresses. */
export type RepoKind = 'datasets' | 'models'

export class Repos {
  readonly #repos = new Map<string, Repo>()
  readonly #digests: Digests

  /** @param root the served folder, all links resolved */
  constructor(
    readonly root: string,
    readonly log: (line: string) => void,
    signal: AbortSignal,
  ) {
    this.#digests = new Digests(signal)
  }

  /** The ids of all datasets, sorted. */
  async list(): Promise<string[]> {
    const base = await this.#folderOf('datasets')
    const ids: string[] = []
    for (const org of await listFolder(base)) {
      const folder = NAME.test(org.name) ? await insideOf(this.root, join(base, org.name)) : undefined
      if (folder === undefined) continue
      for (const entry of await listFolder(folder)) {
        if (NAME.test(entry.name) && !entry.isFile()) ids.push(`${org.name}/${entry.name}`)
      }
    }
    return ids.sort(compareCodePoints)
  }

  /** @throws Refusal RepoNotFound */
  async open(org: string | undefined, name: string | undefined, kind: RepoKind = 'datasets'): Promise<Repo> {
    const id = `${org ?? ''}/${name ?? ''}`
    // Only names that the folder itself lists: no traversal, and no other spelling where case does not matter.
    if (org === undefined || name === undefined || !NAME.test(org) || !NAME.test(name)) throw noRepo()
    const base = await this.#folderOf(kind)
    if (!(await listFolder(base)).some((entry) => entry.name === org)) throw noRepo()
    const folder = await insideOf(this.root, join(base, org))
    if (folder === undefined) throw noRepo()
    const names = (await listFolder(folder)).filter((entry) => !entry.isFile()).map((entry) => entry.name)
    if (!names.includes(name)) throw noRepo()
    const branches = names
      .filter((one) => one.startsWith(`${name}@`))
      .map((one) => one.slice(name.length + 1))
    let repo = this.#repos.get(`${kind}/${id}`)
    if (repo === undefined) {
      repo = new Repo(id, kind, this.root, join(folder, name), this.#digests, (line) =>
        this.log(`${id}: ${line}`),
      )
      this.#repos.set(`${kind}/${id}`, repo)
    }
    repo.branches = branches.filter((branch) => NAME.test(branch)).sort(compareCodePoints)
    return repo
  }

  async #folderOf(kind: RepoKind): Promise<string> {
    const folder = await insideOf(this.root, join(this.root, kind))
    return folder ?? join(this.root, kind)
  }
}

export class Repo {
  branches: readonly string[] = []
  readonly #snapshots = new Map<string, Snapshot>()
  readonly #fresh = new Map<string, Shared<Snapshot>>()
  /** The state of each folder when it was last looked at. */
  readonly #last = new Map<string, Snapshot>()

  constructor(
    readonly id: string,
    readonly kind: RepoKind,
    readonly root: string,
    readonly folder: string,
    readonly digests: Digests,
    readonly log: (line: string) => void,
  ) {}

  /** The files of a revision. @throws Refusal RevisionNotFound */
  async at(revision: string): Promise<Snapshot> {
    if (revision === 'main' || revision === 'HEAD' || revision === 'refs/heads/main') return this.#current('')
    if (revision === CONVERT) return this.#converted(await this.#current(''))
    if (this.branches.includes(revision)) return this.#current(`@${revision}`)
    if (!/^[0-9a-f]{40}$/.test(revision)) throw noRevision(revision)
    return this.#snapshots.get(revision) ?? (await this.#search(revision))
  }

  /** The dataset's configs and splits, with the paths of this snapshot. @throws ShardmillError as `findDataFiles` */
  async dataFiles(snapshot: Snapshot): Promise<DataFiles> {
    return findDataFiles([...snapshot.files.keys()], await this.readme(snapshot))
  }

  async readme(snapshot: Snapshot): Promise<string | undefined> {
    const file = snapshot.files.get('README.md')
    if (file === undefined) return undefined
    return (await this.read(snapshot, file)).toString('utf8')
  }

  /** The whole content of a small file of this snapshot. @throws FileChanged */
  async read(snapshot: Snapshot, file: HubFile): Promise<Buffer> {
    try {
      return await readVersion(file.real, file.stamp)
    } catch (error) {
      if (error instanceof FileChanged) this.forget(snapshot)
      throw error
    }
  }

  /** Opens a file of this snapshot. @throws FileChanged */
  async open(snapshot: Snapshot, file: HubFile): Promise<FileHandle> {
    try {
      return await openVersion(file.real, file.stamp)
    } catch (error) {
      if (error instanceof FileChanged) this.forget(snapshot)
      throw error
    }
  }

  /** Forgets a commit one of whose files has changed, so that it is looked for again. */
  forget(snapshot: Snapshot): void {
    this.#snapshots.delete(snapshot.commit)
  }

  /** A large file by its sha256, in that commit or, when the commit is gone, as it is now. */
  async findLarge(
    commit: string,
    sha256: string,
  ): Promise<{ snapshot: Snapshot; file: HubFile } | undefined> {
    const candidates = [commit, 'main', ...this.branches]
    for (const revision of candidates) {
      const snapshot = await this.at(revision).catch((error: unknown) => {
        if (error instanceof Refusal && error.code === 'RevisionNotFound') return undefined
        throw error
      })
      for (const file of snapshot?.files.values() ?? []) {
        if (file.lfs?.sha256 === sha256) return { snapshot: snapshot!, file }
      }
    }
    return undefined
  }

  async #search(commit: string): Promise<Snapshot> {
    const main = await this.#current('')
    if (main.commit === commit) return main
    for (const branch of this.branches) {
      const snapshot = await this.#current(`@${branch}`)
      if (snapshot.commit === commit) return snapshot
    }
    const converted = await this.#converted(main).catch(() => undefined)
    if (converted?.commit === commit) return converted
    throw noRevision(commit)
  }

  /** The state of a folder at some moment after the call. Callers who come at the same time share the work. */
  #current(suffix: string): Promise<Snapshot> {
    let shared = this.#fresh.get(suffix)
    if (shared === undefined) {
      shared = new Shared(() => this.#take(suffix))
      this.#fresh.set(suffix, shared)
    }
    return shared.get()
  }

  async #take(suffix: string): Promise<Snapshot> {
    const folder = await insideOf(this.root, this.folder + suffix)
    if (folder === undefined) throw noRepo()
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        const found = await scanFolder(this.root, folder, this.log)
        const files: HubFile[] = []
        const waiting: Promise<unknown>[] = []
        for (const file of found) {
          const use = (digest: Digest) => files.push({ type: 'file', ...file, ...digest })
          const known = this.digests.known(file.path, file.real, file.stamp)
          if (known !== undefined) use(known)
          else waiting.push(this.digests.of(file.path, file.real, file.stamp).then(use))
        }
        await Promise.all(waiting)
        const last = this.#last.get(suffix)
        const snapshot = last !== undefined && hasFiles(last, files) ? last : makeSnapshot(files)
        this.#last.set(suffix, snapshot)
        return this.#remember(snapshot)
      } catch (error) {
        if (!(error instanceof FileChanged)) throw error
        await sleep(20 * attempt)
      }
    }
    throw busy('The files of this dataset are being changed')
  }

  /** @throws Refusal RevisionNotFound for a dataset without parquet files */
  async #converted(main: Snapshot): Promise<Snapshot> {
    let configs: DataFiles['configs']
    try {
      configs = (await this.dataFiles(main)).configs
    } catch (error) {
      if (!isShardmillError(error)) throw error
      this.log(`no ${CONVERT}: ${error.message}`)
      throw noRevision(CONVERT)
    }
    const files: HubFile[] = []
    for (const config of configs.filter(({ name }) => isSegment(name))) {
      for (const split of config.splits) {
        if (!split.files.every((path) => path.endsWith('.parquet'))) continue
        for (const [i, path] of split.files.entries()) {
          const name = `${config.name}/${split.name}/${String(i).padStart(4, '0')}.parquet`
          files.push({ ...main.files.get(path)!, path: name })
        }
      }
    }
    if (files.length === 0) throw noRevision(CONVERT)
    return this.#remember(makeSnapshot(files))
  }

  #remember(snapshot: Snapshot): Snapshot {
    this.#snapshots.delete(snapshot.commit)
    this.#snapshots.set(snapshot.commit, snapshot)
    const [oldest] = this.#snapshots.keys()
    if (this.#snapshots.size > FORMER_COMMITS && oldest !== undefined) this.#snapshots.delete(oldest)
    return snapshot
  }
}

function hasFiles(snapshot: Snapshot, files: readonly HubFile[]): boolean {
  if (snapshot.files.size !== files.length) return false
  return files.every(({ path, oid, real, stamp }) => {
    const other = snapshot.files.get(path)
    return other !== undefined && other.oid === oid && other.real === real && sameStamp(other.stamp, stamp)
  })
}

/** Can stand as one segment of a path that a client will write to its disk. */
function isSegment(name: string): boolean {
  return name !== '.' && name !== '..' && !/[/\\\0]/.test(name)
}

/** Runs `make` for whoever asks; those who ask while it runs get the next run, which they share. */
class Shared<T> {
  #running: Promise<T> | undefined
  #next: Promise<T> | undefined

  constructor(readonly make: () => Promise<T>) {}

  get(): Promise<T> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        this.#next = undefined
        return this.#start()
      })
    return this.#next
  }

  #start(): Promise<T> {
    const run = this.make().finally(() => {
      if (this.#running === run) this.#running = undefined
    })
    this.#running = run
    return run
  }
}
