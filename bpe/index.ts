import { coreFor } from './core.ts'
import { createFallback } from './fallback.ts'
import type { EncoderTables } from './tables.ts'
import type { Vocabulary } from './vocabulary.ts'

export { buildTables, type EncoderTables, type FastTables } from './tables.ts'
export { createDecoder, type Decoder, type Vocabulary } from './vocabulary.ts'

/** Encodes text by byte-level BPE, with the ids that tiktoken's `encode_ordinary` gives. One per thread. */
export interface Encoder {
  /** Which engine: 'fast' (own scanner) or 'tiktoken' (fallback through the tiktoken package). */
  readonly engine: 'fast' | 'tiktoken'
  /**
   * Encodes the UTF-8 bytes [start, end) of `bytes` as ordinary text (special tokens are never recognised) into
   * `out` from `at`. `out` must have room for end - start more ids (a token is at least one byte). With `limit`,
   * stops soon after that many ids; those written are a prefix of the full result. The bytes must be well-formed UTF-8.
   * @returns where in `out` the ids end
   */
  encode(
    bytes: Uint8Array,
    start: number,
    end: number,
    out: Int32Array | Uint32Array,
    at: number,
    limit?: number,
  ): number
  /** Encodes a string; lone surrogates become U+FFFD, as in tiktoken. */
  encodeString(text: string): Uint32Array
}

export function createEncoder(tables: EncoderTables): Encoder {
  return tables.fast === undefined ? fallbackEncoder(tables.vocabulary) : fastEncoder(tables)
}

function fastEncoder({ fast, vocabulary }: EncoderTables): Encoder {
  const core = coreFor(fast!, vocabulary)
  const utf8 = new TextEncoder()
  // Ids are copied into one kind of array only: two would make each access ask which.
  let lastOut: Int32Array | Uint32Array | undefined
  let lastView: Int32Array = new Int32Array(0)
  return {
    engine: 'fast',
    encode(bytes, start, end, out, at, limit) {
      const length = end - start
      core.load(bytes, start, end)
      if (out !== lastOut) {
        lastOut = out
        lastView = out instanceof Int32Array ? out : new Int32Array(out.buffer, out.byteOffset, out.length)
      }
      const count = core.encode(length, limit ?? length)
      core.copyIds(count, lastView, at)
      return at + count
    },
    encodeString(string) {
      core.reserve(3 * string.length)
      const { written } = utf8.encodeInto(string, core.bytes)
      const count = core.encode(written, written)
      const ids = new Int32Array(count)
      core.copyIds(count, ids, 0)
      return new Uint32Array(ids.buffer)
    },
  }
}

function fallbackEncoder(vocabulary: Vocabulary): Encoder {
  const encodeString = createFallback(vocabulary)
  return {
    engine: 'tiktoken',
    encode(bytes, start, end, out, at, limit) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
      const ids = encodeString(text)
      const count = Math.min(ids.length, limit ?? ids.length)
      out.set(count === ids.length ? ids : ids.subarray(0, count), at)
      return at + count
    },
    encodeString,
  }
}
