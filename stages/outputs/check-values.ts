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
