import { LETTER, SPACE, WHITE } from './classes.ts'
import { type Learner, SHORT } from './learner.ts'
import { MULTI, shortHash } from './piece-table.ts'
import { endOfPieceCl100k, endOfPieceGpt2, endOfPieceO200k } from './scan.ts'

/** High bit of each byte of a little-endian word that is no ASCII letter. */
function notLetters(word: number): number {
  const low = (word | 0x20202020) & 0x7f7f7f7f
  return (~((low + 0x1f1f1f1f) & ~(low + 0x05050505)) | word) & 0x80808080
}

/** Which byte of a word, 0 to 3, has the lowest of the high bits. */
function firstByte(bits: number): number {
  return (31 - Math.clz32(bits & -bits)) >> 3
}

/**
 * Encodes the `length` bytes of the learner's text. ASCII words, with the character before them, are found
 * four bytes at a time; everything else by the byte scanner.
 * @returns where in `out` the ids end; not before `stop` unless the text ends there
 */
export function encodeText(
  learner: Learner,
  length: number,
  out: Int32Array,
  to: number,
  stop: number,
): number {
  const { bytes, view, byteClass, short, shift, arena } = learner
  const mask = short.length - 1
  const { family } = learner.tables.split
  const gpt2 = family === 'gpt2'
  const mayLead = gpt2 ? SPACE : WHITE
  const cased = family === 'o200k'
  let at = 0
  while (at < length && to < stop) {
    let end = 0
    const kind = byteClass[bytes[at]!]! & 7
    if (!cased && kind <= mayLead) {
      let bits = notLetters(view.getInt32(at, true)) & 0x80808000
      if (bits !== 0) end = at + firstByte(bits)
      else {
        bits = notLetters(view.getInt32(at + 4, true))
        if (bits !== 0) end = at + 4 + firstByte(bits)
        else {
          bits = notLetters(view.getInt32(at + 8, true))
          if (bits !== 0) end = at + 8 + firstByte(bits)
          else {
            end = at + 12
            while ((byteClass[bytes[end]!]! & 7) === LETTER) end++
          }
        }
      }
      // a letter beyond ASCII may follow, or the lead be no lead
      if (((bytes[end]! + 1) & 0xff) > 0x80 || (end === at + 1 && kind !== LETTER)) end = 0
    }
    if (end === 0) {
      end = gpt2
        ? endOfPieceGpt2(learner, at)
        : cased
          ? endOfPieceO200k(learner, at)
          : endOfPieceCl100k(learner, at)
    }

    const size = end - at
    if (size > SHORT) {
      to = learner.encodeLong(at, end, out, to, stop)
      at = end
      continue
    }
    let k0 = view.getInt32(at, true)
    let k1 = 0
    let k2 = 0
    if (size <= 4) k0 &= -1 >>> (-size << 3)
    else {
      k1 = view.getInt32(at + 4, true)
      if (size <= 8) k1 &= -1 >>> (-size << 3)
      else k2 = view.getInt32(at + 8, true) & (-1 >>> (-size << 3))
    }
    let slot = (shortHash(k0, k1, k2) >>> shift) << 2
    for (;;) {
      const value = short[slot + 3]!
      if (
        ((short[slot]! ^ k0) | (short[slot + 1]! ^ k1) | (short[slot + 2]! ^ k2) | ((value & 15) ^ size)) ===
        0
      ) {
        if ((value & MULTI) === 0) out[to++] = value >>> 5
        else {
          let from = value >>> 5
          for (let left = arena[from]!; left > 0; left--) out[to++] = arena[++from]!
        }
        break
      }
      if (value === 0) {
        to = learner.learnShort(at, size, k0, k1, k2, slot, out, to)
        break
      }
      slot = (slot + 4) & mask
    }
    at = end
  }
  return to
}
