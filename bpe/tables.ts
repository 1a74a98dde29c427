import { createHash } from 'node:crypto'
import { ShardmillError } from '../errors/index.ts'
import { byteClasses, KIND, pointClasses } from './classes.ts'
import { buildMergeTables, type MergeTables, NONE } from './merge-tables.ts'
import { recognisePattern, type Split } from './patterns.ts'
import { buildPieceTables, type PieceTables } from './piece-table.ts'
import { END } from './single.ts'
import { sortVocabulary, type Vocabulary } from './vocabulary.ts'

/** What the own scanner needs. */
export interface FastTables {
  /** Equal for equal tables only: threads know by it what they have. */
  readonly key: string
  readonly split: Split
  /** Class of each byte and of each code point (classes.ts). */
  readonly byteClass: Uint8Array
  readonly pointClass: Uint8Array
  readonly pieces: PieceTables
  readonly merge: MergeTables
}

/**
 * Everything an encoder needs, in SharedArrayBuffers and plain values: built once, sent to worker threads for free
 * (structured clone shares it). Without `fast`, encoders work through the tiktoken package.
 */
export interface EncoderTables {
  readonly vocabulary: Vocabulary
  readonly fast: FastTables | undefined
}

/**
 * Builds the tables of a vocabulary. A split pattern of no known family, or ids that are not in merge order,
 * give tables without `fast`.
 * @throws BAD_TOKENIZER when the vocabulary is damaged or lacks a single byte (no text with that byte could be encoded)
 */
export function buildTables(vocabulary: Vocabulary): EncoderTables {
  const sorted = sortVocabulary(vocabulary)
  requireAllBytes(sorted)
  return { vocabulary: sorted, fast: buildFast(sorted) }
}

function buildFast(vocabulary: Vocabulary): FastTables | undefined {
  const { pattern, ids } = vocabulary
  const split = recognisePattern(pattern)
  if (split === undefined || ids[ids.length - 1]! >= NONE) return undefined
  const merge = buildMergeTables(vocabulary)
  if (merge === undefined) return undefined
  const pointClass = pointClasses()
  const byteClass = byteClasses(pointClass)
  const kinds = byteClass.map((value, byte) => (byte === 0xff ? END : value & KIND))
  const pieces = buildPieceTables(vocabulary, split, kinds)
  return pieces && { key: keyOf(vocabulary), split, byteClass, pointClass, pieces, merge }
}

function keyOf({ pattern, bytes, offsets, ids }: Vocabulary): string {
  const hash = createHash('sha256').update(`${pattern.length} ${pattern} ${ids.length} `)
  return hash.update(bytes).update(offsets).update(ids).digest('hex')
}

function requireAllBytes({ bytes, offsets, ids }: Vocabulary): void {
  const seen = new Uint8Array(256)
  for (let rank = 0; rank < ids.length; rank++) {
    if (offsets[rank + 1]! - offsets[rank]! === 1) seen[bytes[offsets[rank]!]!] = 1
  }
  const missing = seen.indexOf(0)
  if (missing < 0) return
  const name = `0x${missing.toString(16).padStart(2, '0')}`
  throw new ShardmillError('BAD_TOKENIZER', `the vocabulary has no token for the single byte ${name}`, {
    hint: 'Byte-level BPE needs all 256 single bytes among its tokens.',
  })
}
