/** Whole conversations out of a shard's windows, and runs of whole conversations out of what a format reads. */
import {
  type Dtype,
  type Piece,
  type ShardContent,
  type Values,
  valuesArray,
  type Window,
} from './define-output.ts'

/** Each conversation of a shard in order; the arrays are good until the next one. */
export function* conversationsOf({
  dtype,
  lengths,
  windows,
}: Pick<ShardContent, 'dtype' | 'lengths' | 'windows'>): Generator<Window> {
  let row = 0
  /** What of the current conversation stood in windows before this one. */
  let begun = { tokens: valuesArray(dtype, 0) as Values, mask: valuesArray(dtype, 0) as Values, filled: 0 }
  for (const { tokens, mask } of windows()) {
    let at = 0
    while (row < lengths.length) {
      const missing = lengths[row]! - begun.filled
      if (begun.filled === 0 && at + missing <= tokens.length) {
        yield { tokens: tokens.subarray(at, at + missing), mask: mask.subarray(at, at + missing) }
      } else {
        if (begun.tokens.length < lengths[row]!) {
          const grown = { tokens: valuesArray(dtype, lengths[row]!), mask: valuesArray(dtype, lengths[row]!) }
          grown.tokens.set(begun.tokens.subarray(0, begun.filled))
          grown.mask.set(begun.mask.subarray(0, begun.filled))
          begun = { ...grown, filled: begun.filled }
        }
        const taken = Math.min(missing, tokens.length - at)
        begun.tokens.set(tokens.subarray(at, at + taken), begun.filled)
        begun.mask.set(mask.subarray(at, at + taken), begun.filled)
        if (taken < missing) {
          begun.filled += taken
          break
        }
        begun.filled = 0
        yield { tokens: begun.tokens.subarray(0, lengths[row]!), mask: begun.mask.subarray(0, lengths[row]!) }
      }
      at += missing
      row++
    }
  }
}

/** Tokens in a piece, about. */
const pieceTokens = 1 << 16

/** Puts conversations together to pieces. */
export class PieceFiller {
  private ids: Values
  private mask = new Uint8Array(pieceTokens)
  private filled = 0
  private lengths: number[] = []
  private readonly dtype: Dtype

  constructor(dtype: Dtype) {
    this.dtype = dtype
    this.ids = valuesArray(dtype, pieceTokens)
  }

  /** Room for one more conversation of `length` tokens, to be filled by the caller. Full pieces are taken before. */
  add(length: number): { readonly ids: Values; readonly mask: Uint8Array } {
    const end = this.filled + length
    if (end > this.ids.length) {
      const [ids, mask] = [valuesArray(this.dtype, end * 2), new Uint8Array(end * 2)]
      ids.set(this.ids.subarray(0, this.filled))
      mask.set(this.mask.subarray(0, this.filled))
      this.ids = ids
      this.mask = mask
    }
    const from = this.filled
    this.filled = end
    this.lengths.push(length)
    return { ids: this.ids.subarray(from, end), mask: this.mask.subarray(from, end) }
  }

  get full(): boolean {
    return this.filled >= pieceTokens
  }

  get empty(): boolean {
    return this.lengths.length === 0
  }

  /** What was added since the last time; good until the next `add`. */
  take(): Piece {
    const piece = {
      ids: this.ids.subarray(0, this.filled),
      mask: this.mask.subarray(0, this.filled),
      lengths: this.lengths,
    }
    this.filled = 0
    this.lengths = []
    return piece
  }
}
