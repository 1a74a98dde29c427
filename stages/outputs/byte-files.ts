/** Files and blobs as output formats read them. */
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { Digest, Store } from '../../store/types.ts'
import { BlobCursor } from '../blob-cursor.ts'
import { type ByteFile, verifyError } from './define-output.ts'

/** A run of memory that is used again. */
class Run {
  private bytes = new Uint8Array(0)

  of(length: number): Uint8Array<ArrayBuffer> {
    if (this.bytes.length < length) this.bytes = new Uint8Array(length)
    return this.bytes.subarray(0, length)
  }
}

/** An open file. Throws VERIFY errors when it is shorter than it was. */
export class DiskFile implements ByteFile {
  readonly name: string
  readonly size: number
  private readonly file: FileHandle
  private readonly path: string
  private readonly run = new Run()

  private constructor(file: FileHandle, path: string, name: string, size: number) {
    this.file = file
    this.path = path
    this.name = name
    this.size = size
  }

  /** `name`: for errors. Throws what the file system says. */
  static async open(path: string, name: string): Promise<DiskFile> {
    const file = await open(path, 'r')
    try {
      return new DiskFile(file, path, name, (await file.stat()).size)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async localPath(): Promise<string> {
    return this.path
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.run.of(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.file.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) throw verifyError(this.name, 'ends early')
      done += bytesRead
    }
    return bytes
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

/**
 * A blob of the store: what is read from front to back is checked against the digest on the way, anything else comes
 * from the store's local file; `end` reads what is left, so that all of it was checked.
 */
export class BlobFile implements ByteFile {
  readonly name: string
  readonly size: number
  private readonly store: Store
  private readonly digest: Digest
  private readonly cursor: BlobCursor
  private at = 0
  private local: DiskFile | undefined

  constructor(store: Store, digest: Digest, name: string, size: number) {
    this.store = store
    this.digest = digest
    this.name = name
    this.size = size
    this.cursor = new BlobCursor(store.readBlob(digest, { reuse: true }), digest)
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset === this.at) {
      this.at += length
      return this.cursor.take(length)
    }
    this.local ??= await DiskFile.open(await this.localPath(), this.name)
    return this.local.read(offset, length)
  }

  localPath(): Promise<string> {
    return this.store.localFile(this.digest, this.size)
  }

  /** @throws CORRUPT_BLOB when the bytes are not those of the digest */
  async end(): Promise<void> {
    await this.cursor.drain()
  }

  async close(): Promise<void> {
    await this.cursor.close()
    await this.local?.close()
  }
}
