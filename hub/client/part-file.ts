/**
 * A file on its way: what has arrived of it, its running digests, and a note beside it (`….json`) of what it will be,
 * so that another process can go on. Written at explicit places, in blocks; never truncated but replaced, so that a
 * writer believed dead cannot cut what its successor writes.
 */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { throwIfAborted } from './retry.ts'

const BLOCK = 1 << 20

export interface PartWanted {
  /** Names the content: a digest, or repo, commit and path. A part of other content is thrown away. */
  readonly content: string
  /** Length of the whole file. */
  readonly bytes: number
  /** Also compute git's blob id. */
  readonly gitOid: boolean
}

const Note = z.object({
  schema: z.literal(1),
  content: z.string(),
  bytes: z.int(),
  etag: z.string().optional(),
})

export class PartFile {
  readonly path: string
  private readonly wanted: PartWanted
  private file: FileHandle | undefined
  private block = Buffer.alloc(0)
  private filled = 0
  private written = 0
  private sha256!: Hash
  private sha1: Hash | undefined
  /** ETag of the answer the bytes came from. */
  etag: string | undefined

  private constructor(path: string, wanted: PartWanted) {
    this.path = path
    this.wanted = wanted
    this.startDigests()
  }

  /** Opens what is there of `path` if its note promises the same content, reading it once for the digests; else anew. */
  static async open(path: string, wanted: PartWanted, signal?: AbortSignal): Promise<PartFile> {
    const part = new PartFile(path, wanted)
    try {
      if (!(await part.goOn(signal))) await part.restart()
      return part
    } catch (error) {
      await part.close()
      throw error
    }
  }

  /** Bytes that have arrived, from the start of the file. */
  get bytes(): number {
    return this.written + this.filled
  }

  get complete(): boolean {
    return this.bytes === this.wanted.bytes
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.sha256.update(chunk)
    this.sha1?.update(chunk)
    if (this.block.length === 0) this.block = Buffer.allocUnsafe(Math.min(BLOCK, this.wanted.bytes))
    for (let from = 0; from < chunk.length; ) {
      const taken = Math.min(chunk.length - from, this.block.length - this.filled)
      this.block.set(chunk.subarray(from, from + taken), this.filled)
      this.filled += taken
      from += taken
      if (this.filled === this.block.length) await this.flush()
    }
  }

  async flush(): Promise<void> {
    let done = 0
    await this.storing(async () => {
      while (done < this.filled) {
        const { bytesWritten } = await this.file!.write(
          this.block,
          done,
          this.filled - done,
          this.written + done,
        )
        if (bytesWritten === 0) throw new Error('nothing was written')
        done += bytesWritten
      }
    })
    this.written += done
    this.filled = 0
  }

  /** Notes what the part is, before bytes that come with this ETag are added. */
  async remember(etag: string | undefined): Promise<void> {
    this.etag = etag
    const { content, bytes } = this.wanted
    const note = { schema: 1, content, bytes, ...(etag === undefined ? {} : { etag }) }
    await this.storing(async () => {
      const next = `${this.notePath}.next` // only the holder of the slot writes it
      await replaceFile(next, JSON.stringify(note))
      await rename(next, this.notePath)
    })
  }

  /** Throws away what has arrived. */
  async restart(): Promise<void> {
    await this.close()
    await this.storing(async () => {
      await rm(this.path, { force: true })
      this.file = await open(this.path, 'wx+')
    })
    this.written = 0
    this.filled = 0
    this.etag = undefined
    this.startDigests()
  }

  /** Digests of a complete part. Call once; the part can then only be restarted or closed. */
  digests(): { sha256: string; gitOid: string | undefined } {
    return { sha256: this.sha256.digest('hex'), gitOid: this.sha1?.digest('hex') }
  }

  /** Makes the bytes durable. The folder's entry is made so by whoever moves the file to its place. */
  async sync(): Promise<void> {
    await this.flush()
    await this.storing(() => this.file!.sync())
  }

  /** Safe at any time, twice, and after a failure. */
  async close(): Promise<void> {
    const file = this.file
    this.file = undefined
    await file?.close().catch(() => {})
  }

  /** Closes and leaves nothing behind (what was moved away stays where it is). */
  async remove(): Promise<void> {
    await this.close()
    await this.storing(async () => {
      await rm(this.notePath, { force: true })
      await rm(this.path, { force: true })
    })
  }

  private get notePath(): string {
    return `${this.path}.json`
  }

  private async goOn(signal: AbortSignal | undefined): Promise<boolean> {
    const note = await readNote(this.notePath)
    if (note?.content !== this.wanted.content || note.bytes !== this.wanted.bytes) return false
    this.file = await open(this.path, 'r+').catch(() => undefined)
    if (this.file === undefined) return false
    const file = this.file
    return this.storing(async () => {
      const { size } = await file.stat()
      if (size > this.wanted.bytes) return false
      const block = Buffer.allocUnsafe(BLOCK)
      while (this.written < size) {
        throwIfAborted(signal)
        const { bytesRead } = await file.read(block, 0, Math.min(BLOCK, size - this.written), this.written)
        if (bytesRead === 0) return false
        this.sha256.update(block.subarray(0, bytesRead))
        this.sha1?.update(block.subarray(0, bytesRead))
        this.written += bytesRead
      }
      this.etag = note.etag
      return true
    })
  }

  private startDigests(): void {
    this.sha256 = createHash('sha256')
    this.sha1 = this.wanted.gitOid ? createHash('sha1').update(`blob ${this.wanted.bytes}\0`) : undefined
  }

  private storing<T>(work: () => Promise<T>): Promise<T> {
    return storing(dirname(this.path), work)
  }
}

/** Runs file system work; what fails there becomes `STORE`, naming the folder. Retryable: space can be made. */
export async function storing<T>(folder: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (isShardmillError(error)) throw error
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'EINTR') continue
      const why = code === undefined ? message : (REASONS[code] ?? 'the file system refuses')
      throw new ShardmillError(
        'STORE',
        `cannot write to ${folder}: ${why}${code === undefined ? '' : ` (${code})`}`,
        {
          retryable: true,
          hint: HINTS[code ?? ''] ?? 'Check the folder, or name another store (--store or SHARDMILL_STORE).',
          ...(code === undefined ? {} : { details: { errno: code } }),
          cause: error,
        },
      )
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
  EFBIG: 'the file would be larger than allowed',
  EIO: 'the disk reports an error',
  ENOTDIR: 'a part of the path is a file, not a folder',
  ENOENT: 'there is no such folder',
}

const ROOM = 'Make room, then run the same command again: what has arrived is kept.'
const HINTS: Readonly<Record<string, string>> = { ENOSPC: ROOM, EDQUOT: ROOM }

/** A note that is absent, damaged or from another version counts as none. */
async function readNote(path: string): Promise<z.infer<typeof Note> | undefined> {
  try {
    return Note.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(text)
  } finally {
    await file.close()
  }
}
