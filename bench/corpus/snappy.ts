/** Snappy compression (the raw block format), greedy with a small hash table: fast enough to make gigabytes. */

const hashBits = 14
const table = new Int32Array(1 << hashBits)
const blockBytes = 1 << 16

export function snappyCompress(input: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(32 + input.length + Math.ceil(input.length / 6))
  const view = new DataView(input.buffer, input.byteOffset, input.length)
  let at = 0
  let size = input.length
  while (size > 127) {
    out[at++] = (size & 127) | 128
    size >>>= 7
  }
  out[at++] = size
  for (let start = 0; start < input.length; start += blockBytes) {
    at = compressBlock(input, view, start, Math.min(start + blockBytes, input.length), out, at)
  }
  return out.subarray(0, at)
}

function compressBlock(
  input: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
): number {
  table.fill(-1)
  let literal = start
  let i = start
  let misses = 0
  while (i + 4 <= end) {
    const word = view.getInt32(i, true)
    const slot = Math.imul(word, 0x1e35a7bd) >>> (32 - hashBits)
    const candidate = table[slot]!
    table[slot] = i
    if (candidate < 0 || view.getInt32(candidate, true) !== word) {
      i += 1 + (misses++ >> 5)
      continue
    }
    misses = 0
    let length = 4
    while (i + length < end && input[candidate + length] === input[i + length]) length++
    at = putLiteral(input, literal, i, out, at)
    at = putCopy(i - candidate, length, out, at)
    i += length
    literal = i
  }
  return putLiteral(input, literal, end, out, at)
}

function putLiteral(input: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  const length = to - from
  if (length === 0) return at
  if (length <= 60) {
    out[at++] = (length - 1) << 2
  } else if (length <= 256) {
    out[at++] = 60 << 2
    out[at++] = length - 1
  } else {
    out[at++] = 61 << 2
    out[at++] = (length - 1) & 255
    out[at++] = (length - 1) >> 8
  }
  if (length > 32) out.set(input.subarray(from, to), at)
  else for (let i = 0; i < length; i++) out[at + i] = input[from + i]!
  return at + length
}

function putCopy(distance: number, length: number, out: Uint8Array, at: number): number {
  while (length > 0) {
    const part = length > 64 ? (length < 68 ? 60 : 64) : length
    out[at++] = ((part - 1) << 2) | 2
    out[at++] = distance & 255
    out[at++] = distance >> 8
    length -= part
  }
  return at
}
