/**
 * llm.c's token files, as its data writers make them and nanochat-style trainers read them: 256 int32 LE
 * {magic, version, tokens, 0…}, then the tokens. A mask file has the same head and one 0 or 1 a token.
 *
 *   uint16: magic 20240520, version 1     uint32: magic 20240801, version 7
 */
import { ShardmillError } from '../../errors/index.ts'
import { together } from '../define-stage.ts'
import {
  bytesOf,
  type Dtype,
  defineOutput,
  tokenWidth,
  usualStem,
  verifyError,
  windowTokens,
} from './define-output.ts'

export const headBytes = 1024

const descriptors = {
  uint16: { magic: 20240520, version: 1 },
  uint32: { magic: 20240801, version: 7 },
} as const

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

export const llmcBin = defineOutput({
  name: 'llmc-bin',
  version: 1,
  about: 'llm.c token files and their mask files (.bin, _mask.bin)',
  hasDtype: true,
  fields: {},
  ...usualStem,
  files: [
    { role: 'tokens', suffix: '.bin' },
    { role: 'mask', suffix: '_mask.bin' },
  ],
  async write({ dtype, tokens, windows }, files) {
    const [tokenFile, maskFile] = [files['tokens']!, files['mask']!]
    const head = encodeHead(dtype, tokens)
    await tokenFile.write(head)
    await maskFile.write(head)
    // A window is put together while the last one is on its way to the disk.
    let writing: Promise<unknown> = Promise.resolve()
    for (const window of windows()) {
      const written = together(tokenFile.write(bytesOf(window.tokens)), maskFile.write(bytesOf(window.mask)))
      written.catch(() => undefined) // met when it is waited for
      await writing
      writing = written
    }
    await writing
  },
  async open(files, facts) {
    const [tokenFile, maskFile] = [files['tokens']!, files['mask']!]
    const headOf = async (file: typeof tokenFile) =>
      decodeHead(await file.read(0, Math.min(headBytes, file.size)), file.size, file.name)
    const head = await headOf(tokenFile)
    const maskHead = await headOf(maskFile)
    const { dtype, tokens } = head
    if (dtype !== facts.dtype) throw verifyError(tokenFile.name, `is ${dtype}, expected ${facts.dtype}`)
    if (maskHead.dtype !== dtype)
      throw verifyError(maskFile.name, `is ${maskHead.dtype}, but its token file is ${dtype}`)
    if (maskHead.tokens !== tokens)
      throw verifyError(maskFile.name, `has ${maskHead.tokens} values, but its token file has ${tokens}`)
    const width = tokenWidth(dtype)
    const range = async (from: number, to: number) => {
      const values = async (file: typeof tokenFile) =>
        valuesOf(await file.read(headBytes + from * width, (to - from) * width), dtype)
      return { ids: await values(tokenFile), mask: await values(maskFile) }
    }
    async function* pieces() {
      for (let at = 0; at < tokens; at += windowTokens)
        yield await range(at, Math.min(tokens, at + windowTokens))
    }
    return { tokens, pieces, range }
  },
})
