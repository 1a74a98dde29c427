import { ShardmillError } from '../errors/index.ts'

/**
 * A byte-level BPE vocabulary. The token with index i has the bytes `bytes[offsets[i]..offsets[i+1])` and the
 * id `ids[i]`; its rank is its id. `pattern` is the split pattern's exact text. Special tokens are not part of it.
 */
export interface Vocabulary {
  readonly pattern: string
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
  readonly ids: Uint32Array
}

/**
 * A copy of the vocabulary in ascending id order, in SharedArrayBuffers.
 * @throws BAD_TOKENIZER when offsets do not fit the bytes, a token is empty or an id occurs twice.
 */
export function sortVocabulary(vocabulary: Vocabulary): Vocabulary {
  const { pattern, bytes, offsets, ids } = vocabulary
  const count = ids.length
  if (offsets.length !== count + 1) {
    throw bad(`${count} tokens need ${count + 1} offsets, there are ${offsets.length}`)
  }
  let sorted = true
  for (let index = 0; index < count; index++) {
    if (offsets[index + 1]! <= offsets[index]!) throw bad(`token ${ids[index]} has no bytes`)
    if (index > 0 && ids[index]! <= ids[index - 1]!) sorted = false
  }
  if (count > 0 && (offsets[0] !== 0 || offsets[count]! > bytes.length)) {
    throw bad(
      `the token offsets go from ${offsets[0]} to ${offsets[count]}, in ${bytes.length} bytes of tokens`,
    )
  }
  const order = new Uint32Array(count)
  for (let index = 0; index < count; index++) order[index] = index
  if (!sorted) order.sort((a, b) => ids[a]! - ids[b]!)

  const result = {
    pattern,
    bytes: shared(Uint8Array, count === 0 ? 0 : offsets[count]!),
    offsets: shared(Uint32Array, count + 1),
    ids: shared(Uint32Array, count),
  }
  if (sorted) {
    result.bytes.set(bytes.subarray(0, result.bytes.length))
    result.offsets.set(offsets)
    result.ids.set(ids)
    return result
  }
  for (let rank = 0, at = 0; rank < count; rank++) {
    const index = order[rank]!
    if (rank > 0 && ids[index] === ids[order[rank - 1]!]) throw bad(`id ${ids[index]} is given to two tokens`)
    result.ids[rank] = ids[index]!
    result.bytes.set(bytes.subarray(offsets[index]!, offsets[index + 1]!), at)
    at += offsets[index + 1]! - offsets[index]!
    result.offsets[rank + 1] = at
  }
  return result
}

export interface Decoder {
  /** The bytes of the tokens back to back (not always well-formed UTF-8). Throws BAD_TOKENIZER on an unknown id. */
  decode(ids: ArrayLike<number>): Uint8Array
  /** The bytes of one token, as a view that must not be written to. */
  tokenBytes(id: number): Uint8Array
}

/** Ids to bytes. Special tokens are the caller's: their ids are unknown here. */
export function createDecoder(vocabulary: Vocabulary): Decoder {
  const { bytes, offsets, ids } = sortVocabulary(vocabulary)
  const dense = ids.length > 0 && ids[ids.length - 1] === ids.length - 1
  const byId = dense ? undefined : new Map(Array.from(ids, (id, index) => [id, index]))
  const find = (id: number): number => {
    const index = byId === undefined ? id : (byId.get(id) ?? -1)
    if (index >= 0 && index < ids.length && Number.isInteger(index)) return index
    throw new ShardmillError('BAD_TOKENIZER', `id ${id} is not in the vocabulary of ${ids.length} tokens`, {
      hint: 'Were the ids made with another tokenizer? Special tokens are decoded apart.',
    })
  }
  return {
    decode(list) {
      let length = 0
      for (let at = 0; at < list.length; at++) {
        const index = find(list[at]!)
        length += offsets[index + 1]! - offsets[index]!
      }
      const out = new Uint8Array(length)
      for (let at = 0, to = 0; at < list.length; at++) {
        const index = find(list[at]!)
        for (let from = offsets[index]!; from < offsets[index + 1]!; from++) out[to++] = bytes[from]!
      }
      return out
    },
    tokenBytes(id) {
      const index = find(id)
      return bytes.subarray(offsets[index]!, offsets[index + 1]!)
    },
  }
}

export function shared(kind: typeof Uint8Array, length: number): Uint8Array
export function shared(kind: typeof Uint32Array, length: number): Uint32Array
export function shared(kind: typeof Int32Array, length: number): Int32Array
export function shared(
  kind: typeof Uint8Array | typeof Uint32Array | typeof Int32Array,
  length: number,
): Uint8Array | Uint32Array | Int32Array {
  const buffer = new SharedArrayBuffer(length * kind.BYTES_PER_ELEMENT)
  if (kind === Uint8Array) return new Uint8Array(buffer)
  return kind === Int32Array ? new Int32Array(buffer) : new Uint32Array(buffer)
}

export function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, least)))
}

function bad(why: string): ShardmillError {
  return new ShardmillError('BAD_TOKENIZER', `the vocabulary is damaged: ${why}`, {
    hint: 'Take the tokenizer file from its source again.',
  })
}
