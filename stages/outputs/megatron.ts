/**
 * Megatron-LM's indexed dataset (megatron/core/datasets/indexed_dataset.py, MMapIndexedDataset): a .bin with the ids of
 * all sequences one after the other, and an .idx that says where each begins. A conversation is a sequence, and a
 * document of its own. The masks are a second dataset of the same layout, of uint8.
 *
 *   .idx = "MMIDIDX\0\0", u64 version 1, u8 type (1 uint8, 4 int32, 8 uint16), u64 sequences, u64 documents + 1,
 *          i32[sequences] lengths, i64[sequences] byte offsets in the .bin, i64[documents + 1] 0, 1, 2, …
 *
 * Megatron has no uint32: ids of larger vocabularies are int32.
 */
import type { BlobWriter } from '../../store/types.ts'
import { type ByteFile, bytesOf, defineOutput, tokenWidth, usualStem, verifyError } from './define-output.ts'
import { valuesOf } from './llmc-bin.ts'
import { maskBytes } from './npy.ts'
import { idsOfInt32, raggedPieces } from './ragged.ts'

const magic = 'MMIDIDX\0\0'
const headBytes = 34
const typeCodes = { uint8: 1, int32: 4, uint16: 8 } as const

export const megatron = defineOutput({
  name: 'megatron',
  version: 1,
  about: 'Megatron-LM indexed datasets: ids (.bin, .idx) and masks (_mask.bin, _mask.idx)',
  hasDtype: true,
  fields: {},
  cut: () => 'conversations',
  ...usualStem,
  files: [
    { role: 'tokens', suffix: '.bin' },
    { role: 'index', suffix: '.idx' },
    { role: 'mask', suffix: '_mask.bin' },
    { role: 'mask-index', suffix: '_mask.idx' },
  ],
  async write({ dtype, lengths, windows }, files) {
    await writeIndex(files['index']!, lengths, dtype === 'uint16' ? 'uint16' : 'int32', tokenWidth(dtype))
    await writeIndex(files['mask-index']!, lengths, 'uint8', 1)
    for (const { tokens, mask } of windows()) {
      await files['tokens']!.write(bytesOf(tokens))
      await files['mask']!.write(maskBytes(mask))
    }
  },
  async open(files, { dtype }) {
    const width = tokenWidth(dtype)
    const [tokenFile, maskFile] = [files['tokens']!, files['mask']!]
    const lengths = await readIndex(files['index']!, dtype === 'uint16' ? 'uint16' : 'int32', width)
    const maskLengths = await readIndex(files['mask-index']!, 'uint8', 1)
    if (lengths.length !== maskLengths.length || lengths.some((length, i) => length !== maskLengths[i]))
      throw verifyError(files['mask-index']!.name, 'has other sequences than the index of the tokens')
    const tokens = lengths.reduce((sum, length) => sum + length, 0)
    for (const [file, bytes] of [
      [tokenFile, tokens * width],
      [maskFile, tokens],
    ] as const)
      if (file.size !== bytes)
        throw verifyError(file.name, `is ${file.size} bytes long, but its index says ${bytes}`)
    const ids = async (from: number, to: number) => {
      const bytes = await tokenFile.read(from * width, (to - from) * width)
      return dtype === 'uint16' ? valuesOf(bytes, dtype) : idsOfInt32(bytes, tokenFile.name)
    }
    return { tokens, pieces: () => raggedPieces(lengths, ids, (from, to) => maskFile.read(from, to - from)) }
  },
})

async function writeIndex(
  file: BlobWriter,
  lengths: Uint32Array,
  type: keyof typeof typeCodes,
  width: number,
): Promise<void> {
  const rows = lengths.length
  const head = Buffer.alloc(headBytes)
  head.write(magic, 0, 'latin1')
  head.writeBigUInt64LE(1n, 9)
  head.writeUInt8(typeCodes[type], 17)
  head.writeBigUInt64LE(BigInt(rows), 18)
  head.writeBigUInt64LE(BigInt(rows + 1), 26)
  await file.write(head)
  await file.write(bytesOf(Int32Array.from(lengths)))
  const offsets = new BigInt64Array(rows)
  for (let i = 0, at = 0; i < rows; i++) {
    offsets[i] = BigInt(at)
    at += lengths[i]! * width
  }
  await file.write(bytesOf(offsets))
  await file.write(bytesOf(BigInt64Array.from({ length: rows + 1 }, (_, i) => BigInt(i))))
}

/** Lengths of the sequences. Throws VERIFY errors. */
async function readIndex(file: ByteFile, type: keyof typeof typeCodes, width: number): Promise<Uint32Array> {
  const fail = (why: string) => verifyError(file.name, why)
  if (file.size < headBytes)
    throw fail(`is ${file.size} bytes long, shorter than a head (${headBytes} bytes)`)
  const head = Buffer.from(await file.read(0, headBytes))
  if (head.toString('latin1', 0, 9) !== magic) throw fail('does not begin as an index of Megatron-LM')
  if (head.readBigUInt64LE(9) !== 1n) throw fail(`has version ${head.readBigUInt64LE(9)}, expected 1`)
  if (head.readUInt8(17) !== typeCodes[type])
    throw fail(`has type ${head.readUInt8(17)}, expected ${typeCodes[type]} (${type})`)
  const rows = Number(head.readBigUInt64LE(18))
  if (Number(head.readBigUInt64LE(26)) !== rows + 1) throw fail('does not have a document for each sequence')
  if (file.size !== headBytes + rows * 20 + 8)
    throw fail(`is ${file.size} bytes long, but its head says ${rows} sequences`)
  const lengths = new Uint32Array((await file.read(headBytes, rows * 4)).slice().buffer)
  const offsets = new BigInt64Array((await file.read(headBytes + rows * 4, rows * 8)).slice().buffer)
  for (let i = 0, at = 0; i < rows; i++) {
    if (offsets[i] !== BigInt(at))
      throw fail(`says that sequence ${i} begins at ${offsets[i]}, expected ${at}`)
    at += lengths[i]! * width
  }
  const documents = new BigInt64Array((await file.read(headBytes + rows * 12, rows * 8 + 8)).slice().buffer)
  const other = documents.findIndex((document, i) => document !== BigInt(i))
  if (other >= 0) throw fail(`says that document ${other} begins with sequence ${documents[other]}`)
  return lengths
}
