import { Damage } from './damage.ts'

/** One LZ4 block (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md) of exactly `size` bytes. */
export function decompressLz4Block(input: Uint8Array, size: number): Uint8Array {
  // A byte of input stands for at most 255 of output.
  if (size > input.length * 255) throw new Damage(`${input.length} bytes of LZ4 cannot hold ${size}`)
  const output = new Uint8Array(size)
  if (decodeBlock(input, output) !== size) throw new Damage('its LZ4 data are cut off')
  return output
}

/**
 * Parquet's first LZ4 codec, which was never specified: Hadoop's framing (pairs of big-endian sizes, uncompressed
 * and compressed, each before a block) or, where the data are not that, a bare block. As Arrow reads it.
 */
export function decompressLz4Hadoop(input: Uint8Array, size: number): Uint8Array {
  return decompressFrames(input, size) ?? decompressLz4Block(input, size)
}

function decompressFrames(input: Uint8Array, size: number): Uint8Array | undefined {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const parts: Uint8Array[] = []
  let total = 0
  for (let position = 0; position < input.length; ) {
    if (position + 8 > input.length) return undefined
    const expected = view.getUint32(position)
    const stored = view.getUint32(position + 4)
    position += 8
    if (stored > input.length - position || expected > size - total) return undefined
    try {
      parts.push(decompressLz4Block(input.subarray(position, position + stored), expected))
    } catch {
      return undefined
    }
    total += expected
    position += stored
  }
  if (total !== size) return undefined
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

function decodeBlock(input: Uint8Array, output: Uint8Array): number {
  const end = input.length
  let from = 0
  let to = 0
  const long = (length: number): number => {
    for (;;) {
      if (from >= end) throw new Damage('its LZ4 data are cut off')
      const byte = input[from++]!
      length += byte
      if (byte !== 255) return length
    }
  }
  while (from < end) {
    const token = input[from++]!
    const literals = token >> 4 === 15 ? long(15) : token >> 4
    if (literals > end - from || literals > output.length - to) throw new Damage('its LZ4 data are damaged')
    if (literals > 32) output.set(input.subarray(from, from + literals), to)
    else for (let i = 0; i < literals; i++) output[to + i] = input[from + i]!
    from += literals
    to += literals
    // The last sequence is literals only.
    if (from === end) break
    if (from + 2 > end) throw new Damage('its LZ4 data are cut off')
    const distance = input[from]! | (input[from + 1]! << 8)
    from += 2
    const match = ((token & 15) === 15 ? long(15) : token & 15) + 4
    if (distance === 0 || distance > to || match > output.length - to)
      throw new Damage('its LZ4 data are damaged')
    // Where they overlap, the copy repeats what it has just written.
    if (distance >= match && match > 32) output.copyWithin(to, to - distance, to - distance + match)
    else for (let i = 0; i < match; i++) output[to + i] = output[to + i - distance]!
    to += match
  }
  return to
}
