import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Tiktoken } from 'tiktoken'
import type { Vocabulary } from '../../bpe/index.ts'

const require = createRequire(import.meta.url)

export const NANOCHAT =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,2}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
export const QWEN2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/** Python tiktoken 0.14 */
export const PYTHON_GPT2 =
  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"
export const PYTHON_CL100K =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"

interface Known {
  readonly vocabulary: Vocabulary
  /** The oracle: a tiktoken of the same ranks and pattern. */
  readonly tiktoken: () => Tiktoken
}

/** The ranks of one of npm tiktoken's encodings with its own or another split pattern. */
export function known(encoding: string, pattern?: string): Known {
  const { bpe_ranks: ranks, pat_str } = require(`tiktoken/encoders/${encoding}.json`) as Record<
    string,
    string
  >
  const tokens: Buffer[] = []
  const ids: number[] = []
  for (const line of ranks!.split('\n')) {
    const [, first, ...words] = line.split(' ')
    for (const [index, word] of words.entries()) {
      tokens.push(Buffer.from(word, 'base64'))
      ids.push(Number(first) + index)
    }
  }
  return {
    vocabulary: vocabularyOf(pattern ?? pat_str!, tokens, ids),
    tiktoken: () => new Tiktoken(ranks!, {}, pattern ?? pat_str!),
  }
}

export function vocabularyOf(pattern: string, tokens: readonly Uint8Array[], ids?: number[]): Vocabulary {
  const offsets = new Uint32Array(tokens.length + 1)
  for (const [index, token] of tokens.entries()) offsets[index + 1] = offsets[index]! + token.length
  return {
    pattern,
    bytes: Uint8Array.from(Buffer.concat(tokens)),
    offsets,
    ids: Uint32Array.from(ids ?? tokens.keys()),
  }
}

export function tiktokenOf({ pattern, bytes, offsets, ids }: Vocabulary): Tiktoken {
  const lines = Array.from(
    ids,
    (id, index) =>
      `! ${id} ${Buffer.from(bytes.subarray(offsets[index], offsets[index + 1])).toString('base64')}`,
  )
  return new Tiktoken(lines.join('\n'), {}, pattern)
}

export interface Configuration {
  readonly name: string
  readonly ranks: string
  readonly pattern?: string
}

/** All configurations that must be fast and exact. */
export const CONFIGURATIONS: readonly Configuration[] = [
  { name: 'gpt2', ranks: 'gpt2' },
  { name: 'gpt2 ranks, pattern of Python tiktoken', ranks: 'gpt2', pattern: PYTHON_GPT2 },
  { name: 'nanochat pattern over gpt2 ranks', ranks: 'gpt2', pattern: NANOCHAT },
  { name: 'p50k_base', ranks: 'p50k_base' },
  { name: 'cl100k_base', ranks: 'cl100k_base' },
  { name: 'cl100k_base ranks, pattern of Python tiktoken', ranks: 'cl100k_base', pattern: PYTHON_CL100K },
  { name: 'Qwen2 pattern over cl100k ranks', ranks: 'cl100k_base', pattern: QWEN2 },
  { name: 'o200k_base', ranks: 'o200k_base' },
]

export interface TinyTokenizer {
  readonly pattern: string
  readonly mergeable_ranks_hex: readonly string[]
  readonly encode_ordinary: ReadonlyArray<readonly [string, readonly number[]]>
}

export function tinyTokenizer(): TinyTokenizer {
  return JSON.parse(readFileSync(new URL('../fixtures/vectors/tiny-tokenizer.json', import.meta.url), 'utf8'))
}

export function tinyVocabulary(): Vocabulary {
  const { pattern, mergeable_ranks_hex } = tinyTokenizer()
  return vocabularyOf(
    pattern,
    mergeable_ranks_hex.map((hex) => Buffer.from(hex, 'hex')),
  )
}
