import { ShardmillError } from '../../../errors/index.ts'

/**
 * The words of a word list, as the reference's pre-tokenizer reads it: UTF-8 text, lines ended by \n, \r\n or \r,
 * each line stripped as Python strips it, empty lines dropped. Order and repeated words are kept: both decide what
 * `choice` picks. A byte order mark stays part of the first word, as it does there.
 *
 * @throws ShardmillError BAD_FILE when the bytes are not UTF-8 (with the line) or hold no word.
 */
export function parseWords(bytes: Uint8Array, file: string): string[] {
  const words: string[] = []
  for (const line of decodeUtf8(bytes, file).split(/\r\n|\r|\n/)) {
    const word = strip(line)
    if (word !== '') words.push(word)
  }
  if (words.length === 0) {
    throw new ShardmillError('BAD_FILE', 'the word list holds no words', {
      at: { file },
      hint: 'Give a UTF-8 text file with one word a line.',
    })
  }
  return words
}

/** Words to pick from; an array of strings is one. */
export interface WordList {
  readonly length: number
  at(index: number): string | undefined
}

/**
 * The same words in two objects instead of one each: with hundreds of thousands of strings alive, every collection
 * of garbage would go through them all.
 */
export function packWords(words: readonly string[]): WordList {
  const text = words.join('')
  const ends = new Uint32Array(words.length)
  let end = 0
  for (let i = 0; i < words.length; i++) {
    end += words[i]!.length
    ends[i] = end
  }
  return {
    length: words.length,
    at: (index) => text.slice(index === 0 ? 0 : ends[index - 1], ends[index]),
  }
}

/** Python's `str.strip()`. */
export function strip(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isPythonSpace(text.charCodeAt(start))) start++
  while (end > start && isPythonSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

/** Python's `str.isspace`: unlike JavaScript's `trim` it knows U+001C to U+001F and U+0085, and not U+FEFF. */
function isPythonSpace(code: number): boolean {
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f)
  if (code < 0x1680) return code === 0x85 || code === 0xa0
  if (code < 0x2000) return code === 0x1680
  if (code <= 0x200a) return true
  return code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f || code === 0x3000
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ShardmillError('BAD_FILE', 'the word list is not UTF-8 text', {
      at: { file, line: lineOfBadUtf8(bytes) },
      hint: 'Save the word list as UTF-8, one word a line.',
      cause,
    })
  }
}

/** The first line (1-based) that is not UTF-8. Line ends are single bytes that are no part of any other character. */
function lineOfBadUtf8(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let start = 0
  for (let line = 1; start < bytes.length; line++) {
    let end = start
    while (end < bytes.length && bytes[end] !== 0x0a && bytes[end] !== 0x0d) end++
    try {
      decoder.decode(bytes.subarray(start, end))
    } catch {
      return line
    }
    start = bytes[end] === 0x0d && bytes[end + 1] === 0x0a ? end + 2 : end + 1
  }
  throw new TypeError('every line is UTF-8, yet the whole is not')
}
