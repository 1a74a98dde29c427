import type { Decompress } from './codecs.ts'
import { CORE_BYTES } from './core-bytes.ts'
import { Damage } from './damage.ts'

interface Exports {
  readonly memory: WebAssembly.Memory
  readonly __heap_base: { readonly value: number }
  uncompress(start: number, end: number, out: number, size: number): number
}

/** core/snappy.c reads and writes up to so many bytes past the end. */
const SLACK = 64
const PAGE = 1 << 16
/** A memory never shrinks: past this size it is left to the collector after use. */
const mostKept = 32 << 20

/** Snappy's raw format, through WebAssembly (core/snappy.c). */
export function loadSnappy(): Decompress {
  const module = new WebAssembly.Module(Buffer.from(CORE_BYTES, 'hex'))
  let core: Exports | undefined
  return (input, size, take) => {
    const { length } = input
    const [stated, start] = statedLength(input)
    if (stated !== size) throw new Damage(`a snappy page holds ${stated} bytes, its header says ${size}`)
    // A copy of at most 64 bytes takes at least 2: no memory for what cannot be.
    if (size > length * 64) throw new Damage(`${length} bytes of snappy cannot hold ${size}`)
    core ??= new WebAssembly.Instance(module).exports as Exports
    const { memory, uncompress } = core
    const from = core.__heap_base.value
    const to = from + length + SLACK
    const missing = Math.ceil((to + size + SLACK - memory.buffer.byteLength) / PAGE)
    try {
      if (missing > 0) memory.grow(missing)
    } catch {
      throw new Damage(`there is no memory for a page of ${size} bytes`)
    }
    const bytes = new Uint8Array(memory.buffer)
    bytes.set(input, from)
    const whole = uncompress(from + start, from + length, to, size) === 1
    if (bytes.length > mostKept) core = undefined
    if (!whole) throw new Damage('its snappy data are damaged')
    const output = take(size)
    output.set(bytes.subarray(to, to + size))
    return output
  }
}

/** The length in front of the data, as a base-128 varint of at most 32 bits, and how many bytes it takes. */
function statedLength(input: Uint8Array): [length: number, bytes: number] {
  let value = 0
  for (let i = 0; i < 5 && i < input.length; i++) {
    value += (input[i]! & 127) * 2 ** (7 * i)
    if (input[i]! < 128) return [value, i + 1]
  }
  throw new Damage('its snappy data have no length')
}
