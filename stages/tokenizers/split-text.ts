/** Cuts texts into pieces by the steps of a `tokenizer.json`, each step on the pieces of the one before. */
import { numberClass, translatePattern } from './split-pattern.ts'
import type { SplitStep } from './vocabulary.ts'

/** Cuts a text into pieces; joined they are the text again, but for what a step removes. */
export type Splitter = (text: string) => readonly string[]

export function createSplitter(steps: readonly SplitStep[]): Splitter {
  const cuts = steps.map(cutter)
  return (text) => {
    let pieces: readonly string[] = [text]
    for (const cut of cuts) pieces = pieces.length === 1 ? cut(pieces[0]!) : pieces.flatMap(cut)
    return pieces
  }
}

function cutter({ find, behavior, invert }: SplitStep): (text: string) => string[] {
  const finder = finderOf(find)
  return (text) => {
    const out: string[] = []
    /** True while the last piece is a match; what lies between matches is none. */
    let lastIsMatch = false
    const spans = spansOf(text, finder)
    // Merging with the next is merging with the previous, seen from the end.
    const backwards = behavior === 'merged-with-next'
    if (backwards) spans.reverse()
    for (const { piece, found } of spans) {
      const isMatch = found !== invert
      const merges =
        out.length > 0 &&
        (behavior === 'contiguous'
          ? isMatch === lastIsMatch
          : (backwards || behavior === 'merged-with-previous') && isMatch && !lastIsMatch)
      const last = out.length - 1
      if (merges) out[last] = backwards ? piece + out[last]! : out[last]! + piece
      else if (!(behavior === 'removed' && isMatch)) out.push(piece)
      lastIsMatch = isMatch
    }
    return backwards ? out.reverse() : out
  }
}

interface Span {
  readonly piece: string
  readonly found: boolean
}

function spansOf(text: string, finder: RegExp): Span[] {
  const spans: Span[] = []
  let at = 0
  // Not matchAll: that makes a new expression for each text, which takes longer than most texts.
  finder.lastIndex = 0
  for (let match = finder.exec(text); match !== null; match = finder.exec(text)) {
    if (match.index > at) spans.push({ piece: text.slice(at, match.index), found: false })
    at = match.index + match[0].length
    if (match[0] !== '') spans.push({ piece: match[0], found: true })
    else finder.lastIndex += text.codePointAt(at)! > 0xffff ? 2 : 1
  }
  if (at < text.length) spans.push({ piece: text.slice(at), found: false })
  return spans
}

function finderOf(find: SplitStep['find']): RegExp {
  if ('regex' in find) return new RegExp(translatePattern(find.regex), 'gv')
  if ('text' in find) return literals([find.text])
  return new RegExp(`${numberClass(true)}${find.digits === 'runs' ? '+' : ''}`, 'gv')
}

/** Finds any of these texts, the longest where several begin. */
export function literals(texts: readonly string[]): RegExp {
  const longestFirst = texts.toSorted((a, b) => b.length - a.length)
  const escaped = longestFirst.map((text) =>
    Array.from(text, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`).join(''),
  )
  return new RegExp(escaped.join('|'), 'gu')
}
