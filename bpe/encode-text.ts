import { LEAD, LETTER, SPACE, WHITE } from './classes.ts'
import { EMPTY, SHORT, shortHash } from './piece-table.ts'
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
  const { bytes, view, tables } = state
  const { short, byteKind, byteId, alone } = tables
  const mask = short.length - 1
  const shift = tables.shortShift
  const cased = tables.split.family === 'o200k'
  const mayLead = tables.split.family === 'gpt2' ? SPACE : WHITE
  let at = 0
  while (at < length && to < stop) {
    const kind = byteKind[bytes[at]!]!
    let end = 0 // not found yet
    let k0 = 0
    let k1 = 0
    let k2 = 0
    if (kind <= mayLead) {
      k0 = view.getInt32(at, true)
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
      byteKind[bytes[end]!] === LEAD || // another letter may follow
      (cased && goesOn(bytes[end]!, bytes[end - 1]!))
    ) {
      if (alone[(kind << 4) | byteKind[bytes[(at + 1) | 0]!]!] === 1) {
        out[to] = byteId[bytes[at]!]!
        to = (to + 1) | 0
        at = (at + 1) | 0
      } else {
        to = encodePiece(state, at, length, out, to, stop)
        at = state.end
      }
      continue
    }

    const hash = shortHash(k0, k1, k2)
    let slot = (hash >>> shift) << 2
    for (;;) {
      // an empty slot is no key: no piece that is looked up ends in a zero byte
      if (((short[slot]! ^ k0) | (short[slot | 1]! ^ k1) | (short[slot | 2]! ^ k2)) === 0) {
        out[to] = short[slot | 3]!
        to = (to + 1) | 0
        break
      }
      if (short[slot | 3] === EMPTY) {
        to = state.encodeShort(at, (end - at) | 0, hash, k0, k1, k2, out, to)
        break
      }
      slot = (slot + 4) & mask
    }
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
  const { short } = tables
  const mask = short.length - 1
  const hash = shortHash(k0, k1, k2)
  let slot = (hash >>> tables.shortShift) << 2
  for (;;) {
    if (((short[slot]! ^ k0) | (short[slot | 1]! ^ k1) | (short[slot | 2]! ^ k2)) === 0) {
      out[to] = short[slot | 3]!
      return to + 1
    }
    if (short[slot | 3] === EMPTY) return state.encodeShort(at, size, hash, k0, k1, k2, out, to)
    slot = (slot + 4) & mask
  }
}
