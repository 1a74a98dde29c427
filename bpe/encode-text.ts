import { LEAD, LETTER, SPACE, WHITE } from './classes.ts'
import { ALONE, BYTE_IDS, EMPTY, findShort, findTiny, KINDS, SHORT } from './piece-table.ts'
import { endOfPieceCl100k, endOfPieceGpt2, endOfPieceO200k } from './scan.ts'
import type { ThreadState } from './thread-state.ts'

/** High bit of each byte of a word that is no ASCII letter. */
function notLetters(word: number): number {
  const low = (word | 0x20202020) & 0x7f7f7f7f
  return (~((low + 0x1f1f1f1f) | 0) | ((low + 0x05050505) | 0) | word) & 0x80808080
}

/** High bit of each byte of a word that is an ASCII capital. */
function capitals(word: number): number {
  const low = word & 0x7f7f7f7f
  return ((low + 0x3f3f3f3f) | 0) & ~((low + 0x25252525) | 0) & ~word & 0x80808080
}

/** How many bytes come before the one with this high bit. */
function bytesBefore(bit: number): number {
  return (31 - Math.clz32(bit)) >> 3
}

/** True for a byte after which a run of ASCII letters is no whole word of o200k: a contraction, or a capital after a capital. */
function goesOn(next: number, before: number): boolean {
  return next === 0x27 || (before < 0x61 && next >= 0x41 && next <= 0x5a)
}

/**
 * Encodes the `length` bytes of the state's text. ASCII words, with the character before them, are found four
 * bytes at a time, and their keys with them; single characters by their kind and the next one's; all else goes
 * to the slower way below.
 * @returns where in `out` the ids end; not before `stop` unless the text ends there
 */
export function encodeText(
  state: ThreadState,
  length: number,
  out: Int32Array,
  to: number,
  stop: number,
): number {
  const { view, tables } = state
  const { words, tinyAt, tinyShift, shortAt, shortShift } = tables.pieces
  const cased = tables.split.family === 'o200k'
  const mayLead = tables.split.family === 'gpt2' ? SPACE : WHITE
  let at = 0
  while (at < length && to < stop) {
    const first = view.getInt32(at, true)
    const kind = words[KINDS + (first & 0xff)]!
    let end = 0 // not found yet
    let k0 = first
    let k1 = 0
    let k2 = 0
    if (kind <= mayLead) {
      let bits = notLetters(k0) & 0x80808000
      if (cased) bits |= capitals(k0) & (kind === LETTER ? 0x80808000 : 0x80800000)
      if (bits !== 0) {
        bits &= -bits
        end = (at + bytesBefore(bits)) | 0
        k0 &= (bits >>> 7) - 1
      } else {
        k1 = view.getInt32((at + 4) | 0, true)
        bits = notLetters(k1)
        if (cased) bits |= capitals(k1)
        if (bits !== 0) {
          bits &= -bits
          end = (at + 4 + bytesBefore(bits)) | 0
          k1 &= (bits >>> 7) - 1
        } else {
          k2 = view.getInt32((at + 8) | 0, true)
          bits = notLetters(k2)
          if (cased) bits |= capitals(k2)
          if (bits !== 0) {
            bits &= -bits
            end = (at + 8 + bytesBefore(bits)) | 0
            k2 &= (bits >>> 7) - 1
          }
        }
      }
    }
    if (
      end === 0 ||
      (kind !== LETTER && end === ((at + 1) | 0)) ||
      words[KINDS + view.getUint8(end)] === LEAD || // another letter may follow
      (cased && goesOn(view.getUint8(end), view.getUint8((end - 1) | 0)))
    ) {
      if (words[ALONE + ((kind << 4) | words[KINDS + ((first >>> 8) & 0xff)]!)] === 1) {
        out[to] = words[BYTE_IDS + (first & 0xff)]!
        to = (to + 1) | 0
        at = (at + 1) | 0
      } else {
        to = encodePiece(state, at, length, out, to, stop)
        at = state.end
      }
      continue
    }

    const id =
      (k1 | k2) === 0
        ? findTiny(words, tinyAt, tinyShift, k0)
        : findShort(words, shortAt, shortShift, k0, k1, k2)
    if (id !== EMPTY) {
      out[to] = id
      to = (to + 1) | 0
    } else to = state.encodeShort(at, end, k0, k1, k2, out, to)
    at = end
  }
  return to
}

/** Encodes the one piece at `at`; leaves its end in the state. @returns where in `out` the ids end */
function encodePiece(
  state: ThreadState,
  at: number,
  length: number,
  out: Int32Array,
  to: number,
  stop: number,
): number {
  const { bytes, view, tables } = state
  const { family } = tables.split
  let end =
    family === 'gpt2'
      ? endOfPieceGpt2(state, at)
      : family === 'cl100k'
        ? endOfPieceCl100k(state, at)
        : endOfPieceO200k(state, at)
  if (end > length) end = length // damaged UTF-8 at the end
  state.end = end
  const size = end - at
  if (size > SHORT || bytes[end - 1] === 0) return state.encodeLong(at, end, out, to, stop)
  const cut = -1 >>> (-size << 3)
  let k0 = view.getInt32(at, true)
  let k1 = 0
  let k2 = 0
  if (size <= 4) k0 &= cut
  else {
    k1 = view.getInt32(at + 4, true)
    if (size <= 8) k1 &= cut
    else k2 = view.getInt32(at + 8, true) & cut
  }
  const { words, tinyAt, tinyShift, shortAt, shortShift } = tables.pieces
  const id =
    (k1 | k2) === 0
      ? findTiny(words, tinyAt, tinyShift, k0)
      : findShort(words, shortAt, shortShift, k0, k1, k2)
  if (id === EMPTY) return state.encodeShort(at, end, k0, k1, k2, out, to)
  out[to] = id
  return to + 1
}
