import { ShardmillError } from '../errors/index.ts'

/**
 * Bytes that cannot be what the format says. Thrown deep in the decoders, where neither the file's name nor the
 * column is known; `asBadFile` gives it both on its way out.
 */
export class Damage extends Error {
  override readonly name: string = 'Damage'
}

/** The bytes at hand ended within a structure; more of them may help. */
export class EndOfBytes extends Damage {
  override readonly name = 'EndOfBytes'
}

/** What an error message says about the place in a parquet file. */
export interface Where {
  readonly file: string
  readonly rowGroup?: number
  readonly column?: string
}

/**
 * Turns what a decoder threw into a BAD_FILE error that names the file, the row group and the column.
 * A `RangeError` counts as damage too (a size that no buffer can have); anything else is passed on as it is.
 */
export function asBadFile(error: unknown, where: Where): unknown {
  if (!(error instanceof Damage || error instanceof RangeError)) return error
  const parts: string[] = []
  if (where.rowGroup !== undefined) parts.push(`row group ${where.rowGroup}`)
  if (where.column !== undefined) parts.push(`column "${where.column}"`)
  const place = parts.length === 0 ? '' : `${parts.join(', ')}: `
  return new ShardmillError('BAD_FILE', `${place}${error.message}`, {
    at: { file: where.file },
    hint: 'The parquet file is damaged or incomplete. Download it again, and compare its size and sha256 with the hub’s.',
    retryable: false,
    cause: error,
  })
}
