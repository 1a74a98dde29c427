import { ShardmillError } from '../errors/index.ts'
import { ScratchBytes } from '../memory/buffers.ts'
import type { Digest } from '../store/types.ts'

/** Takes exact runs of bytes from a stream of chunks. A run starts 8-byte aligned; it is good until the next one. */
export class BlobCursor {
  private readonly source: AsyncIterator<Uint8Array>
  private readonly digest: Digest
  private chunk: Uint8Array = new Uint8Array(0)
  private at = 0
  private readonly run = new ScratchBytes()

  constructor(source: AsyncIterable<Uint8Array>, digest: Digest) {
    this.source = source[Symbol.asyncIterator]()
    this.digest = digest
  }

  /** The next `length` bytes. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.run.reserve(length, 0).subarray(0, length)
    let filled = 0
    while (filled < length) {
      if (this.at === this.chunk.length) {
        const next = await this.source.next()
        if (next.done === true) {
          throw new ShardmillError(
            'CORRUPT_BLOB',
            `blob ${this.digest} ends ${length - filled} bytes early`,
            { details: { digest: this.digest } },
          )
        }
        this.chunk = next.value
        this.at = 0
      }
      const n = Math.min(length - filled, this.chunk.length - this.at)
      bytes.set(this.chunk.subarray(this.at, this.at + n), filled)
      this.at += n
      filled += n
    }
    return bytes
  }

  /** Lets go of the stream and of the run that was taken last. */
  async close(): Promise<void> {
    this.run.free()
    await this.source.return?.()
  }

  /** Expects the end: reads on, so that the digest of the whole is checked. */
  async end(): Promise<void> {
    const rest = await this.drain()
    if (rest > 0) {
      throw new ShardmillError('CORRUPT_BLOB', `blob ${this.digest} has ${rest} bytes too many`, {
        details: { digest: this.digest },
      })
    }
  }

  /** Reads on to the end, so that the digest of the whole is checked; returns how many bytes that was. */
  async drain(): Promise<number> {
    let rest = this.chunk.length - this.at
    this.at = this.chunk.length
    for (;;) {
      const next = await this.source.next()
      if (next.done === true) return rest
      rest += next.value.length
    }
  }
}
