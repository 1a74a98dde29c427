import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import type { ManifestFile } from './manifest.ts'

/** A file read once from front to back, hashed on the way. */
export class CheckedFile {
  readonly size: number
  private readonly file: Awaited<ReturnType<typeof open>>
  private readonly hash = createHash('sha256')

  private constructor(file: Awaited<ReturnType<typeof open>>, size: number) {
    this.file = file
    this.size = size
  }

  static async open(dir: string, { path, bytes }: ManifestFile): Promise<CheckedFile> {
    let size: number
    try {
      size = (await stat(join(dir, path))).size
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ShardmillError('VERIFY', code === 'ENOENT' ? 'is missing' : `cannot be read (${code})`, {
        at: { file: path },
      })
    }
    if (size !== bytes)
      throw new ShardmillError('VERIFY', `is ${size} bytes long, the manifest says ${bytes}`, {
        at: { file: path },
      })
    return new CheckedFile(await open(join(dir, path), 'r'), size)
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(length, this.size))
    let done = 0
    while (done < bytes.length) {
      const { bytesRead } = await this.file.read(bytes, done, bytes.length - done, null)
      if (bytesRead === 0) break
      done += bytesRead
    }
    this.hash.update(bytes.subarray(0, done))
    return bytes.subarray(0, done)
  }

  digest(): string {
    return this.hash.digest('hex')
  }

  close(): Promise<void> {
    return this.file.close()
  }
}
