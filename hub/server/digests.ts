/**
 * The git and LFS digests of files, computed once per version of a file.
 *
 * A file counts as large (LFS: sha256, and a small pointer file in git) when it is 1 MiB or more or has the
 * extension of a binary format; name and size alone decide. All others have the oid of a git blob.
 */
import { createHash, type Hash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { constants, type FileHandle, open } from 'node:fs/promises'

/** Which version of a file: any write, replacement or rename onto it changes one of these. */
export interface Stamp {
  readonly size: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly ino: bigint
  readonly dev: bigint
}

export interface Digest {
  /** The oid of the git blob: of the content, or of the pointer file for a large file. */
  readonly oid: string
  /** Large files only: the content's sha256, and the length of the pointer file. */
  readonly lfs?: { readonly sha256: string; readonly pointerSize: number }
}

/** Thrown when a file is no longer the version that was asked for. */
export class FileChanged extends Error {
  override readonly name = 'FileChanged'
}

const BINARY =
  /\.(7z|arrow|avi|bin|bz2|ckpt|flac|ftz|geoparquet|gif|gz|h5|hdf5|jpe?g|joblib|lance|lz4|mds|mkv|mov|mp3|mp4|msgpack|npy|npz|ogg|onnx|opus|orc|parquet|pb|pickle|pkl|png|pt|pth|rar|safetensors|sqlite|tar|tgz|tiff?|wasm|wav|webm|webp|xz|zip|zst)$/i
const LARGE = 1 << 20

export function isLarge(name: string, size: number): boolean {
  return size >= LARGE || BINARY.test(name)
}

export function toStamp(stat: BigIntStats): Stamp {
  return {
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    ino: stat.ino,
    dev: stat.dev,
  }
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return (
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.ino === b.ino &&
    a.dev === b.dev
  )
}

/**
 * Opens the file that has `stamp`, and no other: not one that took its name since, and not through a link.
 * @throws FileChanged
 */
export async function openVersion(path: string, stamp: Stamp): Promise<FileHandle> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR')
      throw new FileChanged(path, { cause: error })
    throw error
  }
  try {
    if (await isVersion(handle, stamp)) return handle
    throw new FileChanged(path)
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The whole content of that version. @throws FileChanged */
export async function readVersion(path: string, stamp: Stamp): Promise<Buffer> {
  const handle = await openVersion(path, stamp)
  try {
    const content = await handle.readFile()
    if (content.length !== stamp.size || !(await isVersion(handle, stamp))) throw new FileChanged(path)
    return content
  } finally {
    await handle.close()
  }
}

/** True while the open file is still that version. */
export async function isVersion(handle: FileHandle, stamp: Stamp): Promise<boolean> {
  return sameStamp(toStamp(await handle.stat({ bigint: true })), stamp)
}

interface Known {
  readonly stamp: Stamp
  readonly digest: Digest
  /** Hashed so soon after its last change that another change could hide in the same tick of the file clock. */
  readonly young: boolean
}

const PARALLEL = 2
const CHUNK = 1 << 20

export class Digests {
  readonly #known = new Map<string, Known>()
  readonly #running = new Map<string, Promise<Digest>>()
  readonly #waiting: (() => void)[] = []
  #free = PARALLEL

  constructor(readonly signal: AbortSignal) {}

  /** The digest of a version of the file at `real`, which the dataset calls `name`, if it is known already. */
  known(name: string, real: string, stamp: Stamp): Digest | undefined {
    const known = this.#known.get(fileKey(name, real, stamp))
    return known && !known.young && sameStamp(known.stamp, stamp) ? known.digest : undefined
  }

  /** The same, computed if need be. @throws FileChanged when that version is gone */
  async of(name: string, real: string, stamp: Stamp): Promise<Digest> {
    const known = this.known(name, real, stamp)
    if (known !== undefined) return known
    const large = isLarge(name, stamp.size)
    const file = fileKey(name, real, stamp)
    const version = `${file}\n${stamp.size} ${stamp.mtimeNs} ${stamp.ctimeNs} ${stamp.ino}`
    let running = this.#running.get(version)
    if (running === undefined) {
      running = this.#compute(file, real, stamp, large).finally(() => this.#running.delete(version))
      this.#running.set(version, running)
    }
    return running
  }

  async #compute(file: string, real: string, stamp: Stamp, large: boolean): Promise<Digest> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      const digest = await this.#hashFile(real, stamp, large)
      this.#known.set(file, { stamp, digest, young: isYoung(stamp) })
      return digest
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  async #hashFile(path: string, stamp: Stamp, large: boolean): Promise<Digest> {
    const handle = await openVersion(path, stamp)
    try {
      const hash = large ? createHash('sha256') : blobHash(stamp.size)
      const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK, stamp.size)))
      for (let at = 0; at < stamp.size; ) {
        this.signal.throwIfAborted()
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, stamp.size - at), at)
        if (bytesRead === 0) throw new FileChanged(path)
        hash.update(buffer.subarray(0, bytesRead))
        at += bytesRead
      }
      if (!(await isVersion(handle, stamp))) throw new FileChanged(path)
      const hex = hash.digest('hex')
      if (!large) return { oid: hex }
      const pointer = pointerFile(hex, stamp.size)
      return { oid: blobOid(pointer), lfs: { sha256: hex, pointerSize: pointer.length } }
    } finally {
      await handle.close()
    }
  }
}

/** A file linked under two names may count as large by one of them only. */
function fileKey(name: string, real: string, stamp: Stamp): string {
  return `${isLarge(name, stamp.size) ? 'lfs' : 'git'} ${real}`
}

/** What git holds in place of a large file. */
export function pointerFile(sha256: string, size: number): Buffer {
  return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`)
}

export function blobOid(content: Buffer): string {
  return blobHash(content.length).update(content).digest('hex')
}

function blobHash(size: number): Hash {
  return createHash('sha1').update(`blob ${size}\0`)
}

function isYoung(stamp: Stamp): boolean {
  // Whole seconds: a file system with a coarse clock, or a time that was set by hand.
  const tick = stamp.mtimeNs % 1_000_000_000n === 0n ? 2_000 : 20
  const changed = Math.max(Number(stamp.mtimeNs / 1_000_000n), Number(stamp.ctimeNs / 1_000_000n))
  return Math.abs(Date.now() - changed) <= tick
}
