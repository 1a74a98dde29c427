/** Seeded damage: the same seed gives the same damaged copies. */

/** Mulberry32. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** A damaged copy: bytes changed, cut off, cut out, doubled or overwritten; half the time near the end (the footer). */
export function damage(original: Uint8Array, random: (below: number) => number): Uint8Array {
  const size = original.length
  const place = () => (random(2) === 0 ? random(size) : Math.max(0, size - 1 - random(Math.min(size, 1500))))
  switch (random(8)) {
    case 0:
      return original.slice(0, random(size))
    case 1: {
      const at = place()
      return Buffer.concat([original.subarray(0, at), original.subarray(at + 1 + random(20))])
    }
    case 2: {
      const at = place()
      return Buffer.concat([original.subarray(0, at + random(20)), original.subarray(at)])
    }
    case 3: {
      const bytes = Uint8Array.from(original)
      const at = place()
      bytes.fill(random(3) === 0 ? 0 : 255, at, Math.min(size, at + 1 + random(12)))
      return bytes
    }
    default: {
      const bytes = Uint8Array.from(original)
      for (let n = 1 + random(3); n > 0; n--) {
        const at = place()
        bytes[at]! ^= random(2) === 0 ? 1 << random(8) : 1 + random(255)
      }
      return bytes
    }
  }
}
