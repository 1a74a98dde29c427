/**
 * A small seeded generator (mulberry32), so that the demo's data is the same wherever it is made.
 *
 * @param {number} seed unsigned 32-bit
 */
export function makeRandom(seed) {
  let state = seed >>> 0
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  /** An integer from `low` to `high`, both included. */
  const int = (low, high) => low + Math.floor(unit() * (high - low + 1))
  const pick = (list) => list[int(0, list.length - 1)]
  const chance = (p) => unit() < p
  const shuffled = (list) => {
    const copy = [...list]
    for (let i = copy.length - 1; i > 0; i--) {
      const j = int(0, i)
      ;[copy[i], copy[j]] = [copy[j], copy[i]]
    }
    return copy
  }
  const sample = (list, count) => shuffled(list).slice(0, count)
  return { int, pick, chance, shuffled, sample }
}

/**
 * `count` different rows of a maker; two rows are the same when their JSON is.
 *
 * @template T
 * @param {number} count
 * @param {Set<string>} seen rows made before, also in other splits; grows
 * @param {() => T} make
 * @returns {T[]}
 */
export function distinct(count, seen, make) {
  const rows = []
  for (let tries = 0; rows.length < count; tries++) {
    if (tries > count * 200) throw new Error(`only ${rows.length} different rows of ${count}`)
    const row = make()
    const key = JSON.stringify(row)
    if (seen.has(key)) continue
    seen.add(key)
    rows.push(row)
  }
  return rows
}
