import { createRequire } from 'node:module'
import type { Tiktoken } from 'tiktoken'
import { ShardmillError } from '../errors/index.ts'
import type { Vocabulary } from './vocabulary.ts'

/** Encodes strings with the tiktoken package: any pattern, any order of ids. */
export function createFallback(vocabulary: Vocabulary): (text: string) => Uint32Array {
  // Loaded only here: compiling its WebAssembly takes longer than all else a thread loads.
  const module = createRequire(import.meta.url)('tiktoken') as typeof import('tiktoken')
  let tiktoken: Tiktoken
  try {
    tiktoken = new module.Tiktoken(ranksText(vocabulary), {}, vocabulary.pattern)
  } catch (cause) {
    throw new ShardmillError('BAD_TOKENIZER', 'tiktoken does not take this tokenizer', {
      hint: `Its split pattern must be a regular expression of Rust's fancy-regex: ${vocabulary.pattern}`,
      cause,
    })
  }
  return (text) => {
    try {
      return tiktoken.encode_ordinary(text)
    } catch (cause) {
      throw new ShardmillError('BAD_TOKENIZER', `tiktoken failed on a text of ${text.length} characters`, {
        hint: 'The split pattern backtracks too far on it; simplify the pattern or split the text.',
        cause,
      })
    }
  }
}

/** The vocabulary in tiktoken's text form: per run of consecutive ids a line "! first-id token token …". */
function ranksText({ bytes, offsets, ids }: Vocabulary): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const lines: string[] = []
  for (let rank = 0; rank < ids.length; ) {
    const line = ['!', String(ids[rank])]
    const first = rank
    do {
      line.push(buffer.toString('base64', offsets[rank]!, offsets[rank + 1]!))
      rank++
    } while (rank < ids.length && ids[rank]! - ids[first]! === rank - first)
    lines.push(line.join(' '))
  }
  return lines.join('\n')
}
