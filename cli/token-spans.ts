/** Tokens as text for people: what is trained on is green on a terminal, and between « and » elsewhere. */
import { createDecoder } from '../bpe/index.ts'
import type { StoredVocabulary } from '../stages/tokenizers/vocabulary.ts'
import { cleanText } from './clean-text.ts'
import { paint } from './paint.ts'

export interface Span {
  text: string
  readonly trained: boolean
}

/**
 * Makes the function that turns tokens and mask into runs of equal mask. Ordinary tokens decode together, so that
 * characters of several tokens stay whole.
 */
export function spanReader(vocabulary: StoredVocabulary) {
  const decoder = createDecoder(vocabulary)
  const names = new Map([...vocabulary.specials].map(([name, id]) => [id, name]))
  return (ids: Uint16Array | Uint32Array, mask: ArrayLike<number>): Span[] => {
    const found: Span[] = []
    for (let i = 0; i < ids.length; ) {
      const trained = mask[i] === 1
      const special = names.get(ids[i]!)
      let end = i + 1
      while (
        special === undefined &&
        end < ids.length &&
        (mask[end] === 1) === trained &&
        !names.has(ids[end]!)
      )
        end++
      const text = special ?? Buffer.from(decoder.decode(ids.subarray(i, end))).toString('utf8')
      const last = found.at(-1)
      if (last !== undefined && last.trained === trained) last.text += text
      else found.push({ text, trained })
      i = end
    }
    return found
  }
}

/** Makes the function that shows a span on `stream`. */
export function spanPainter(stream: NodeJS.WriteStream): (span: Span) => string {
  const color = paint(stream)
  return ({ text, trained }) => {
    const clean = cleanText(text)
    if (color.isColorSupported) return trained ? color.green(clean) : color.dim(clean)
    return trained ? `«${clean}»` : clean
  }
}
