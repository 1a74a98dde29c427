import type { Decompress } from './codecs.ts'
import { Damage } from './damage.ts'

/** What is left to the pure JavaScript decompressor: WebAssembly memory never shrinks again. */
const largeFrame = 64 * 1024 * 1024

/**
 * Zstandard through WebAssembly. The module's own `decompress` takes one frame, allocates what the frame says and
 * needs a guess where it says nothing; so the input is cut into frames here, and each frame's size is bounded by
 * what its blocks can hold before anything is allocated (RFC 8878, section 3.1).
 */
export function loadZstd(): Promise<Decompress> {
  loaded ??= load()
  return loaded
}

let loaded: Promise<Decompress> | undefined

async function load(): Promise<Decompress> {
  const { init, decompress } = await import('@bokuweb/zstd-wasm')
  // Once in a thread: a second `init` would leave the package with the functions of two instances.
  await init()
  const { decompressZstd } = await import('hyparquet-compressors')
  return (input, size) => {
    const frames = findFrames(input)
    if (size > frames.reduce((sum, frame) => sum + frame.capacity, 0)) {
      throw new Damage(`${input.length} bytes of zstd cannot hold ${size}`)
    }
    let output: Uint8Array | undefined
    let done = 0
    for (const frame of frames) {
      const room = size - done
      const expected = frame.contentSize ?? Math.min(room, frame.capacity)
      if (expected > room || expected > frame.capacity) {
        throw new Damage(`a zstd page holds more than the ${size} bytes of its header`)
      }
      const part = run(input.subarray(frame.start, frame.end), expected)
      if (part.length > room || (frame.contentSize !== undefined && part.length !== expected)) {
        throw new Damage('a zstd frame does not hold what it says')
      }
      // The usual page is one frame: its bytes are the page.
      if (done === 0 && part.length === size) output = part
      else {
        output ??= new Uint8Array(size)
        output.set(part, done)
      }
      done += part.length
    }
    if (output === undefined || done !== size) {
      throw new Damage(`a zstd page holds ${done} bytes, its header says ${size}`)
    }
    return output
  }

  function run(frame: Uint8Array, expected: number): Uint8Array {
    try {
      if (expected > largeFrame || frame.length > largeFrame) return decompressZstd(frame)
      return decompress(frame, { defaultHeapSize: Math.max(expected, 1) })
    } catch (error) {
      throw new Damage(
        `its zstd data are damaged (${error instanceof Error ? error.message : String(error)})`,
      )
    }
  }
}

interface Frame {
  readonly start: number
  readonly end: number
  readonly contentSize: number | undefined
  /** More than this its blocks cannot give. */
  readonly capacity: number
}

const blockMaximum = 128 * 1024

function findFrames(input: Uint8Array): Frame[] {
  const frames: Frame[] = []
  for (let position = 0; position < input.length; ) {
    const frame = findFrame(input, position)
    position = frame.end
    if (frame.capacity > 0 || frame.contentSize !== 0) frames.push(frame)
  }
  return frames
}

function findFrame(input: Uint8Array, start: number): Frame {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const need = (end: number): void => {
    if (end > input.length) throw new Damage('its zstd data are cut off')
  }
  need(start + 8)
  const magic = view.getUint32(start, true)
  if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
    const end = start + 8 + view.getUint32(start + 4, true)
    need(end)
    return { start, end, contentSize: 0, capacity: 0 } // skippable
  }
  if (magic !== 0xfd2fb528) throw new Damage('its data are no zstd frame')
  const descriptor = input[start + 4]!
  const single = (descriptor & 32) !== 0
  let position = start + 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  need(position + sizeBytes)
  let contentSize: number | undefined
  if (sizeBytes === 1) contentSize = input[position]!
  else if (sizeBytes === 2) contentSize = view.getUint16(position, true) + 256
  else if (sizeBytes === 4) contentSize = view.getUint32(position, true)
  else if (sizeBytes === 8) contentSize = Number(view.getBigUint64(position, true))
  position += sizeBytes
  let capacity = 0
  for (let last = false; !last; ) {
    need(position + 3)
    const head = input[position]! | (input[position + 1]! << 8) | (input[position + 2]! << 16)
    last = (head & 1) === 1
    const type = (head >> 1) & 3
    const size = head >> 3
    if (type === 3 || size > blockMaximum) throw new Damage('its zstd data are damaged (bad block)')
    // Raw, run-length, compressed.
    capacity += type === 2 ? blockMaximum : size
    position += 3 + (type === 1 ? 1 : size)
    need(position)
  }
  if (descriptor & 4) position += 4
  need(position)
  return { start, end: position, contentSize, capacity }
}
