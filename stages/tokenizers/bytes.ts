/** The tokenizer that has bytes for tokens: for templates that write text, and the output format `text`. */
import { packTokenizer } from './tokenizer-file.ts'
import type { TokenizerFile } from './vocabulary.ts'

/** Its file: the 256 bytes in order. */
export const byteFile = Uint8Array.from({ length: 256 }, (_, byte) => byte)

export function readByteFile(bytes: Uint8Array, name: string): TokenizerFile {
  const tokens = Array.from(bytes, (byte) => Uint8Array.of(byte))
  const raw = { pattern: '[\\s\\S]', tokens, ranks: tokens.map((_, id) => id), specialTokens: [] }
  return packTokenizer(raw, name, bytes.length, 'This file comes with shardmill.')
}
