import { brotliDecompressSync, unzipSync } from 'node:zlib'
import { Damage } from './damage.ts'
import { decompressLz4Block, decompressLz4Hadoop } from './lz4.ts'
import { loadZstd } from './zstd.ts'

/** Gives back exactly `size` bytes, or throws `Damage`. */
export type Decompress = (input: Uint8Array, size: number) => Uint8Array

const names = ['uncompressed', 'snappy', 'gzip', 'lzo', 'brotli', 'lz4', 'zstd', 'lz4_raw']

export function codecName(codec: number): string {
  return names[codec] ?? `number ${codec}`
}

const loaded = new Map<number, Promise<Decompress>>()

/** The decompressor of a parquet codec number; loaded when first asked for. Undefined for LZO and unknown ones. */
export function loadCodec(codec: number): Promise<Decompress> | undefined {
  const load = loaders[codec]
  if (load === undefined) return undefined
  let promise = loaded.get(codec)
  if (promise === undefined) {
    promise = load()
    loaded.set(codec, promise)
  }
  return promise
}

const loaders: Readonly<Record<number, () => Promise<Decompress>>> = {
  0: async () => (input, size) => exactly(input, size),
  1: loadSnappy,
  2: async () => zlibCodec('gzip', unzipSync),
  4: async () => zlibCodec('brotli', brotliDecompressSync),
  5: async () => decompressLz4Hadoop,
  6: loadZstd,
  7: async () => decompressLz4Block,
}

/** Past this many bytes a decompressor in WebAssembly is thrown away after use: its memory never shrinks. */
const largePage = 32 * 1024 * 1024

async function loadSnappy(): Promise<Decompress> {
  const { snappyUncompressor } = await import('hysnappy')
  let uncompress = snappyUncompressor()
  return (input, size) => {
    // hysnappy trusts the length in the data; a copy of at most 64 bytes takes at least 2.
    const stated = snappyLength(input)
    if (stated !== size) throw new Damage(`a snappy page holds ${stated} bytes, its header says ${size}`)
    if (size > input.length * 64) throw new Damage(`${input.length} bytes of snappy cannot hold ${size}`)
    try {
      const output = uncompress(input, size)
      if (size > largePage) uncompress = snappyUncompressor()
      return exactly(output, size)
    } catch (error) {
      // A trap leaves the instance's stack where it was.
      uncompress = snappyUncompressor()
      throw error instanceof Damage ? error : new Damage(`its snappy data are damaged (${message(error)})`)
    }
  }
}

function snappyLength(input: Uint8Array): number {
  let value = 0
  for (let i = 0; i < 5 && i < input.length; i++) {
    value += (input[i]! & 127) * 2 ** (7 * i)
    if (input[i]! < 128) return value
  }
  throw new Damage('its snappy data have no length')
}

function zlibCodec(
  name: string,
  run: (input: Uint8Array, options: { maxOutputLength: number }) => Buffer,
): Decompress {
  return (input, size) => {
    let output: Buffer
    try {
      output = run(input, { maxOutputLength: Math.max(size, 1) })
    } catch (error) {
      throw new Damage(`its ${name} data are damaged (${message(error)})`)
    }
    return exactly(new Uint8Array(output.buffer, output.byteOffset, output.length), size)
  }
}

function exactly(output: Uint8Array, size: number): Uint8Array {
  if (output.length !== size) {
    throw new Damage(`a page holds ${output.length} bytes, its header says ${size}`)
  }
  return output
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
