/**
 * Memory that is used again, one pool a thread. V8 counts the bytes of buffers and collects the whole heap after every
 * 64 MB of them, however short they lived, and the kernel clears each fresh page: a build that reads and writes
 * gigabytes through new buffers spends a tenth of its time there.
 */

/** Smaller buffers are not worth keeping. */
const leastBytes = 1 << 16
/** What a pool keeps at most; what is given back beyond it is left to the collector. */
const mostKept = 64 << 20

/** Buffers by the binary logarithm of their size. */
const kept: ArrayBuffer[][] = []
let keptBytes = 0

/** Tests set this: memory that is read after it was given back then holds no plausible data. */
const poison = process.env['SHARDMILL_POISON_SCRATCH'] === '1'

/** At least `bytes` of memory, with anything in it; `giveBack` it once nobody looks at it any more. */
export function takeScratch(bytes: number): ArrayBuffer {
  const size = Math.max(leastBytes, bytes)
  const level = 32 - Math.clz32(size - 1)
  const known = size > 2 ** 31 ? undefined : kept[level]?.pop()
  if (known === undefined) return new ArrayBuffer(size > 2 ** 31 ? size : 2 ** level)
  keptBytes -= known.byteLength
  return known
}

/** Gives memory of `takeScratch` back, once only. */
export function giveBack(buffer: ArrayBuffer): void {
  const { byteLength } = buffer
  if (poison) new Uint8Array(buffer).fill(0xdb)
  if (byteLength < leastBytes || keptBytes + byteLength > mostKept || (byteLength & (byteLength - 1)) !== 0)
    return
  const level = 31 - Math.clz32(byteLength)
  kept[level] ??= []
  kept[level].push(buffer)
  keptBytes += byteLength
}

/** Bytes that can grow, in memory that is used again. */
export class ScratchBytes {
  /** At least as long as `reserve` was asked for. */
  bytes: Uint8Array<ArrayBuffer>

  constructor(length = 0) {
    this.bytes = length === 0 ? new Uint8Array(0) : new Uint8Array(takeScratch(length))
  }

  /** Makes room for `length` bytes and keeps the first `used`. */
  reserve(length: number, used: number): Uint8Array<ArrayBuffer> {
    const { bytes } = this
    if (length <= bytes.length) return bytes
    const next = new Uint8Array(takeScratch(length))
    next.set(bytes.subarray(0, used))
    if (bytes.length > 0) giveBack(bytes.buffer)
    this.bytes = next
    return next
  }

  /** Gives the memory back; `bytes` is empty from then on. */
  free(): void {
    const { buffer } = this.bytes
    this.bytes = new Uint8Array(0)
    if (buffer.byteLength > 0) giveBack(buffer)
  }
}
