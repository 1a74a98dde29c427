/**
 * Rows of a fixed length, packed from whole conversations as nanochat's SFT data loader packs them (pack-rows.ts):
 * four NumPy arrays of the shape (rows, rowTokens).
 *
 *   _tokens.npy     uint16 or uint32   ids; where the row is padded BOS, or 0 if the template has none
 *   _mask.npy       uint8              1 where the token is trained on; 0 in the padding
 *   _positions.npy  int32              position in its conversation; 0 in the padding
 *   _segments.npy   int32              which conversation of the row, from 1; 0 in the padding
 *
 * A conversation has at most maxSeqLen tokens, and a row at least so many, so each fits: what is longer is cut, dropped
 * or refused before, as the recipe's tooLong says. nanochat's rows are maxSeqLen + 1 long: inputs are row[:-1] and
 * targets row[1:], -1 where mask[1:] is 0.
 */
import { z } from 'zod'
import { ShardmillError } from '../../errors/index.ts'
import { conversationsOf, PieceFiller } from './conversation-rows.ts'
import {
  bytesOf,
  defineOutput,
  type OutputOptions,
  tokenWidth,
  usualStem,
  valuesArray,
  verifyError,
} from './define-output.ts'
import { valuesOf } from './llmc-bin.ts'
import { idDescr } from './npy.ts'
import { encodeNpyHead, readNpyHead } from './npy-file.ts'
import { rowsOf } from './pack-rows.ts'

const flushTokens = 1 << 18
/** A row is put together in memory, and takes up to 13 bytes a token there. */
const mostRowTokens = 1 << 24

const rowTokensOf = (options: OutputOptions) => options['rowTokens'] as number

export const packed = defineOutput({
  name: 'packed',
  version: 1,
  about:
    'Rows of a fixed length, packed BOS-aligned by best fit: tokens, mask, positions and segments (.npy)',
  hasDtype: true,
  fields: {
    rowTokens: z
      .int()
      .min(1)
      .max(mostRowTokens)
      .optional()
      .describe('Tokens in a row, at least maxSeqLen (default: maxSeqLen + 1, inputs and targets together)'),
    buffer: z
      .int()
      .min(1)
      .max(1 << 16)
      .default(100)
      .describe('Conversations that wait, of which the longest that fits is taken'),
  },
  settle({ rowTokens, buffer }, { maxSeqLen }) {
    if (typeof rowTokens === 'number' && rowTokens < maxSeqLen)
      throw new ShardmillError(
        'RECIPE',
        `output.rowTokens is ${rowTokens}, less than maxSeqLen (${maxSeqLen}): longer conversations would fit no row`,
        { hint: `Set maxSeqLen: ${rowTokens}; tooLong says what becomes of longer conversations.` },
      )
    if (rowTokens === undefined && maxSeqLen >= mostRowTokens)
      throw new ShardmillError(
        'RECIPE',
        `rows of maxSeqLen + 1 = ${maxSeqLen + 1} tokens are too long to be packed: at most ${mostRowTokens}`,
        { hint: 'Set maxSeqLen to what the trainer takes.' },
      )
    return { rowTokens: rowTokens ?? maxSeqLen + 1, buffer: buffer! }
  },
  cut: ({ rowTokens, buffer }) => ({ rowTokens: rowTokens as number, buffer: buffer as number }),
  ...usualStem,
  files: [
    { role: 'tokens', suffix: '_tokens.npy' },
    { role: 'mask', suffix: '_mask.npy' },
    { role: 'positions', suffix: '_positions.npy' },
    { role: 'segments', suffix: '_segments.npy' },
  ],
  async write(content, files, options) {
    const rowTokens = rowTokensOf(options)
    const { dtype, bosId, lengths } = content
    let rows = 0
    for (const _ of rowsOf(lengths, rowTokens)) rows++
    const descrs = { tokens: idDescr(dtype), mask: '|u1', positions: '<i4', segments: '<i4' }
    for (const [role, descr] of Object.entries(descrs))
      await files[role]!.write(encodeNpyHead(descr, [rows, rowTokens]))

    const rowsAtOnce = Math.max(1, Math.floor(flushTokens / rowTokens))
    const size = rowsAtOnce * rowTokens
    const out = {
      tokens: valuesArray(dtype, size).fill(bosId),
      mask: new Uint8Array(size),
      positions: new Int32Array(size),
      segments: new Int32Array(size),
    }
    let waiting = 0
    const flush = async () => {
      for (const [role, values] of Object.entries(out))
        await files[role]!.write(bytesOf(values.subarray(0, waiting * rowTokens)))
      out.tokens.fill(bosId)
      out.mask.fill(0)
      out.positions.fill(0)
      out.segments.fill(0)
      waiting = 0
    }
    const conversations = conversationsOf(content)
    for (const { first, end } of rowsOf(lengths, rowTokens)) {
      let at = waiting * rowTokens
      for (let i = first; i < end; i++) {
        const { tokens, mask } = conversations.next().value as { tokens: Uint16Array; mask: Uint16Array }
        out.tokens.set(tokens, at)
        out.mask.set(mask, at)
        out.segments.fill(i - first + 1, at, at + tokens.length)
        for (let k = 0; k < tokens.length; k++) out.positions[at + k] = k
        at += tokens.length
      }
      if (++waiting === rowsAtOnce) await flush()
    }
    if (waiting > 0) await flush()
  },
  async open(files, { dtype, bosId, options }) {
    const rowTokens = rowTokensOf(options)
    const [tokenFile, maskFile] = [files['tokens']!, files['mask']!]
    const [positionFile, segmentFile] = [files['positions']!, files['segments']!]
    const heads = {
      tokens: await readNpyHead(tokenFile, idDescr(dtype), 2),
      mask: await readNpyHead(maskFile, '|u1', 2),
      positions: await readNpyHead(positionFile, '<i4', 2),
      segments: await readNpyHead(segmentFile, '<i4', 2),
    }
    const rows = heads.tokens.shape[0]!
    for (const [role, { shape }] of Object.entries(heads))
      if (shape[0] !== rows || shape[1] !== rowTokens)
        throw verifyError(
          files[role]!.name,
          `has the shape (${shape.join(', ')}), expected (${rows}, ${rowTokens})`,
        )
    const width = tokenWidth(dtype)
    const rowsAtOnce = Math.max(1, Math.floor(flushTokens / rowTokens))
    async function* pieces() {
      const filler = new PieceFiller(dtype)
      for (let row = 0; row < rows; row += rowsAtOnce) {
        const [from, count] = [row * rowTokens, Math.min(rowsAtOnce, rows - row) * rowTokens]
        const ids = valuesOf(
          await tokenFile.read(heads.tokens.headBytes + from * width, count * width),
          dtype,
        )
        const mask = await maskFile.read(heads.mask.headBytes + from, count)
        const int32 = async (file: typeof tokenFile, head: number) => {
          const bytes = await file.read(head + 4 * from, 4 * count)
          return new Int32Array(bytes.buffer, bytes.byteOffset, count)
        }
        const positions = await int32(positionFile, heads.positions.headBytes)
        const segments = await int32(segmentFile, heads.segments.headBytes)
        for (let at = 0; at < count; at += rowTokens) {
          const where = `row ${row + at / rowTokens}`
          const end = at + rowTokens
          let place = at
          for (let segment = 1; place < end && segments[place] !== 0; segment++) {
            const begin = place
            while (place < end && segments[place] === segment) {
              if (positions[place] !== place - begin)
                throw verifyError(
                  positionFile.name,
                  `${where} has position ${positions[place]} at ${place - at}, expected ${place - begin}`,
                )
              place++
            }
            if (place === begin)
              throw verifyError(
                segmentFile.name,
                `${where} has segment ${segments[place]} at ${place - at}, expected ${segment}`,
              )
            const into = filler.add(place - begin)
            into.ids.set(ids.subarray(begin, place))
            into.mask.set(mask.subarray(begin, place))
          }
          for (; place < end; place++) {
            const wrong =
              segments[place] !== 0
                ? segmentFile
                : positions[place] !== 0
                  ? positionFile
                  : mask[place] !== 0
                    ? maskFile
                    : ids[place] !== bosId
                      ? tokenFile
                      : undefined
            if (wrong !== undefined)
              throw verifyError(wrong.name, `${where} has something at ${place - at}, where it is padded`)
          }
        }
        if (!filler.empty) yield filler.take()
      }
    }
    return { pieces }
  },
})
