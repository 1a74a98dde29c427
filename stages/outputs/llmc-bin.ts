/**
 * llm.c's token files, as its data writers make them and nanochat-style trainers read them: 256 int32 LE
 * {magic, version, tokens, 0…}, then the tokens. A mask file has the same head and one 0 or 1 a token.
 *
 *   uint16: magic 20240520, version 1     uint32: magic 20240801, version 7
 */
import { ShardmillError } from '../../errors/index.ts'

export type Dtype = 'uint16' | 'uint32'

export const headBytes = 1024

const descriptors = {
  uint16: { magic: 20240520, version: 1, width: 2 },
  uint32: { magic: 20240801, version: 7, width: 4 },
} as const

export function tokenWidth(dtype: Dtype): 2 | 4 {
  return descriptors[dtype].width
}

/** `sft_val_000000.bin` and `sft_val_000000_mask.bin`. */
export function shardNames(
  split: string,
  number: number,
): { readonly tokens: string; readonly mask: string } {
  const stem = `sft_${split}_${String(number).padStart(6, '0')}`
  return { tokens: `${stem}.bin`, mask: `${stem}_mask.bin` }
}

/** Whether `shardNames` gives this name to some shard. */
export function isShardName(name: string): boolean {
  return /^sft_[A-Za-z][A-Za-z0-9_-]*_\d{6,}(?:_mask)?\.bin$/.test(name)
}

/** The 1024 bytes before the tokens. `tokens` must be under 2^31: the head's count is an int32. */
export function encodeHead(dtype: Dtype, tokens: number): Uint8Array {
  if (tokens >= 2 ** 31) throw new RangeError(`${tokens} tokens do not fit one shard`)
  const head = new Int32Array(256)
  const { magic, version } = descriptors[dtype]
  head.set([magic, version, tokens])
  return new Uint8Array(head.buffer)
}

/** Reads and checks a head against the file's size. Throws VERIFY errors that name the file. */
export function decodeHead(
  bytes: Uint8Array,
  fileBytes: number,
  file: string,
): { readonly dtype: Dtype; readonly tokens: number } {
  const fail = (why: string): never => {
    throw new ShardmillError('VERIFY', why, { at: { file } })
  }
  if (bytes.length < headBytes) fail(`is ${fileBytes} bytes long, shorter than a head (${headBytes} bytes)`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes)
  const magic = view.getInt32(0, true)
  const version = view.getInt32(4, true)
  const tokens = view.getInt32(8, true)
  const dtype = (['uint16', 'uint32'] as const).find((name) => descriptors[name].magic === magic)
  if (dtype === undefined)
    return fail(`begins with magic number ${magic}, expected 20240520 (uint16) or 20240801 (uint32)`)
  if (version !== descriptors[dtype].version)
    fail(`has version ${version}, expected ${descriptors[dtype].version} for ${dtype}`)
  for (let at = 12; at < headBytes; at += 4)
    if (view.getInt32(at, true) !== 0) fail(`has a non-zero word at byte ${at} of its head`)
  const expected = headBytes + tokens * tokenWidth(dtype)
  if (tokens < 0 || fileBytes !== expected)
    fail(`is ${fileBytes} bytes long, but its head says ${tokens} tokens (${expected} bytes)`)
  return { dtype, tokens }
}

/** The values of a run of a shard's body. `bytes` must start at a multiple of the width within its buffer. */
export function valuesOf(bytes: Uint8Array, dtype: Dtype): Uint16Array | Uint32Array {
  return dtype === 'uint16'
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1)
    : new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
}

/** Checks ids and mask values of a run; returns how many tokens are trained on. `at` is the run's first token. */
export function checkValues(
  tokens: Uint16Array | Uint32Array,
  mask: Uint16Array | Uint32Array,
  vocabularySize: number,
  at: number,
  names: { tokens: string; mask: string },
): number {
  let trained = 0
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i]! >= vocabularySize) {
      throw new ShardmillError(
        'VERIFY',
        `token ${at + i} is id ${tokens[i]}, but the vocabulary has ${vocabularySize} ids`,
        { at: { file: names.tokens } },
      )
    }
    const value = mask[i]!
    if (value > 1)
      throw new ShardmillError('VERIFY', `mask value ${at + i} is ${value}, expected 0 or 1`, {
        at: { file: names.mask },
      })
    trained += value
  }
  return trained
}
