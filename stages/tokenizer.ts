/**
 * tokenizer: a tokenizer file → the vocabulary in our own form, special tokens of the template included.
 */
import { defineStage, fileName, input, paramsOf } from './define-stage.ts'
import { readTokenizer } from './tokenizers/index.ts'
import { encodeVocabulary } from './tokenizers/vocabulary.ts'

export const tokenizer = defineStage({
  name: 'tokenizer',
  async run(call, { store }) {
    const { kind, specials } = paramsOf<{ kind: string; specials: readonly string[] }>(call)
    const bytes = await store.readBlobBytes(input(call, 'file'))
    const vocabulary = readTokenizer(kind, bytes, fileName(call), specials)
    return {
      outputs: { vocabulary: await store.putBlob(encodeVocabulary(vocabulary)) },
      stats: { vocabularySize: vocabulary.vocabularySize, bosId: vocabulary.bosId },
    }
  },
})
