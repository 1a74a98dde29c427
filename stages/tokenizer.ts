/**
 * tokenizer: a tokenizer file → the vocabulary in our own form, special tokens of the template included.
 */
import { defineStage, fileName, input, paramsOf } from './define-stage.ts'
import { checkTokenizerSize, readTokenizer, type TokenizerOptions } from './tokenizers/index.ts'
import { encodeVocabulary } from './tokenizers/vocabulary.ts'

interface Params extends TokenizerOptions {
  readonly kind: string
  /** Of the kind's reader; it is only there to be in the key. */
  readonly version?: number
  readonly specials: readonly string[]
}

export const tokenizer = defineStage({
  name: 'tokenizer',
  async run(call, { store }) {
    const { kind, version: _, specials, ...options } = paramsOf<Params>(call)
    const file = input(call, 'file')
    checkTokenizerSize(kind, (await store.statBlob(file)) ?? 0, fileName(call))
    const vocabulary = readTokenizer(kind, await store.readBlobBytes(file), fileName(call), specials, options)
    return {
      outputs: { vocabulary: await store.putBlob(encodeVocabulary(vocabulary)) },
      stats: {
        vocabularySize: vocabulary.vocabularySize,
        ...(vocabulary.bosId === undefined ? {} : { bosId: vocabulary.bosId }),
      },
    }
  },
})
