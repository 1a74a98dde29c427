import { LETTER, SPACE, WHITE } from './classes.ts'
import { SHORT, shortHash, slotShift } from './piece-table.ts'
import { endOfPieceCl100k, endOfPieceGpt2, endOfPieceO200k } from './scan.ts'
import type { ThreadState } from './thread-state.ts'

/** High bit of each byte of a word that is no ASCII letter. */
function notLetters(word: number): number {
  const low = (word | 0x20202020) & 0x7f7f7f7f
  return (~((low + 0x1f1f1f1f) & ~(low + 0x05050505)) | word) & 0x80808080
}

/** High bit of each byte of a word that is an ASCII capital. */
function capitals(word: number): number {
  const low = word & 0x7f7f7f7f
  return (low + 0x3f3f3f3f) & ~(low + 0x25252525) & ~word & 0x80808080
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
 * bytes at a time, and their keys with them; single characters by their kind and the next one's; all else by
 * the byte scanner.
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
  const shift = slotShift(short)
  const { family } = tables.split
  const gpt2 = family === 'gpt2'
  const cased = family === 'o200k'
  const mayLead = gpt2 ? SPACE : WHITE
  let at = 0
  while (at < length && to < stop) {
    const first = bytes[at]!
    const kind = byteKind[first]!
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
        end = at + bytesBefore(bits)
        k0 &= (bits >>> 7) - 1
      } else {
        k1 = view.getInt32(at + 4, true)
        bits = notLetters(k1)
        if (cased) bits |= capitals(k1)
        if (bits !== 0) {
          bits &= -bits
          end = at + 4 + bytesBefore(bits)
          k1 &= (bits >>> 7) - 1
        } else {
          k2 = view.getInt32(at + 8, true)
          bits = notLetters(k2)
          if (cased) bits |= capitals(k2)
          if (bits !== 0) {
            bits &= -bits
            end = at + 8 + bytesBefore(bits)
            k2 &= (bits >>> 7) - 1
          }
        }
      }
      if (end !== 0) {
        const next = bytes[end]!
        // no letter at all, or perhaps another one beyond ASCII
        if ((end === at + 1 && kind !== LETTER) || (next >= 0x80 && next !== 0xff)) end = 0
        else if (cased && goesOn(next, bytes[end - 1]!)) end = 0
      }
    }
    if (end === 0) {
      if (alone[(kind << 4) | byteKind[bytes[at + 1]!]!] === 1) {
        out[to++] = byteId[first]!
        at++
        continue
      }
      if (gpt2) end = endOfPieceGpt2(state, at)
      else if (cased) end = endOfPieceO200k(state, at)
      else end = endOfPieceCl100k(state, at)
      if (end > length) end = length // damaged UTF-8 at the end
      const size = end - at
      if (size > SHORT || bytes[end - 1] === 0) {
        to = state.encodeLong(at, end, out, to, stop)
        at = end
        continue
      }
      const cut = -1 >>> (-size << 3)
      k0 = view.getInt32(at, true)
      k1 = 0
      k2 = 0
      if (size <= 4) k0 &= cut
      else {
        k1 = view.getInt32(at + 4, true)
        if (size <= 8) k1 &= cut
        else k2 = view.getInt32(at + 8, true) & cut
      }
    }

    const hash = shortHash(k0, k1, k2)
    let slot = (hash >>> shift) << 2
    for (;;) {
      // an empty slot is no key: no piece that is looked up ends in a zero byte
      if (((short[slot]! ^ k0) | (short[slot + 1]! ^ k1) | (short[slot + 2]! ^ k2)) === 0) {
        out[to++] = short[slot + 3]! - 1
        break
      }
      if (short[slot + 3] === 0) {
        to = state.encodeShort(at, end - at, hash, k0, k1, k2, out, to)
        break
      }
      slot = (slot + 4) & mask
    }
    at = end
  }
  return to
}
