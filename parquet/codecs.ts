import { brotliDecompressSync, unzipSync } from 'node:zlib'
import { Damage } from './damage.ts'
import { decompressLz4Block, decompressLz4Hadoop } from './lz4.ts'
import { loadZstd } from './zstd.ts'

/**
 * Gives back exactly `size` bytes, or throws `Damage`: in memory that `take` gave, in new memory, or the input itself.
 */
export type Decompress = (input: Uint8Array, size: number, take: (bytes: number) => Uint8Array) => Uint8Array

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
  1: async () => (await import('./snappy.ts')).loadSnappy(),
  2: async () => zlibCodec('gzip', unzipSync),
  4: async () => zlibCodec('brotli', brotliDecompressSync),
  5: async () => decompressLz4Hadoop,
  6: loadZstd,
  7: async () => decompressLz4Block,
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
