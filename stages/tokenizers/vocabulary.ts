/**
 * A tokenizer in our own form, whatever file it came from: what the tokenizer stage writes and tokenize, inspect
 * and verify read. Equal vocabularies have equal bytes, so that it does not matter to any key how they were
 * packed.
 *
 *   file = "SMVOCAB1", u32 LE length of JSON, JSON {pattern, tokens, textBytes, specials, vocabularySize, bosId}
 *          padded with spaces to 4 bytes, offsets u32[tokens+1], ids u32[tokens], bytes u8[textBytes]
 */
import type { Vocabulary } from '../../bpe/index.ts'
import { ShardmillError } from '../../errors/index.ts'

/** What a tokenizer file holds, once read. */
export interface TokenizerFile extends Vocabulary {
  readonly name: string
  readonly specialTokens: readonly (readonly [string, number])[]
}

export interface StoredVocabulary extends Vocabulary {
  readonly specials: ReadonlyMap<string, number>
  /** Largest id + 1, special tokens included (tiktoken's n_vocab). */
  readonly vocabularySize: number
  readonly bosId: number
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
  let size = 0
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
  return {
    pattern: file.pattern,
    bytes: file.bytes,
    offsets: file.offsets,
    ids: file.ids,
    specials,
    vocabularySize: size,
    bosId: specials.get(wanted[0]!)!,
  }
}

export function encodeVocabulary(vocabulary: StoredVocabulary): Uint8Array {
  const { pattern, bytes, offsets, ids, specials, vocabularySize, bosId } = vocabulary
  const json = Buffer.from(
    JSON.stringify({
      pattern,
      tokens: ids.length,
      textBytes: bytes.length,
      specials: [...specials],
      vocabularySize,
      bosId,
    }),
  )
  const padded = (json.length + 3) & ~3
  const out = Buffer.alloc(12 + padded + 4 * offsets.length + 4 * ids.length + bytes.length, 0x20)
  out.write(magic, 0, 'latin1')
  out.writeUInt32LE(padded, 8)
  out.set(json, 12)
  let at = 12 + padded
  for (const column of [offsets, ids]) {
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
    bosId: number
  }
  const at = 12 + padded
  return {
    pattern: header.pattern,
    offsets: new Uint32Array(bytes.buffer, at, header.tokens + 1),
    ids: new Uint32Array(bytes.buffer, at + 4 * (header.tokens + 1), header.tokens),
    bytes: bytes.subarray(
      at + 4 * (2 * header.tokens + 1),
      at + 4 * (2 * header.tokens + 1) + header.textBytes,
    ),
    specials: new Map(header.specials),
    vocabularySize: header.vocabularySize,
    bosId: header.bosId,
  }
}
