import { shared, type Vocabulary } from './vocabulary.ts'

/** No token: larger than every rank. */
export const NONE = 0x7fffffff

/** Ranks must fit 20 bits in a pair slot. */
export const MAX_TOKENS = 1 << 20

/**
 * What merging needs, by rank (the place of a token in ascending id order). All in SharedArrayBuffers.
 * `pairs` is an open-addressing table of the one pair that each token is merged from: two words a slot,
 * left | right << 20, then right >> 12 | (rank + 1) << 8, zero when empty. `trie` likewise: node << 8 | byte, then
 * the child (never 0); `nodeToken` is the rank that ends at a node. Nodes 1 to 256 are the single bytes.
 */
export interface MergeTables {
  readonly byteRank: Int32Array
  readonly bytePair: Int32Array
  readonly pairs: Int32Array
  readonly left: Int32Array
  readonly right: Int32Array
  readonly length: Int32Array
  /** The longest proper prefix that is a token, or NONE. */
  readonly prefix: Int32Array
  readonly trie: Int32Array
  readonly nodeToken: Int32Array
}

export function pairSlot(left: number, right: number, mask: number): number {
  const mixed = Math.imul(Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 15)) & mask
}

/** The rank that `left` and `right` merge to, or NONE. */
export function findPair(pairs: Int32Array, left: number, right: number): number {
  const mask = (pairs.length >>> 1) - 1
  const low = left | (right << 20)
  const high = right >>> 12
  let slot = pairSlot(left, right, mask)
  for (;;) {
    const value = pairs[2 * slot + 1]!
    if (value === 0) return NONE
    if (pairs[2 * slot] === low && (value & 0xff) === high) return (value >>> 8) - 1
    slot = (slot + 1) & mask
  }
}

/**
 * Builds the tables in id order, and tests on the way what makes them exact: that merging a token's bytes by the
 * tokens before it leaves exactly two parts. Then every token is what its own bytes encode to, so a piece that
 * is a token needs no look-up of its own, and only this one pair ever merges to it (any other pair of tokens with
 * the same bytes would, within its own borders, have merged differently before).
 * @returns undefined when the vocabulary fails the test or is too large; it then needs the general algorithm.
 */
export function buildMergeTables(vocabulary: Vocabulary): MergeTables | undefined {
  const { bytes, offsets } = vocabulary
  const count = vocabulary.ids.length
  if (count > MAX_TOKENS) return undefined
  const byteRank = shared(Int32Array, 256).fill(NONE)
  const length = shared(Int32Array, count)
  let longest = 0
  for (let rank = 0; rank < count; rank++) {
    const size = offsets[rank + 1]! - offsets[rank]!
    length[rank] = size
    if (size > longest) longest = size
    if (size === 1) byteRank[bytes[offsets[rank]!]!] = rank
  }
  // Single bytes come before all merges, so that ranks say in which order parts came about.
  for (let byte = 0; byte < 256; byte++) if (byteRank[byte]! > 255) return undefined

  const pairs = shared(Int32Array, 2 * powerOfTwo(2 * count))
  const bytePair = shared(Int32Array, 0x10000).fill(NONE)
  const left = shared(Int32Array, count)
  const right = shared(Int32Array, count)
  const parts = new Int32Array(longest + 1)
  const ranks = new Int32Array(longest + 1)
  for (let rank = 0; rank < count; rank++) {
    left[rank] = rank
    right[rank] = rank
    if (length[rank] === 1) continue
    const at = offsets[rank]!
    if (mergeShort(byteRank, bytePair, pairs, bytes, at, length[rank]!, parts, ranks) !== 2) return undefined
    left[rank] = parts[0]!
    right[rank] = parts[1]!
    if (length[rank] === 2) bytePair[(bytes[at]! << 8) | bytes[at + 1]!] = rank
    insertPair(pairs, parts[0]!, parts[1]!, rank)
  }
  return { byteRank, bytePair, pairs, left, right, length, ...buildTrie(vocabulary, length) }
}

function insertPair(pairs: Int32Array, left: number, right: number, rank: number): void {
  const mask = (pairs.length >>> 1) - 1
  let slot = pairSlot(left, right, mask)
  while (pairs[2 * slot + 1] !== 0) slot = (slot + 1) & mask
  pairs[2 * slot] = left | (right << 20)
  pairs[2 * slot + 1] = (right >>> 12) | ((rank + 1) << 8)
}

/**
 * Merges `bytes[at..at+length)` lowest rank first, leftmost first among equals, by the pair tables; quadratic, for
 * short pieces. The ranks of the parts are left in `parts` (which needs length + 1 places, as `ranks` does).
 * @returns how many parts are left
 */
export function mergeShort(
  byteRank: Int32Array,
  bytePair: Int32Array,
  pairs: Int32Array,
  bytes: Uint8Array,
  at: number,
  length: number,
  parts: Int32Array,
  ranks: Int32Array,
): number {
  let byte = bytes[at]!
  parts[0] = byteRank[byte]!
  let best = NONE
  let where = 0
  for (let index = 1; index < length; index++) {
    const next = bytes[at + index]!
    parts[index] = byteRank[next]!
    const rank = bytePair[(byte << 8) | next]!
    ranks[index - 1] = rank
    if (rank < best) {
      best = rank
      where = index - 1
    }
    byte = next
  }
  while (best !== NONE) {
    length--
    parts[where] = best
    for (let index = where + 1; index < length; index++) {
      parts[index] = parts[index + 1]!
      ranks[index - 1] = ranks[index]!
    }
    if (where > 0) ranks[where - 1] = findPair(pairs, parts[where - 1]!, best)
    if (where + 1 < length) ranks[where] = findPair(pairs, best, parts[where + 1]!)
    best = NONE
    for (let index = 0; index + 1 < length; index++) {
      const rank = ranks[index]!
      if (rank < best) {
        best = rank
        where = index
      }
    }
  }
  return length
}

export function trieSlot(key: number, mask: number): number {
  const mixed = Math.imul(key, 0x9e3779b1)
  return (mixed ^ (mixed >>> 15)) & mask
}

function buildTrie(
  { bytes, offsets }: Vocabulary,
  length: Int32Array,
): Pick<MergeTables, 'prefix' | 'trie' | 'nodeToken'> {
  const count = length.length
  let trie = new Int32Array(2 * powerOfTwo(4 * count))
  let nodeToken = new Int32Array(4 * count + 512).fill(NONE)
  let nodes = 257
  const grow = () => {
    const old = trie
    trie = new Int32Array(2 * old.length)
    const mask = (trie.length >>> 1) - 1
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue
      let slot = trieSlot(old[from]!, mask)
      while (trie[2 * slot + 1] !== 0) slot = (slot + 1) & mask
      trie[2 * slot] = old[from]!
      trie[2 * slot + 1] = old[from + 1]!
    }
    const tokens = nodeToken
    nodeToken = new Int32Array(2 * tokens.length).fill(NONE)
    nodeToken.set(tokens)
  }
  for (let rank = 0; rank < count; rank++) {
    const start = offsets[rank]!
    const end = offsets[rank + 1]!
    if (nodes + end - start > trie.length >>> 2 || nodes + end - start > nodeToken.length) grow()
    const mask = (trie.length >>> 1) - 1
    let node = 1 + bytes[start]!
    for (let at = start + 1; at < end; at++) {
      const key = (node << 8) | bytes[at]!
      let slot = trieSlot(key, mask)
      while (trie[2 * slot + 1] !== 0 && trie[2 * slot] !== key) slot = (slot + 1) & mask
      if (trie[2 * slot + 1] === 0) {
        trie[2 * slot] = key
        trie[2 * slot + 1] = nodes++
      }
      node = trie[2 * slot + 1]!
    }
    nodeToken[node] = rank
  }
  const prefix = shared(Int32Array, count).fill(NONE)
  for (let rank = 0; rank < count; rank++) {
    const end = offsets[rank + 1]!
    const mask = (trie.length >>> 1) - 1
    let node = 1 + bytes[offsets[rank]!]!
    for (let at = offsets[rank]! + 1; at < end; at++) {
      if (nodeToken[node] !== NONE) prefix[rank] = nodeToken[node]!
      const key = (node << 8) | bytes[at]!
      let slot = trieSlot(key, mask)
      while (trie[2 * slot] !== key) slot = (slot + 1) & mask
      node = trie[2 * slot + 1]!
    }
  }
  const sharedTrie = shared(Int32Array, trie.length)
  sharedTrie.set(trie)
  const sharedTokens = shared(Int32Array, nodes)
  sharedTokens.set(nodeToken.subarray(0, nodes))
  return { prefix, trie: sharedTrie, nodeToken: sharedTokens }
}

export function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, least)))
}
