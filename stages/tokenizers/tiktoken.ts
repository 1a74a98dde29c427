/**
 * The encodings that come with the npm package `tiktoken`, `tiktoken/encoders/<name>.json`:
 *
 *   {"pat_str": "…", "special_tokens": {"<|endoftext|>": 50256}, "bpe_ranks": "! 0 IQ== Ig== …\n! 50257 …",
 *    "explicit_n_vocab": 50257}
 *
 * A line of `bpe_ranks` is "!", the id of its first token, and the tokens in base64 under ids that count up.
 */
import { z } from 'zod'
import { ShardmillError } from '../../errors/index.ts'
import { packTokenizer } from './tokenizer-file.ts'
import type { TokenizerFile } from './vocabulary.ts'

const encoderSchema = z.strictObject({
  pat_str: z.string(),
  special_tokens: z.record(z.string(), z.number()),
  bpe_ranks: z.string(),
  /** The number of ids, special tokens included, where the encoding states it. */
  explicit_n_vocab: z.number().optional(),
})

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const HINT = 'Expected one of the files tiktoken/encoders/<name>.json of the npm package tiktoken.'

/**
 * Reads such a file; `name` is the file as the user knows it.
 * @throws ShardmillError BAD_TOKENIZER when it is anything else.
 */
export function readTiktokenFile(bytes: Uint8Array, name: string): TokenizerFile {
  const bad = (why: string, cause?: unknown) =>
    new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint: HINT, cause })
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw bad('the tiktoken encoding is not JSON', cause)
  }
  const parsed = encoderSchema.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw bad(`the tiktoken encoding is wrong at ${issue.path.join('.') || 'its top'}: ${issue.message}`)
  }
  const {
    pat_str: pattern,
    special_tokens: specials,
    bpe_ranks: lines,
    explicit_n_vocab: count,
  } = parsed.data

  const tokens: Uint8Array[] = []
  const ranks: number[] = []
  for (const [number, line] of lines.split('\n').entries()) {
    if (line === '') continue
    const [mark, offset, ...texts] = line.split(' ')
    if (mark !== '!' || offset === undefined || !/^\d{1,10}$/.test(offset)) {
      throw bad(`line ${number + 1} of bpe_ranks does not start with "!" and an id`)
    }
    let rank = Number(offset)
    for (const text of texts) {
      if (!BASE64.test(text)) throw bad(`the token with id ${rank} is not base64`)
      tokens.push(Buffer.from(text, 'base64'))
      ranks.push(rank++)
    }
  }

  const file = packTokenizer(
    { pattern, tokens, ranks, specialTokens: Object.entries(specials) },
    name,
    bytes.length,
    HINT,
  )
  const total = file.ids.length + file.specialTokens.length
  const last = Math.max(file.ids.at(-1)!, file.specialTokens.at(-1)?.[1] ?? 0)
  if (count !== undefined && (total !== count || last !== count - 1)) {
    throw bad(`explicit_n_vocab is ${count}, but there are ${total} tokens with ids up to ${last}`)
  }
  return file
}
