import { UNICODE_CLASSES } from './unicode-classes.ts'

/**
 * Character classes as the split patterns see them. The low three bits are the kind, in an order that lets the
 * scanners ask "can this start a word?" with one comparison; two further bits are o200k's letter sets.
 */
export const LETTER = 0 // \p{L}
export const SPACE = 1 // U+0020
export const OTHER = 2 // none of the others, marks included
export const WHITE = 3 // \s without U+0020 and \r \n
export const APOSTROPHE = 4 // an OTHER that may begin a contraction
export const NUMBER = 5 // \p{N}
export const NEWLINE = 6 // \r \n
export const LEAD = 7 // a byte of a multi-byte character, or the 0xFF after the end: look further
export const KIND = 7
/** [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
export const UPPERISH = 8
/** [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
export const LOWERISH = 16

/** One letter per class in the generated run-length text, in both directions. */
const SYMBOLS: ReadonlyArray<readonly [string, number]> = [
  ['O', OTHER],
  ['N', NUMBER],
  ['S', SPACE],
  ['W', WHITE],
  ['R', NEWLINE],
  ['A', APOSTROPHE],
  ['U', LETTER | UPPERISH],
  ['L', LETTER | LOWERISH],
  ['B', LETTER | UPPERISH | LOWERISH],
  ['M', OTHER | UPPERISH | LOWERISH],
]

/** Run-length text of a class table: base-36 run length (left out when 1), then the class's symbol. */
export function packClasses(points: Uint8Array): string {
  const symbol = new Map(SYMBOLS.map(([name, value]) => [value, name]))
  let text = ''
  for (let at = 0; at < points.length; ) {
    const value = points[at]!
    let end = at + 1
    while (end < points.length && points[end] === value) end++
    text += `${end - at === 1 ? '' : (end - at).toString(36)}${symbol.get(value)}`
    at = end
  }
  return text
}

export function unpackClasses(text: string, points: Uint8Array): void {
  const value = new Map(SYMBOLS)
  let at = 0
  for (const [, run, name] of text.matchAll(/([0-9a-z]*)([A-Z])/g)) {
    const end = at + (run === '' ? 1 : Number.parseInt(run!, 36))
    points.fill(value.get(name!)!, at, end)
    at = end
  }
}

/**
 * Classes of all code points (0x110000 bytes) in a SharedArrayBuffer, pinned to the Unicode version of the
 * tiktoken package, whatever the host's ICU says.
 */
export function pointClasses(): Uint8Array {
  const points = new Uint8Array(new SharedArrayBuffer(0x110000))
  unpackClasses(UNICODE_CLASSES, points)
  return points
}

/** Classes of single bytes: ASCII characters, LEAD for all from 0x80. */
export function byteClasses(points: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(256)).fill(LEAD)
  bytes.set(points.subarray(0, 128))
  return bytes
}
