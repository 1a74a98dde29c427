/**
 * Byte-pair merging as `tokenizer.json` defines it: a list of pairs, merged lowest place in the list first, leftmost
 * first among equals. For vocabularies whose ids do not tell that order; the others go through bpe/.
 */

/** Pieces of more bytes than this are merged through a heap. */
const SHORT = 48
const NONE = -1

/** Merges by index of token in the vocabulary: `merges` holds left, right and result of each, in order. */
export interface PairRules {
  readonly byteToken: Int32Array
  readonly merges: Uint32Array
}

export interface Merger {
  /** Merges `bytes` into `parts` (token indices; room for one per byte). @returns how many there are */
  merge(bytes: Uint8Array, parts: Int32Array): number
}

export function createMerger({ byteToken, merges }: PairRules): Merger {
  /** left · 2^24 + right → place in the list; a pair that is listed twice has its last place, as in the original. */
  const places = new Map<number, number>()
  for (let m = 0; m < merges.length; m += 3) places.set(merges[m]! * 0x1000000 + merges[m + 1]!, m)
  const placeOf = (left: number, right: number) => places.get(left * 0x1000000 + right) ?? NONE

  function mergeShort(parts: Int32Array, count: number): number {
    const ranks: number[] = []
    for (let i = 0; i + 1 < count; i++) ranks.push(placeOf(parts[i]!, parts[i + 1]!))
    for (;;) {
      let best = NONE
      for (let i = 0; i < ranks.length; i++) {
        if (ranks[i] !== NONE && (best === NONE || ranks[i]! < ranks[best]!)) best = i
      }
      if (best === NONE) return count
      parts[best] = merges[ranks[best]! + 2]!
      parts.copyWithin(best + 1, best + 2, count--)
      ranks.splice(best, 1)
      if (best < ranks.length) ranks[best] = placeOf(parts[best]!, parts[best + 1]!)
      if (best > 0) ranks[best - 1] = placeOf(parts[best - 1]!, parts[best]!)
    }
  }

  /** A linked list of parts, and a heap of the pairs in it; entries whose pair is gone are passed over. */
  function mergeLong(parts: Int32Array, count: number): number {
    const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : NONE))
    const previous = Int32Array.from({ length: count }, (_, i) => i - 1)
    const heap = new Heap()
    const push = (at: number) => {
      const after = next[at]!
      if (after === NONE) return
      const place = placeOf(parts[at]!, parts[after]!)
      if (place !== NONE) heap.push(place * 0x80000000 + at)
    }
    for (let i = 0; i < count; i++) push(i)
    for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
      const at = key % 0x80000000
      const place = (key - at) / 0x80000000
      const gone = next[at]!
      if (parts[at] !== merges[place] || gone === NONE || parts[gone] !== merges[place + 1]) continue
      parts[at] = merges[place + 2]!
      parts[gone] = NONE
      next[at] = next[gone]!
      if (next[at] !== NONE) previous[next[at]!] = at
      push(at)
      if (previous[at] !== NONE) push(previous[at]!)
    }
    let kept = 0
    for (let i = 0; i < count; i++) if (parts[i] !== NONE) parts[kept++] = parts[i]!
    return kept
  }

  return {
    merge(bytes, parts) {
      for (let i = 0; i < bytes.length; i++) parts[i] = byteToken[bytes[i]!]!
      return bytes.length <= SHORT ? mergeShort(parts, bytes.length) : mergeLong(parts, bytes.length)
    },
  }
}

/** Least number first. */
class Heap {
  readonly #keys: number[] = []

  push(key: number): void {
    const keys = this.#keys
    let at = keys.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (keys[parent]! <= key) break
      keys[at] = keys[parent]!
      at = parent
    }
    keys[at] = key
  }

  pop(): number | undefined {
    const keys = this.#keys
    const least = keys[0]
    const last = keys.pop()
    if (last === undefined || keys.length === 0) return least
    let at = 0
    for (let child = 1; child < keys.length; child = 2 * at + 1) {
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++
      if (keys[child]! >= last) break
      keys[at] = keys[child]!
      at = child
    }
    keys[at] = last
    return least
  }
}
