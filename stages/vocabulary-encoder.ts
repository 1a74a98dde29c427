/** A vocabulary's encoder, for the stages that make tokens of text. */
import type { Digest, Store } from '../store/types.ts'
import type { StageContext } from './define-stage.ts'
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
