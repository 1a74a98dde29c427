/**
 * NumPy arrays: the shard's tokens in one file (uint16 or uint32), their masks in another (uint8, 0 or 1), each of one
 * axis; numpy.load(…, mmap_mode='r') reads them. A conversation may go on in the next shard.
 */
import {
  bytesOf,
  type Dtype,
  defineOutput,
  tokenWidth,
  usualStem,
  type Values,
  verifyError,
  windowTokens,
} from './define-output.ts'
import { valuesOf } from './llmc-bin.ts'
import { encodeNpyHead, readNpyHead } from './npy-file.ts'

/** NumPy's name for the type of ids. */
export function idDescr(dtype: Dtype): string {
  return dtype === 'uint16' ? '<u2' : '<u4'
}

/** A byte a mask. */
export function maskBytes(mask: Values): Uint8Array {
  const bytes = new Uint8Array(mask.length)
  for (let i = 0; i < mask.length; i++) bytes[i] = mask[i]!
  return bytes
}

export const npy = defineOutput({
  name: 'npy',
  version: 1,
  about: 'NumPy arrays: tokens, and their masks as uint8 (_tokens.npy, _mask.npy)',
  hasDtype: true,
  fields: {},
  ...usualStem,
  files: [
    { role: 'tokens', suffix: '_tokens.npy' },
    { role: 'mask', suffix: '_mask.npy' },
  ],
  async write({ dtype, tokens, windows }, files) {
    await files['tokens']!.write(encodeNpyHead(idDescr(dtype), [tokens]))
    await files['mask']!.write(encodeNpyHead('|u1', [tokens]))
    for (const window of windows()) {
      await files['tokens']!.write(bytesOf(window.tokens))
      await files['mask']!.write(maskBytes(window.mask))
    }
  },
  async open(files, { dtype }) {
    const [tokenFile, maskFile] = [files['tokens']!, files['mask']!]
    const head = await readNpyHead(tokenFile, idDescr(dtype), 1)
    const maskHead = await readNpyHead(maskFile, '|u1', 1)
    const tokens = head.shape[0]!
    if (maskHead.shape[0] !== tokens)
      throw verifyError(maskFile.name, `has ${maskHead.shape[0]} values, but its token file has ${tokens}`)
    const width = tokenWidth(dtype)
    const range = async (from: number, to: number) => ({
      ids: valuesOf(await tokenFile.read(head.headBytes + from * width, (to - from) * width), dtype),
      mask: await maskFile.read(maskHead.headBytes + from, to - from),
    })
    async function* pieces() {
      for (let at = 0; at < tokens; at += windowTokens)
        yield await range(at, Math.min(tokens, at + windowTokens))
    }
    return { tokens, pieces, range }
  },
})
