import { ShardmillError } from '../../errors/index.ts'
import type { TokenizerFile } from './vocabulary.ts'

/** What a reader found in a tokenizer file, not yet checked. */
export interface RawTokenizer {
  readonly pattern: string
  /** Bytes and rank of each token, in the file's order. */
  readonly tokens: readonly Uint8Array[]
  readonly ranks: readonly number[]
  readonly specialTokens: readonly (readonly [string, number])[]
}

/** Ids beyond this fit neither our columns' users nor any encoder. */
const MAX_ID = 2 ** 31 - 1

/**
 * Checks a tokenizer and packs it into columns, tokens and special tokens in ascending order of id, so that equal
 * tokenizers are equal whatever file they came from.
 *
 * @param name the file as the user knows it; becomes the result's name.
 * @param inputBytes size of the file. Distinct tokens cannot be longer than the file that lists them, which keeps a
 *   file that refers to one long string again and again from filling the memory.
 * @throws ShardmillError BAD_TOKENIZER: ids not unique, negative or too large; a token empty, repeated or missing of
 *   the 256 single bytes; a special token with no text, repeated or with a token's id.
 */
export function packTokenizer(
  raw: RawTokenizer,
  name: string,
  inputBytes: number,
  hint: string,
): TokenizerFile {
  const bad = (why: string) => new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint })
  const { tokens, ranks, pattern } = raw
  if (pattern === '') throw bad('the split pattern is empty')
  const size = tokens.reduce((sum, token) => sum + token.length, 0)
  if (size > inputBytes) throw bad('tokens are repeated')

  const specials = raw.specialTokens
  /** What has an id: a token's index, or the number of tokens plus a special token's. */
  const owners = new Map<number, number>()
  const ownerName = (owner: number) =>
    owner < tokens.length
      ? `the token with bytes ${shorten(hex(tokens[owner]!))}`
      : `the special token ${JSON.stringify(specials[owner - tokens.length]![0])}`
  function claim(id: number, owner: number): void {
    if (!Number.isInteger(id) || id < 0 || id > MAX_ID) {
      throw bad(`the id of ${ownerName(owner)} is ${id}, not 0 to 2^31 - 1`)
    }
    const other = owners.get(id)
    if (other !== undefined) throw bad(`${ownerName(other)} and ${ownerName(owner)} have the same id ${id}`)
    owners.set(id, owner)
  }

  const known = new Set<string>()
  for (let k = 0; k < tokens.length; k++) {
    const text = hex(tokens[k]!)
    if (text === '') throw bad(`the token with id ${ranks[k]} is empty`)
    if (known.has(text)) throw bad(`${ownerName(k)} is there twice`)
    known.add(text)
    claim(ranks[k]!, k)
  }
  for (let byte = 0; byte < 256; byte++) {
    const text = hex(Uint8Array.of(byte))
    if (!known.has(text)) throw bad(`there is no token for the single byte 0x${text}`)
  }
  const specialNames = new Set<string>()
  for (const [k, [special, id]] of specials.entries()) {
    if (special === '') throw bad('a special token has no text')
    if (specialNames.has(special)) throw bad(`${ownerName(tokens.length + k)} is there twice`)
    specialNames.add(special)
    claim(id, tokens.length + k)
  }

  const order = Uint32Array.from(tokens, (_, k) => k).sort((a, b) => ranks[a]! - ranks[b]!)
  const bytes = new Uint8Array(size)
  const offsets = new Uint32Array(tokens.length + 1)
  const ids = new Uint32Array(tokens.length)
  order.forEach((from, k) => {
    bytes.set(tokens[from]!, offsets[k]!)
    offsets[k + 1] = offsets[k]! + tokens[from]!.length
    ids[k] = ranks[from]!
  })
  const specialTokens = specials.toSorted((a, b) => a[1] - b[1])
  return { name, pattern, bytes, offsets, ids, specialTokens }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function shorten(text: string): string {
  return text.length <= 32 ? text : `${text.slice(0, 32)}…`
}
