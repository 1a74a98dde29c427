/** Conversations of formats that store them one after the other, with their lengths beside. */
import { type Piece, type Values, verifyError } from './define-output.ts'

const pieceTokens = 1 << 16

/** Runs of whole conversations; `ids` and `mask` give tokens `from` to `to` of the shard. */
export async function* raggedPieces(
  lengths: ArrayLike<number>,
  ids: (from: number, to: number) => Promise<Values>,
  mask: (from: number, to: number) => Promise<Uint8Array>,
): AsyncGenerator<Piece> {
  for (let row = 0, at = 0; row < lengths.length; ) {
    const own: number[] = []
    let end = at
    while (row < lengths.length && (own.length === 0 || end - at < pieceTokens)) {
      own.push(lengths[row]!)
      end += lengths[row++]!
    }
    yield { ids: await ids(at, end), mask: await mask(at, end), lengths: own }
    at = end
  }
}

/** Ids stored as int32, as the values they are. Throws a VERIFY error for a negative one. */
export function idsOfInt32(bytes: Uint8Array<ArrayBuffer>, file: string): Uint32Array {
  const values = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
  for (let i = 0; i < values.length; i++)
    if (values[i]! < 0) throw verifyError(file, `has the id ${values[i]}`)
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
}
