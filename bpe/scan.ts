import {
  APOSTROPHE,
  KIND,
  LEAD,
  LETTER,
  LOWERISH,
  NEWLINE,
  NUMBER,
  OTHER,
  SPACE,
  UPPERISH,
  WHITE,
} from './classes.ts'

/**
 * Finds where pieces end, byte by byte: all that the fast paths in encode-text.ts leave over. The text lies
 * in `bytes` from 0, followed by 0xFF bytes, which are in no UTF-8 and of no class.
 */
export interface Text {
  bytes: Uint8Array
  readonly byteClass: Uint8Array
  readonly pointClass: Uint8Array
  readonly digits: number
  readonly tailWhole: boolean
}

/**
 * Class of the character at `at` in the low byte and its length in bytes above; LEAD and length 0 at the end.
 */
function classAt(text: Text, at: number): number {
  const { bytes } = text
  const byte = bytes[at]!
  if (byte < 0x80) return text.byteClass[byte]! | 0x100
  if (byte === 0xff) return LEAD
  return leadClass(text, at, byte)
}

function leadClass({ bytes, pointClass }: Text, at: number, byte: number): number {
  if (byte < 0xe0) return pointClass[((byte & 0x1f) << 6) | (bytes[at + 1]! & 0x3f)]! | 0x200
  const two = ((bytes[at + 1]! & 0x3f) << 6) | (bytes[at + 2]! & 0x3f)
  if (byte < 0xf0) return pointClass[((byte & 0x0f) << 12) | two]! | 0x300
  return pointClass[((byte & 0x07) << 18) | (two << 6) | (bytes[at + 3]! & 0x3f)]! | 0x400
}

/** End of the run of \p{L}, \p{N} (`kind`) that begins at or before `at`. */
function endOfRun(text: Text, at: number, kind: number): number {
  for (;;) {
    const found = classAt(text, at)
    if ((found & KIND) !== kind) return at
    at += found >>> 8
  }
}

/** End of the run of [^\s\p{L}\p{N}]. */
function endOfOthers(text: Text, at: number): number {
  for (;;) {
    const found = classAt(text, at)
    const kind = found & KIND
    if (kind !== OTHER && kind !== APOSTROPHE) return at
    at += found >>> 8
  }
}

function endOfNumber(text: Text, at: number): number {
  for (let left = text.digits; left > 0; left--) {
    const found = classAt(text, at)
    if ((found & KIND) !== NUMBER) break
    at += found >>> 8
  }
  return at
}

/** The whitespace rules of gpt2: all at the end of the text, else all but the last character, else that one. */
function endOfSpace(text: Text, at: number): number {
  const start = at
  let last = at
  for (;;) {
    const found = classAt(text, at)
    const kind = found & KIND
    if (kind !== SPACE && kind !== WHITE && kind !== NEWLINE) {
      return found === LEAD || last === start ? at : last
    }
    last = at
    at += found >>> 8
  }
}

/** The whitespace rules of the later patterns: up to and with the last line end if there is one, else as gpt2. */
function endOfSpaceOrLines(text: Text, at: number): number {
  const start = at
  let last = at
  let lines = 0
  for (;;) {
    const found = classAt(text, at)
    const kind = found & KIND
    if (kind !== SPACE && kind !== WHITE && kind !== NEWLINE) {
      if (found === LEAD && text.tailWhole) return at
      if (lines !== 0) return lines
      return found === LEAD || last === start ? at : last
    }
    last = at
    at += found >>> 8
    if (kind === NEWLINE) lines = at
  }
}

/** End of `'` and what may follow it in a contraction, or `at` when none begins there. */
function endOfContraction({ bytes }: Text, at: number, fold: number): number {
  const first = bytes[at + 1]! | fold
  if (first === 0x73 || first === 0x64 || first === 0x6d || first === 0x74) return at + 2
  const second = bytes[at + 2]! | fold
  if (first === 0x6c && second === 0x6c) return at + 3
  if ((first === 0x76 || first === 0x72) && second === 0x65) return at + 3
  // U+017F folds to s
  if (fold !== 0 && bytes[at + 1] === 0xc5 && bytes[at + 2] === 0xbf) return at + 3
  return at
}

/** End of the piece at `at` by the gpt2 pattern. */
export function endOfPieceGpt2(text: Text, at: number): number {
  let found = classAt(text, at)
  if (found === LEAD) return at + 1 // no UTF-8: go on all the same
  let kind = found & KIND
  let next = at + (found >>> 8)
  if (kind === APOSTROPHE) {
    const end = endOfContraction(text, at, 0)
    if (end !== at) return end
  } else if (kind === SPACE) {
    found = classAt(text, next)
    kind = found & KIND
    if (found === LEAD || kind === SPACE || kind === WHITE || kind === NEWLINE) return endOfSpace(text, at)
    next += found >>> 8
  }
  if (kind === LETTER || kind === NUMBER) return endOfRun(text, next, kind)
  if (kind === OTHER || kind === APOSTROPHE) return endOfOthers(text, next)
  return endOfSpace(text, at)
}

/** End of the piece at `at` by the cl100k pattern and its kin. */
export function endOfPieceCl100k(text: Text, at: number): number {
  const found = classAt(text, at)
  if (found === LEAD) return at + 1
  const kind = found & KIND
  const next = at + (found >>> 8)
  if (kind === LETTER) return endOfRun(text, next, LETTER)
  if (kind === NUMBER) return endOfNumber(text, at)
  if (kind === NEWLINE) return endOfSpaceOrLines(text, at)
  if (kind === APOSTROPHE) {
    const end = endOfContraction(text, at, 0x20)
    if (end !== at) return end
  }
  const after = classAt(text, next)
  const afterKind = after & KIND
  if (afterKind === LETTER) return endOfRun(text, next, LETTER)
  if (kind === SPACE) {
    if (afterKind !== OTHER && afterKind !== APOSTROPHE) return endOfSpaceOrLines(text, at)
  } else if (kind === WHITE) return endOfSpaceOrLines(text, at)
  let end = endOfOthers(text, next)
  const { bytes } = text
  while (bytes[end] === 0x0a || bytes[end] === 0x0d) end++
  return end
}

/** End of the piece at `at` by the o200k pattern. */
export function endOfPieceO200k(text: Text, at: number): number {
  const found = classAt(text, at)
  if (found === LEAD) return at + 1
  const kind = found & KIND
  if (kind === NUMBER) return endOfNumber(text, at)
  if (kind === NEWLINE) return endOfSpaceOrLines(text, at)
  const next = at + (found >>> 8)
  const word = endOfCased(text, at, kind === LETTER ? at : next, (found & UPPERISH) !== 0)
  if (word !== at) {
    const end = endOfContraction(text, word, 0x20)
    return text.bytes[word] === 0x27 ? end : word
  }
  if (kind === SPACE) {
    const after = classAt(text, next) & KIND
    if (after !== OTHER && after !== APOSTROPHE) return endOfSpaceOrLines(text, at)
  } else if (kind === WHITE) return endOfSpaceOrLines(text, at)
  let end = endOfOthers(text, next)
  const { bytes } = text
  while (bytes[end] === 0x0a || bytes[end] === 0x0d || bytes[end] === 0x2f) end++
  return end
}

/**
 * End of a word by o200k's first two alternatives, `at` when there is none: upper* lower+ with a character before
 * it (`at` < `start`), else the same without (only a mark can be both), else upper+.
 */
function endOfCased(text: Text, at: number, start: number, mark: boolean): number {
  let end = start
  let both = 0 // end of the last character that upper* can leave to lower+
  let found = classAt(text, end)
  while ((found & UPPERISH) !== 0) {
    end += found >>> 8
    if ((found & LOWERISH) !== 0) both = end
    found = classAt(text, end)
  }
  if ((found & LOWERISH) !== 0) {
    do {
      end += found >>> 8
      found = classAt(text, end)
    } while ((found & LOWERISH) !== 0)
    return end
  }
  if (both !== 0) return both
  if (at < start && mark) return start
  return end > start ? end : at
}
