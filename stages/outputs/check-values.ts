import type { Piece } from './define-output.ts'
import { verifyError } from './define-output.ts'

/**
 * Checks ids and mask values of a run; returns how many tokens are trained on. `at` is the run's first token, `names`
 * the files that ids and masks were read from. Throws VERIFY errors.
 */
export function checkValues(
  { ids, mask }: Pick<Piece, 'ids' | 'mask'>,
  vocabularySize: number,
  at: number,
  names: { readonly tokens: string; readonly mask: string },
): number {
  if (ids instanceof Uint16Array && mask instanceof Uint16Array) {
    const trained = trainedOfPairs(ids, mask, vocabularySize)
    if (trained >= 0) return trained
  }
  let trained = 0
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= vocabularySize)
      throw verifyError(
        names.tokens,
        `token ${at + i} is id ${ids[i]}, but the vocabulary has ${vocabularySize} ids`,
      )
    const value = mask[i]!
    if (value > 1) throw verifyError(names.mask, `mask value ${at + i} is ${value}, expected 0 or 1`)
    trained += value
  }
  return trained
}

/** Halves that are added up before their sums could run over. */
const mostPairs = 0xffff

/** The same two values at a time, without saying what is wrong: -1 when something is, or the runs cannot be paired. */
function trainedOfPairs(ids: Uint16Array, mask: Uint16Array, vocabularySize: number): number {
  const { length } = ids
  if (mask.length !== length || ((ids.byteOffset | mask.byteOffset) & 3) !== 0) return -1
  const pairs = length >> 1
  const idPairs = new Int32Array(ids.buffer, ids.byteOffset, pairs)
  const maskPairs = new Int32Array(mask.buffer, mask.byteOffset, pairs)
  let odd = 0
  let beyond = 0
  let trained = 0
  const last = vocabularySize - 1
  for (let from = 0; from < pairs; from += mostPairs) {
    const to = Math.min(pairs, from + mostPairs)
    let sum = 0
    for (let i = from; i < to; i++) {
      const id = idPairs[i]!
      const masks = maskPairs[i]!
      beyond |= (last - (id & 0xffff)) | (last - (id >>> 16))
      odd |= masks
      sum = (sum + masks) | 0
    }
    trained += (sum & 0xffff) + (sum >>> 16)
  }
  if ((length & 1) === 1) {
    beyond |= last - ids[length - 1]!
    odd |= mask[length - 1]!
    trained += mask[length - 1]!
  }
  return beyond < 0 || (odd & ~0x10001) !== 0 ? -1 : trained
}
