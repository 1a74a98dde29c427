/**
 * Whole texts with added tokens inside, and which tokens a place in the text lies between or within: for templates that
 * write a conversation as one text.
 */
import { ShardmillError } from '../../errors/index.ts'
import { toNfc } from './nfc.ts'
import { literals } from './split-text.ts'
import { createTextEncoder, idsByText, type TextTables } from './text-encoder.ts'

export interface Placed {
  readonly ids: readonly number[]
  /** For each place, the first token that ends after it: where a span that begins there begins. */
  readonly from: readonly number[]
  /** For each place, the first token that does not begin before it: where a span that ends there ends. */
  readonly to: readonly number[]
}

export interface WholeTextEncoder {
  /**
   * Ids of a text, as the tokenizer gives them without BOS and the like; `places` are UTF-16 offsets, ascending.
   * @throws RangeError when normalizing joins the characters on both sides of a place
   */
  encode(text: string, places: readonly number[]): Placed
}

/** Finds added tokens, and knows the id of each text it finds. */
interface Finder {
  readonly pattern: RegExp | undefined
  readonly idOf: ReadonlyMap<string, number>
}

interface Piece {
  readonly text: string
  readonly id?: number
}

/** @throws ShardmillError RECIPE when the vocabulary does not recognise added tokens in texts */
export function createWholeTextEncoder({ text: encoding, ...tables }: TextTables): WholeTextEncoder {
  const { recognise, normalize, ...plainRules } = encoding?.rules ?? {}
  if (encoding === undefined || recognise === undefined) {
    throw new ShardmillError('RECIPE', 'the template writes whole texts with special tokens inside', {
      hint: 'Use a tokenizer of kind huggingface with addedTokens: recognise.',
    })
  }
  const encoder = createTextEncoder({ ...tables, text: { ...encoding, rules: plainRules } })
  const normal = normalize === undefined ? (text: string) => text : toNfc
  const finder = (names: readonly string[], form?: (text: string) => string): Finder => {
    const idOf = idsByText(names, encoding.specials, form)
    return { pattern: idOf.size === 0 ? undefined : literals([...idOf.keys()]), idOf }
  }
  const raw = finder(recognise.raw)
  const normalized = finder(recognise.normalized, normal)
  const { ids: allIds, offsets } = tables.vocabulary
  const bytesOf = new Map<number, number>()
  for (let k = 0; k < allIds.length; k++) bytesOf.set(allIds[k]!, offsets[k + 1]! - offsets[k]!)

  /** Added tokens, and what stands between them. */
  function cut(text: string, { pattern, idOf }: Finder): Piece[] {
    const pieces: Piece[] = []
    let at = 0
    for (const match of pattern === undefined ? [] : text.matchAll(pattern)) {
      if (match.index > at) pieces.push({ text: text.slice(at, match.index) })
      pieces.push({ text: match[0], id: idOf.get(match[0])! })
      at = match.index + match[0].length
    }
    if (at < text.length) pieces.push({ text: text.slice(at) })
    return pieces
  }

  /** Where in the normalized text a place of the text is. */
  function moved(text: string, form: string, place: number): number {
    if (form === text) return place
    const head = normal(text.slice(0, place))
    if (head + normal(text.slice(place)) !== form)
      throw new RangeError('what is trained on begins or ends inside characters that NFC makes into one')
    return head.length
  }

  return {
    encode(text, places) {
      const ids: number[] = []
      const from: number[] = []
      const to: number[] = []
      /** Takes the places that lie in the first `length` characters after `start`. */
      const within = (start: number, length: number) => {
        const found: number[] = []
        while (from.length + found.length < places.length) {
          const place = places[from.length + found.length]! - start
          if (place >= length) break
          found.push(place)
        }
        return found
      }
      const addToken = (id: number, inside: readonly number[]) => {
        for (const place of inside) {
          from.push(ids.length)
          to.push(place === 0 ? ids.length : ids.length + 1)
        }
        ids.push(id)
      }
      const addText = (piece: string, inside: readonly number[]) => {
        const found = encoder.encodeString(piece)
        let next = 0
        let bytes = 0
        const places = inside.map((place) => Buffer.byteLength(piece.slice(0, place)))
        for (const id of found) {
          const end = bytes + (bytesOf.get(id) ?? 0)
          for (; next < places.length && places[next]! < end; next++) {
            from.push(ids.length)
            to.push(places[next]! === bytes ? ids.length : ids.length + 1)
          }
          ids.push(id)
          bytes = end
        }
        if (bytes !== Buffer.byteLength(piece))
          throw new RangeError(
            'the tokenizer leaves out some of the text, so that its tokens have no place in it',
          )
      }
      let at = 0
      for (const piece of cut(text, raw)) {
        const inside = within(at, piece.text.length)
        if (piece.id !== undefined) addToken(piece.id, inside)
        else {
          const form = normal(piece.text)
          const places = inside.map((place) => moved(piece.text, form, place))
          let start = 0
          for (const part of cut(form, normalized)) {
            const mine = places
              .filter((place) => place >= start && place < start + part.text.length)
              .map((place) => place - start)
            if (part.id !== undefined) addToken(part.id, mine)
            else addText(part.text, mine)
            start += part.text.length
          }
        }
        at += piece.text.length
      }
      while (from.length < places.length) {
        from.push(ids.length)
        to.push(ids.length)
      }
      return { ids, from, to }
    },
  }
}
