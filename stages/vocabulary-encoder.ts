/** A vocabulary's encoder, for the stages that make tokens of text. */
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import type { StageCall } from '../pipeline/stage.ts'
import type { Digest, Store } from '../store/types.ts'
import { fileName, type StageContext } from './define-stage.ts'
import { createTextEncoder, type TextEncoder, type TextTables } from './tokenizers/text-encoder.ts'
import { decodeVocabulary } from './tokenizers/vocabulary.ts'

export interface ReadyEncoder {
  readonly encoder: TextEncoder
  /** What the encoder was made of. */
  readonly tables: TextTables
  readonly specials: ReadonlyMap<string, number>
  readonly vocabularySize: number
}

/** One encoder a thread: what it has learned of one partition serves the next. */
let known: { readonly digest: Digest; readonly ready: Promise<ReadyEncoder> } | undefined

export function encoderOf(
  digest: Digest,
  store: Store,
  encoderTables: StageContext['encoderTables'],
): Promise<ReadyEncoder> {
  if (known?.digest === digest) return known.ready
  const ready = (async () => {
    const { specials, vocabularySize } = decodeVocabulary(await store.readBlobBytes(digest))
    const tables = await encoderTables(digest)
    return { encoder: createTextEncoder(tables), tables, specials, vocabularySize }
  })()
  known = { digest, ready }
  ready.catch(() => {
    if (known?.ready === ready) known = undefined
  })
  return ready
}

/**
 * What went wrong with a row, with its place: an encoder knows nothing but the text, and a template nothing of files. Such
 * a row is not set aside: what is too much here may not be elsewhere, and results are to be the same everywhere; and a
 * template that cannot write a source's rows is the recipe's mistake.
 */
export function inRow(error: unknown, call: StageCall, row: number): unknown {
  const refusal = refusalOf(error)
  if (refusal === undefined || refusal.at !== undefined) return error
  const { numbering = 'row' } = (call.hints ?? {}) as { numbering?: 'row' | 'line' }
  const { code, why, hint } = refusal
  return new ShardmillError(code, why, {
    at: { file: fileName(call), [numbering]: row },
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  })
}

function refusalOf(error: unknown): ShardmillError | undefined {
  if (isShardmillError(error, 'BAD_ROW') || isShardmillError(error, 'RECIPE')) return error
  if ((error as NodeJS.ErrnoException).code !== 'ERR_STRING_TOO_LONG') return undefined
  return new ShardmillError('BAD_ROW', 'the text is longer than a string can be', { hint: 'Split the text.' })
}
