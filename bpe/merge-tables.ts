import { powerOfTwo, shared, type Vocabulary } from './vocabulary.ts'

/** No token: larger than every rank. */
export const NONE = 0x7fffffff

/** Ranks must fit 20 bits of a slot, and leave one number free. */
export const MAX_TOKENS = 1 << 20

/**
 * Which pairs merge to what. `splits` has, for each rank, the two ranks it is merged from (itself twice for a single
 * byte). `slots` is an open-addressing table of ranks by the hash of their two parts, the hash's 12 high bits above the
 * rank, EMPTY where there is none; small, and with `splits` in order of frequency, so that what is often used lies
 * close together. `filter` has a bit set for each pair, at its hash >>> filterShift. `bytePair` is the rank of two
 * bytes, the first one high.
 */
export interface PairTables {
  readonly byteRank: Int32Array
  readonly bytePair: Int32Array
  readonly splits: Int32Array
  readonly slots: Int32Array
  readonly filter: Int32Array
  readonly filterShift: number
}

/**
 * What merging needs, by rank (the place of a token in ascending id order). All in SharedArrayBuffers. `trie` is
 * an open-addressing table too: node << 8 | byte, then the child (never 0); `nodeToken` is the rank that ends at
 * a node. Nodes 1 to 256 are the single bytes.
 */
export interface MergeTables {
  readonly pair: PairTables
  readonly length: Int32Array
  /** The longest proper prefix that is a token, or NONE. */
  readonly prefix: Int32Array
  readonly trie: Int32Array
  readonly nodeToken: Int32Array
}

const EMPTY = -1
const RANK = MAX_TOKENS - 1

/** The most bytes that mergeShort takes. */
const QUADRATIC = 24

function pairHash(left: number, right: number): number {
  return Math.imul(Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b), 0xc2b2ae35)
}

/** The rank that `left` and `right` merge to, or NONE. */
function findPair(tables: PairTables, left: number, right: number): number {
  const { slots, splits, filter } = tables
  const hash = pairHash(left, right)
  // most pairs merge to nothing, which the small filter can mostly tell
  const bit = hash >>> tables.filterShift
  if ((filter[bit >>> 5]! & (1 << bit)) === 0) return NONE
  const mask = slots.length - 1
  let slot = (hash ^ (hash >>> 15)) & mask
  for (;;) {
    const value = slots[slot]!
    if (value === EMPTY) return NONE
    if (((value ^ hash) & ~RANK) === 0) {
      const rank = value & RANK
      if (splits[2 * rank] === left && splits[2 * rank + 1] === right) return rank
    }
    slot = (slot + 1) & mask
  }
}

function insertPair({ slots, splits, filter, filterShift }: PairTables, rank: number): void {
  const hash = pairHash(splits[2 * rank]!, splits[2 * rank + 1]!)
  const bit = hash >>> filterShift
  filter[bit >>> 5]! |= 1 << bit
  const mask = slots.length - 1
  let slot = (hash ^ (hash >>> 15)) & mask
  while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
  slots[slot] = (hash & ~RANK) | rank
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
  if (count >= MAX_TOKENS) return undefined
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

  const bits = Math.max(32, powerOfTwo(8 * count))
  const pair: PairTables = {
    byteRank,
    bytePair: shared(Int32Array, 0x10000).fill(NONE),
    splits: shared(Int32Array, 2 * count),
    slots: shared(Int32Array, powerOfTwo(1.25 * count)).fill(EMPTY),
    filter: shared(Int32Array, bits / 32),
    filterShift: 32 - Math.log2(bits),
  }
  const { splits } = pair
  const parts = new Int32Array(longest + 1)
  const keys = new Int32Array(QUADRATIC)
  for (let rank = 0; rank < count; rank++) {
    splits.fill(rank, 2 * rank, 2 * rank + 2)
    const at = offsets[rank]!
    const size = length[rank]!
    if (size === 1) continue
    const remain =
      size <= QUADRATIC
        ? mergeShort(pair, bytes, at, size, parts, keys)
        : mergeSlow(pair, bytes, at, size, parts)
    if (remain !== 2) return undefined
    splits[2 * rank] = parts[0]!
    splits[2 * rank + 1] = parts[1]!
    if (size === 2) pair.bytePair[(bytes[at]! << 8) | bytes[at + 1]!] = rank
    insertPair(pair, rank)
  }
  return { pair, length, ...buildTrie(vocabulary, length) }
}

/**
 * Merges `bytes[at..at+length)` lowest rank first, leftmost first among equals; for at most QUADRATIC bytes.
 * @returns how many ranks were written to `parts`
 */
function mergeShort(
  tables: PairTables,
  bytes: Uint8Array,
  at: number,
  length: number,
  parts: Int32Array,
  keys: Int32Array,
): number {
  const { byteRank, bytePair } = tables
  const last = length - 1
  // A part is known by the place of its first byte; key = rank of the pair that begins there << 5 | place, so
  // that the least key is the merge to make.
  let byte = bytes[at]!
  for (let place = 0; place < last; place++) {
    const next = bytes[at + place + 1]!
    parts[place] = byteRank[byte]!
    const rank = bytePair[(byte << 8) | next]!
    keys[place] = rank === NONE ? NONE : (rank << 5) | place
    byte = next
  }
  parts[last] = byteRank[byte]!
  keys[last] = NONE
  let starts = -1 >>> (31 - last)
  for (;;) {
    // the least of the even and of the odd places, without a jump that could not be foreseen
    let best = NONE
    let odd = NONE
    for (let place = 0; place < last; place += 2) {
      best = lesser(best, keys[place]!)
      odd = lesser(odd, keys[place + 1]!)
    }
    best = lesser(best, odd)
    if (best === NONE) break
    const place = best & 31
    const rank = best >>> 5
    const gone = 31 - Math.clz32(lowest(starts & (-2 << place)))
    starts &= ~(1 << gone)
    parts[place] = rank
    keys[gone] = NONE
    const after = starts & (-2 << place)
    keys[place] =
      after === 0 ? NONE : key(findPair(tables, rank, parts[31 - Math.clz32(lowest(after))]!), place)
    const before = 31 - Math.clz32(starts & ((1 << place) - 1))
    if (before >= 0) keys[before] = key(findPair(tables, parts[before]!, rank), before)
  }
  let count = 0
  for (; starts !== 0; starts &= starts - 1) parts[count++] = parts[31 - Math.clz32(lowest(starts))]!
  return count
}

/** The lesser of two numbers from 0 to NONE. */
function lesser(a: number, b: number): number {
  const less = (b - a) | 0
  return (a + (less & (less >> 31))) | 0
}

function lowest(bits: number): number {
  return bits & -bits
}

function key(rank: number, place: number): number {
  return rank === NONE ? NONE : (rank << 5) | place
}

/**
 * What a token of more than QUADRATIC bytes merges to, one pair at a time: for building only.
 * @returns its ranks, in `parts`
 */
function mergeSlow(
  tables: PairTables,
  bytes: Uint8Array,
  at: number,
  length: number,
  parts: Int32Array,
): number {
  for (let index = 0; index < length; index++) parts[index] = tables.byteRank[bytes[at + index]!]!
  for (;;) {
    let best = NONE
    let where = 0
    for (let index = 0; index + 1 < length; index++) {
      const rank = findPair(tables, parts[index]!, parts[index + 1]!)
      if (rank < best) {
        best = rank
        where = index
      }
    }
    if (best === NONE) return length
    parts[where] = best
    parts.copyWithin(where + 1, where + 2, length)
    length--
  }
}

function trieSlot(key: number, mask: number): number {
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
