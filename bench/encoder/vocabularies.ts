import { createRequire } from 'node:module'
import { Tiktoken } from 'tiktoken'
import type { Vocabulary } from '../../bpe/index.ts'

export interface BenchVocabulary {
  readonly name: string
  readonly vocabulary: Vocabulary
  readonly tiktoken: () => Tiktoken
  /** For Python: a file with tiktoken's ranks, and the pattern. */
  readonly python: { readonly ranks: string; readonly pattern: string }
}

const require = createRequire(import.meta.url)

const nanochat =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,2}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
const qwen2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** name, ranks of npm tiktoken, split pattern if it is another */
const known: ReadonlyArray<readonly [string, string, string?]> = [
  ['gpt2', 'gpt2'],
  ['nanochat', 'gpt2', nanochat],
  ['cl100k_base', 'cl100k_base'],
  ['qwen2', 'cl100k_base', qwen2],
  ['o200k_base', 'o200k_base'],
]

export function vocabularies(names: readonly string[] = known.map(([name]) => name)): BenchVocabulary[] {
  return names.map((name) => {
    const found = known.find(([other]) => other === name)
    if (found === undefined) throw new Error(`${name} is none of ${known.map(([other]) => other).join(', ')}`)
    return load(...found)
  })
}

function load(name: string, encoding: string, otherPattern?: string): BenchVocabulary {
  const file = require.resolve(`tiktoken/encoders/${encoding}.json`)
  const { bpe_ranks: ranks, pat_str } = require(file) as { bpe_ranks: string; pat_str: string }
  const pattern = otherPattern ?? pat_str
  const tokens: Buffer[] = []
  const ids: number[] = []
  for (const line of ranks.split('\n')) {
    const [, first, ...words] = line.split(' ')
    for (const [index, word] of words.entries()) {
      tokens.push(Buffer.from(word, 'base64'))
      ids.push(Number(first) + index)
    }
  }
  const offsets = new Uint32Array(tokens.length + 1)
  for (const [index, token] of tokens.entries()) offsets[index + 1] = offsets[index]! + token.length
  return {
    name,
    vocabulary: {
      pattern,
      bytes: Uint8Array.from(Buffer.concat(tokens)),
      offsets,
      ids: Uint32Array.from(ids),
    },
    tiktoken: () => new Tiktoken(ranks, {}, pattern),
    python: { ranks: file, pattern },
  }
}
