/** A vocabulary's encoder, for the stages that make tokens of text. */
import type { Digest, Store } from '../store/types.ts'
import type { StageContext } from './define-stage.ts'
import { createTextEncoder, type TextEncoder } from './tokenizers/text-encoder.ts'
import { decodeVocabulary } from './tokenizers/vocabulary.ts'

export interface ReadyEncoder {
  readonly encoder: TextEncoder
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
    return { encoder: createTextEncoder(await encoderTables(digest)), specials, vocabularySize }
  })()
  known = { digest, ready }
  ready.catch(() => {
    if (known?.ready === ready) known = undefined
  })
  return ready
}
