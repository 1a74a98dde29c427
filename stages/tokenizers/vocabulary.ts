/**
 * A tokenizer in our own form, whatever file it came from: what the tokenizer stage writes and tokenize, inspect
 * and verify read. Equal vocabularies have equal bytes, so that it does not matter to any key how they were
 * packed.
 *
 *   file = "SMVOCAB1", u32 LE length of JSON, JSON {pattern, tokens, textBytes, specials, vocabularySize, bosId}
 *          padded with spaces to 4 bytes, offsets u32[tokens+1], ids u32[tokens], bytes u8[textBytes]
 *
 * Where a text is not simply split by the pattern and merged in order of id, the JSON goes on with `rules`, and with
 * `merges`, the number of triples u32 {left, right, result} that then stand between the ids and the bytes.
 */
import type { Vocabulary } from '../../bpe/index.ts'
import { ShardmillError } from '../../errors/index.ts'

/** One step of cutting a text into pieces, as the steps of `tokenizer.json`: what is found, and what becomes of it. */
export interface SplitStep {
  readonly find:
    | { readonly regex: string }
    | { readonly text: string }
    /** Characters with a numeric value: each, or (`runs`) as many as stand together. */
    | { readonly digits: 'each' | 'runs' }
  readonly behavior: 'isolated' | 'removed' | 'merged-with-previous' | 'merged-with-next' | 'contiguous'
  readonly invert: boolean
}

/** What is done with a text besides splitting it by the pattern and merging in order of id. */
export interface TextRules {
  /** The text is brought into this form first. */
  readonly normalize?: 'NFC'
  /** Added tokens that are recognised inside a text: before it is normalized, and after. */
  readonly recognise?: { readonly raw: readonly string[]; readonly normalized: readonly string[] }
  /** Special tokens of the template that merges make as well; a text that gives one is refused, it would forge a turn. */
  readonly reserved?: readonly string[]
  /** In place of the pattern; pieces are then merged by the list of merges. */
  readonly steps?: readonly SplitStep[]
  /** A piece that is a token as a whole is that token, however its bytes would merge. */
  readonly wholeFirst?: true
}

/** What a tokenizer file holds, once read. */
export interface TokenizerFile extends Vocabulary {
  readonly name: string
  readonly specialTokens: readonly (readonly [string, number])[]
  readonly rules?: TextRules
  /** Triples of token indices {left, right, result}, in the order of merging. */
  readonly merges?: Uint32Array
  /** Ids below this are taken, also those of tokens that no text gives. */
  readonly idsBelow?: number
}

export interface StoredVocabulary extends Vocabulary {
  readonly rules?: TextRules
  readonly merges?: Uint32Array
  readonly specials: ReadonlyMap<string, number>
  /** Largest id + 1, special tokens included (tiktoken's n_vocab). */
  readonly vocabularySize: number
  /** Absent when the template needs no special tokens. */
  readonly bosId?: number
}

const magic = 'SMVOCAB1'

/**
 * Makes sure that the template's special tokens are there: appended after the vocabulary in the template's order
 * when `append` (tiktoken encodings), else an error (a tokenizer.pkl must bring its own).
 */
export function withSpecials(
  file: TokenizerFile,
  wanted: readonly string[],
  append: boolean,
): StoredVocabulary {
  const specials = new Map(file.specialTokens)
  let size = file.idsBelow ?? 0
  for (const id of file.ids) if (id >= size) size = id + 1
  for (const id of specials.values()) if (id >= size) size = id + 1
  const missing = wanted.filter((name) => !specials.has(name))
  if (missing.length > 0 && !append) {
    throw new ShardmillError(
      'BAD_TOKENIZER',
      `${file.name}: has no special token ${missing.join(', ')}, which the chat template needs`,
      {
        hint: 'Use a tokenizer that was trained with the template’s special tokens, or a tiktoken encoding (they are appended there).',
      },
    )
  }
  for (const name of missing) specials.set(name, size++)
  const { merges } = file
  const recognise = file.rules?.recognise
  const rules =
    recognise === undefined
      ? file.rules
      : { ...file.rules, recognise: { ...recognise, raw: [...recognise.raw, ...missing] } }
  return {
    pattern: file.pattern,
    bytes: file.bytes,
    offsets: file.offsets,
    ids: file.ids,
    specials,
    vocabularySize: size,
    ...(wanted[0] === undefined ? {} : { bosId: specials.get(wanted[0])! }),
    ...(rules === undefined ? {} : { rules }),
    ...(merges === undefined ? {} : { merges }),
  }
}

/** The vocabulary without the tokens (by index) that `drop` names. */
export function withoutTokens(vocabulary: Vocabulary, drop: (index: number) => boolean): Vocabulary {
  const { pattern, bytes, offsets, ids } = vocabulary
  const kept = Array.from(ids.keys()).filter((k) => !drop(k))
  const result = {
    pattern,
    bytes: new Uint8Array(kept.reduce((sum, k) => sum + offsets[k + 1]! - offsets[k]!, 0)),
    offsets: new Uint32Array(kept.length + 1),
    ids: Uint32Array.from(kept, (k) => ids[k]!),
  }
  kept.forEach((k, i) => {
    result.bytes.set(bytes.subarray(offsets[k]!, offsets[k + 1]!), result.offsets[i]!)
    result.offsets[i + 1] = result.offsets[i]! + offsets[k + 1]! - offsets[k]!
  })
  return result
}

export function encodeVocabulary(vocabulary: StoredVocabulary): Uint8Array {
  const { pattern, bytes, offsets, ids, specials, vocabularySize, bosId, rules, merges } = vocabulary
  const columns = merges === undefined ? [offsets, ids] : [offsets, ids, merges]
  const json = Buffer.from(
    JSON.stringify({
      pattern,
      tokens: ids.length,
      textBytes: bytes.length,
      specials: [...specials],
      vocabularySize,
      bosId,
      rules,
      merges: merges && merges.length / 3,
    }),
  )
  const padded = (json.length + 3) & ~3
  const size = columns.reduce((sum, column) => sum + column.byteLength, 12 + padded + bytes.length)
  const out = Buffer.alloc(size, 0x20)
  out.write(magic, 0, 'latin1')
  out.writeUInt32LE(padded, 8)
  out.set(json, 12)
  let at = 12 + padded
  for (const column of columns) {
    out.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at)
    at += column.byteLength
  }
  out.set(bytes, at)
  return out
}

export function decodeVocabulary(data: Uint8Array): StoredVocabulary {
  const bytes = new Uint8Array(data) // a copy of its own, so that columns are aligned
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== magic)
    throw new TypeError('not a vocabulary blob')
  const padded = new DataView(bytes.buffer).getUint32(8, true)
  const header = JSON.parse(Buffer.from(bytes.subarray(12, 12 + padded)).toString('utf8')) as {
    pattern: string
    tokens: number
    textBytes: number
    specials: [string, number][]
    vocabularySize: number
    bosId?: number
    rules?: TextRules
    merges?: number
  }
  const at = 12 + padded
  const mergesAt = at + 4 * (2 * header.tokens + 1)
  const bytesAt = mergesAt + 12 * (header.merges ?? 0)
  return {
    pattern: header.pattern,
    offsets: new Uint32Array(bytes.buffer, at, header.tokens + 1),
    ids: new Uint32Array(bytes.buffer, at + 4 * (header.tokens + 1), header.tokens),
    bytes: bytes.subarray(bytesAt, bytesAt + header.textBytes),
    specials: new Map(header.specials),
    vocabularySize: header.vocabularySize,
    ...(header.bosId === undefined ? {} : { bosId: header.bosId }),
    ...(header.rules === undefined ? {} : { rules: header.rules }),
    ...(header.merges === undefined
      ? {}
      : { merges: new Uint32Array(bytes.buffer, mergesAt, 3 * header.merges) }),
  }
}
