import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskFile } from '../stages/outputs/byte-files.ts'
import { type ByteFile, verifyError } from '../stages/outputs/define-output.ts'
import type { ManifestFile } from './manifest.ts'

const readBytes = 1 << 20

/** A file that is hashed as far as it is read from front to back. */
export class CheckedFile implements ByteFile {
  readonly name: string
  readonly size: number
  private readonly file: DiskFile
  private readonly report: (bytes: number) => void
  private readonly hash = createHash('sha256')
  private hashed = 0

  private constructor(file: DiskFile, report: (bytes: number) => void) {
    this.name = file.name
    this.size = file.size
    this.file = file
    this.report = report
  }

  /** Throws VERIFY errors when it is not there or not as long as the manifest says. `report` hears of bytes hashed. */
  static async open(
    dir: string,
    { path, bytes }: ManifestFile,
    report: (bytes: number) => void = () => {},
  ): Promise<CheckedFile> {
    let size: number
    try {
      size = (await stat(join(dir, path))).size
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw verifyError(path, code === 'ENOENT' ? 'is missing' : `cannot be read (${code})`)
    }
    if (size !== bytes) throw verifyError(path, `is ${size} bytes long, the manifest says ${bytes}`)
    return new CheckedFile(await DiskFile.open(join(dir, path), path), report)
  }

  localPath(): Promise<string> {
    return this.file.localPath()
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.file.read(offset, length)
    if (offset === this.hashed) this.add(bytes)
    return bytes
  }

  /** The next bytes from the front, at most `length`. */
  take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.read(this.hashed, Math.min(length, this.size - this.hashed))
  }

  /** sha256 of all of it, which reads what has not been read in order. */
  async digest(): Promise<string> {
    while (this.hashed < this.size) await this.take(readBytes)
    return this.hash.digest('hex')
  }

  private add(bytes: Uint8Array): void {
    this.hash.update(bytes)
    this.hashed += bytes.length
    this.report(bytes.length)
  }

  close(): Promise<void> {
    return this.file.close()
  }
}
