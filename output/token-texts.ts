import { createDecoder } from '../bpe/index.ts'
import { loadVocabulary } from './load-vocabulary.ts'

/** What the tokens of an output's vocabulary say, each by itself. @throws what `loadVocabulary` throws */
export async function loadTokenTexts(file: string, storeLocation: string): Promise<(id: number) => string> {
  const decoder = createDecoder(await loadVocabulary(file, storeLocation))
  return (id) => Buffer.from(decoder.decode(Uint32Array.of(id))).toString('utf8')
}
