/**
 * Puts a build's files into the output folder: whole or not at all. Everything is written to a folder beside it,
 * made durable, and then takes its name.
 */
import { chmod, chown, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { copyOut, writeNewFile } from '../stages/copy-out.ts'
import { makeFolder } from '../store/fs-calls.ts'
import type { Digest, Store } from '../store/types.ts'
import { fileDigest } from './file-digest.ts'
import { inspectOutputFolder } from './folder.ts'
import { manifestName, type Output, type OutputFile, provenanceName } from './manifest.ts'
import { encodeProvenance, readProvenanceFile } from './provenance.ts'
import { removeLeftovers, siblingName, targetOf } from './siblings.ts'
import type { Staging } from './staging.ts'

export interface PublishOptions {
  readonly store: Store
  readonly signal: AbortSignal
  readonly onProgress?: (bytes: number, total: number) => void
  /** Reads the files of an existing output again, even if nothing has touched them. */
  readonly recheck?: boolean
  /** Writes a blob to a new file, checked and durable: in another thread, say (default: here). */
  readonly copyOut?: (blob: Digest, path: string) => Promise<void>
  /** What has been written already. */
  readonly staging?: Staging
}

/** Files written at a time. */
const parallel = 4

/** Returns `unchanged` when the folder already held exactly this. */
export async function publish(
  dir: string,
  output: Output,
  options: PublishOptions,
): Promise<'written' | 'unchanged'> {
  const target = await targetOf(dir)
  try {
    await removeLeftovers(target, ['new'])
    const found = await inspectOutputFolder(target)
    const isHere = found.state === 'ours' && (await isCurrent(target, found.names, output, options))
    if (!isHere) await replace(target, output, options)
    // What cannot be removed now goes with the next publish.
    await removeLeftovers(target, ['old']).catch(() => {})
    return isHere ? 'unchanged' : 'written'
  } catch (error) {
    throw outputError(error, dir)
  }
}

async function replace(target: string, output: Output, options: PublishOptions): Promise<void> {
  const { store, signal, staging } = options
  const copy = options.copyOut ?? ((blob, path) => copyOut(store, blob, path, { signal }))
  const fresh = siblingName(target, 'new')
  await makeFolder(fresh)
  try {
    await keepMode(target, fresh)
    const total = output.files.reduce((sum, { bytes }) => sum + bytes, 0)
    let written = 0
    const report = (bytes: number) => {
      written += bytes
      options.onProgress?.(written, total)
    }
    const folders = new Set(output.files.map(({ path }) => dirname(path)).filter((path) => path !== '.'))
    for (const folder of folders) await makeFolder(join(fresh, folder))
    const queue = [...output.files]
    const lane = async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        signal.throwIfAborted()
        const path = join(fresh, file.path)
        if ('blob' in file) {
          if (!(await staging?.take(file.blob, path))) await copy(file.blob, path)
        } else await writeNewFile(path, [file.content], { signal })
        report(file.bytes)
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: parallel }, lane))
    for (const done of lanes) if (done.status === 'rejected') throw done.reason
    await writeNewFile(join(fresh, manifestName), [Buffer.from(output.manifest)], { signal })
    const provenance = encodeProvenance(await fingerprints(fresh, output.files), output.provenance)
    await writeNewFile(join(fresh, provenanceName), [provenance], { signal })
    for (const folder of folders) await syncFolder(join(fresh, folder))
    await syncFolder(fresh)
    await swap(fresh, target)
  } catch (error) {
    // What cannot be removed now goes with the next publish; the failure itself is what matters.
    await rm(fresh, { recursive: true, force: true }).catch(() => {})
    throw error
  }
}

/** A folder that only its owner, or a group, may read stays one. */
async function keepMode(target: string, fresh: string): Promise<void> {
  const facts = await stat(target).catch(() => undefined)
  if (facts === undefined) return // not there yet
  // Before the mode, since giving a folder away takes its setgid bit. Not every user may give it to that group.
  const given = await chown(fresh, (await stat(fresh)).uid, facts.gid).then(
    () => true,
    () => false,
  )
  // Its owner has to write into it until it is whole; what a group may do is another group's otherwise.
  await chmod(fresh, (facts.mode & (given ? 0o7777 : 0o7707)) | 0o700)
}

/** The new folder takes the target's name; an old output steps aside first, and is put back if that fails. */
async function swap(fresh: string, target: string): Promise<void> {
  const found = await inspectOutputFolder(target)
  const old = found.state === 'ours' ? siblingName(target, 'old') : undefined
  if (old !== undefined) await rename(target, old)
  let swapped = false
  try {
    await rename(fresh, target) // over nothing, or an empty folder
    swapped = true
    await syncFolder(dirname(target))
  } catch (error) {
    if (swapped) await rename(target, fresh)
    if (old !== undefined) await rename(old, target)
    throw error
  }
  if (old !== undefined) await rm(old, { recursive: true, force: true }).catch(() => {})
}

/** Whether the folder holds this very output: manifest equal, nothing more, and every file untouched since it was written (or equal on reading). */
async function isCurrent(
  target: string,
  names: readonly string[],
  output: Output,
  { recheck, signal }: PublishOptions,
): Promise<boolean> {
  const text = await readFile(join(target, manifestName), 'utf8').catch(() => undefined)
  if (text !== output.manifest) return false
  const provenance = await readProvenanceFile(target)
  if (provenance === undefined || names.length !== output.files.length + 2) return false
  const now = await fingerprints(target, output.files).catch(() => ({}) as Record<string, string>)
  for (const file of output.files) {
    signal.throwIfAborted()
    const { [file.path]: is } = now
    if (recheck !== true && is !== undefined && is === provenance.published[file.path]) continue
    const digest = await fileDigest(join(target, file.path)).catch(() => undefined)
    if (digest?.sha256 !== file.sha256) return false
  }
  return true
}

/** Size, inode and times of each file: whatever writes to a file changes its ctime. */
async function fingerprints(dir: string, files: readonly OutputFile[]): Promise<Record<string, string>> {
  const facts: Record<string, string> = {}
  for (const { path } of files) {
    const { size, ino, mtimeNs, ctimeNs } = await stat(join(dir, path), { bigint: true })
    facts[path] = [size, ino, mtimeNs, ctimeNs].join(' ')
  }
  return facts
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } catch (error) {
    // Not every file system can sync a folder.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
  } finally {
    await folder.close()
  }
}

function outputError(error: unknown, dir: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof ShardmillError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ShardmillError('OUTPUT', `${dir}: the disk is full`, {
      hint: 'Free some space, or name a folder on another disk with --out. Nothing was published; the finished work is kept.',
      retryable: true,
      cause: error,
    })
  }
  if (code === 'EBUSY' || code === 'EXDEV') {
    return new ShardmillError(
      'OUTPUT',
      `${dir} cannot be replaced as a whole (${code}); it may be a mount point`,
      {
        hint: 'Name a folder inside it with --out.',
        cause: error,
      },
    )
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new ShardmillError('OUTPUT', `${dir} cannot be written (${code})`, {
      hint: 'Name a folder you may write to with --out.',
      cause: error,
    })
  }
  return new ShardmillError('OUTPUT', `${dir} cannot be written: ${(error as Error).message}`, {
    hint: 'Look at the disk or mount that holds it. Nothing was published; the finished work is kept.',
    cause: error,
  })
}
