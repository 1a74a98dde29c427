/** A file of the output while it is written. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** What O_DIRECT wants lengths, places and addresses to be multiples of; where that does not do, EINVAL tells. */
const blockBytes = 4096
const pieceBytes = 1 << 20

/** Memory that begins at a multiple of a block, which only WebAssembly promises; one for each file being written. */
const spare: Uint8Array[] = []

/**
 * A file that was not there before. What is written once and waited for need not go through the page cache: with
 * `direct`, whole blocks are written past it where the file system can (O_DIRECT, Linux), for a tenth of the time in
 * the kernel. Nothing is durable before `sync`.
 */
export class NewFile {
  readonly #file: FileHandle
  /** The same file, open for whole blocks. */
  #blocks: FileHandle | undefined
  #piece: Uint8Array | undefined
  #filled = 0
  #position = 0

  private constructor(file: FileHandle, blocks: FileHandle | undefined) {
    this.#file = file
    this.#blocks = blocks
    if (blocks !== undefined)
      this.#piece =
        spare.pop() ?? new Uint8Array(new WebAssembly.Memory({ initial: pieceBytes >> 16 }).buffer)
  }

  /** @throws what `open` does: EEXIST, ENOSPC, … */
  static async create(path: string, direct: boolean): Promise<NewFile> {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644)
    // In two steps: some kernels create the file, and then say that it cannot be opened like that.
    return new NewFile(file, direct ? await openForBlocks(path) : undefined)
  }

  /** The chunk is used up once the promise resolves. */
  async write(chunk: Uint8Array): Promise<void> {
    const piece = this.#piece
    if (piece === undefined) return this.#put(this.#file, chunk)
    for (let done = 0; done < chunk.length; ) {
      const part = chunk.subarray(done, done + piece.length - this.#filled)
      piece.set(part, this.#filled)
      this.#filled += part.length
      done += part.length
      if (this.#filled === piece.length) await this.#flush(piece)
    }
  }

  /** Writes what is left and waits for the disk. */
  async sync(): Promise<void> {
    if (this.#piece !== undefined) await this.#flush(this.#piece)
    await this.#file.sync()
  }

  async close(): Promise<void> {
    if (this.#piece !== undefined) spare.push(this.#piece)
    this.#piece = undefined
    try {
      await this.#blocks?.close()
    } finally {
      await this.#file.close()
    }
  }

  async #flush(piece: Uint8Array): Promise<void> {
    const bytes = piece.subarray(0, this.#filled)
    this.#filled = 0
    const whole = bytes.length - (bytes.length % blockBytes)
    let done = 0
    if (this.#blocks !== undefined && whole > 0) {
      try {
        const { bytesWritten } = await this.#blocks.write(bytes, 0, whole, this.#position)
        done = bytesWritten
        this.#position += bytesWritten
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
        await this.#blocks.close()
        this.#blocks = undefined
      }
    }
    // The end, what the disk had no room for (it says so now), or all of it where blocks are refused.
    await this.#put(this.#file, bytes.subarray(done))
  }

  async #put(file: FileHandle, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, this.#position)
      done += bytesWritten
      this.#position += bytesWritten
    }
  }
}

async function openForBlocks(path: string): Promise<FileHandle | undefined> {
  const { O_DIRECT } = constants as { readonly O_DIRECT?: number }
  if (O_DIRECT === undefined) return undefined
  try {
    return await open(path, constants.O_WRONLY | O_DIRECT)
  } catch {
    return undefined // a file system in memory, say
  }
}
