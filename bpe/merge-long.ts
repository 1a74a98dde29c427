import { findPair, type MergeTables, NONE, type PairTables, trieSlot } from './merge-tables.ts'

/**
 * Encodes `bytes[at..end)` in time linear in its length (backtracking BPE): at each place take the longest token
 * that the text goes on with, if it may stand beside the token before it, else the next shorter one; with none
 * left, give up the token before. Exact for vocabularies that buildMergeTables accepts.
 * @returns how many ranks were written to `parts`, which must have room for end - at
 */
export function mergeLong(
  tables: MergeTables,
  bytes: Uint8Array,
  at: number,
  end: number,
  parts: Int32Array,
): number {
  const { pair, length, prefix } = tables
  // Ends of tokens that led nowhere: a place is given up once only, which keeps the whole linear.
  const dead = new Uint8Array(end - at + 1)
  let count = 0
  let place = at
  let token = longestMatch(tables, bytes, place, end)
  for (;;) {
    const next = place + length[token]!
    if (dead[next - at] === 0 && (count === 0 || mayFollow(pair, parts[count - 1]!, token))) {
      parts[count++] = token
      place = next
      if (place === end) return count
      token = longestMatch(tables, bytes, place, end)
    } else if (prefix[token] !== NONE) {
      token = prefix[token]!
    } else {
      dead[place - at] = 1
      token = parts[--count]!
      place -= length[token]!
    }
  }
}

function longestMatch(tables: MergeTables, bytes: Uint8Array, at: number, end: number): number {
  const { trie, nodeToken } = tables
  const mask = (trie.length >>> 1) - 1
  let node = 1 + bytes[at]!
  let best = nodeToken[node]!
  while (++at < end) {
    const key = (node << 8) | bytes[at]!
    let slot = trieSlot(key, mask)
    while (trie[2 * slot] !== key && trie[2 * slot + 1] !== 0) slot = (slot + 1) & mask
    node = trie[2 * slot + 1]!
    if (node === 0) break
    if (nodeToken[node] !== NONE) best = nodeToken[node]!
  }
  return best
}

/**
 * True when the two tokens stay apart where they meet: undo the later merge on either side step by step; had a
 * pair across the border had a lower rank than the merges around it, it would have come first.
 */
function mayFollow(tables: PairTables, before: number, after: number): boolean {
  const { splits } = tables
  let limit = NONE
  for (;;) {
    if (findPair(tables, before, after) < limit) return false
    if (before > after) {
      limit = before
      before = splits[2 * before + 1]!
      if (before === limit) {
        // a single byte: only the other side can still be undone
        limit = after + 1
        after = splits[2 * after]!
        if (after + 1 === limit) return true
      }
    } else {
      // one more than the rank: on equal ranks the left pair is merged first
      limit = after + 1
      after = splits[2 * after]!
      if (after + 1 === limit) {
        limit = before
        before = splits[2 * before + 1]!
        if (before === limit) return true
      }
    }
  }
}
