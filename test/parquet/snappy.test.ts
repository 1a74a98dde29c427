import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { snappyCompressor } from 'hysnappy'
import { describe, expect, test } from 'vitest'
import { CORE_SOURCES } from '../../parquet/core-bytes.ts'
import { Damage } from '../../parquet/damage.ts'
import { loadSnappy } from '../../parquet/snappy.ts'
import { seeded } from './mutate.ts'

const uncompress = loadSnappy()
const take = (size: number) => new Uint8Array(size)
const seed = Number(process.env.SHARDMILL_SEED ?? 1)
const rounds = Number(process.env.SHARDMILL_FUZZ ?? 40) * 2

test('the module was made from the sources that lie here', () => {
  const folder = new URL('../../parquet/core/', import.meta.url)
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) hash.update(name).update(readFileSync(new URL(name, folder)))
  expect(CORE_SOURCES, 'run scripts/build-cores.mjs').toBe(hash.digest('hex'))
})

/** The format's description, byte by byte. Undefined: damaged. */
function slowly(input: Uint8Array, start: number, size: number): Uint8Array | undefined {
  const out: number[] = []
  for (let at = start; at < input.length; ) {
    const tag = input[at++]!
    const number = (bytes: number) => {
      let value = 0
      for (let i = 0; i < bytes; i++) value += (input[at + i] ?? Number.NaN) * 2 ** (8 * i)
      at += bytes
      return value
    }
    let length = (tag >> 2) + 1
    let offset: number | undefined
    if ((tag & 3) === 0) {
      if (length > 60) length = number(length - 60) + 1
    } else if ((tag & 3) === 1) {
      length = ((tag >> 2) & 7) + 4
      offset = (tag >> 5) * 256 + number(1)
    } else offset = number((tag & 3) === 2 ? 2 : 4)
    if (!(out.length + length <= size)) return undefined
    if (offset !== undefined && !(offset > 0 && offset <= out.length)) return undefined
    for (let i = 0; i < length; i++) {
      const byte = offset === undefined ? input[at++] : out[out.length - offset]
      if (byte === undefined) return undefined
      out.push(byte)
    }
  }
  return out.length === size ? Uint8Array.from(out) : undefined
}

/** Numbers from 0 to 1. */
function fractions(from: number): () => number {
  const below = seeded(from)
  return () => below(2 ** 24) / 2 ** 24
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

/** Elements of every kind, in what a page of `size` bytes or a little more could be made of. */
function elements(random: () => number, size: number): { data: Uint8Array; size: number } {
  const below = (n: number) => Math.floor(random() * n)
  const data: number[] = []
  let length = 0
  const little = (value: number, bytes: number) => {
    for (let i = 0; i < bytes; i++) data.push(Math.floor(value / 2 ** (8 * i)) & 255)
  }
  while (length < size) {
    const kind = length === 0 ? 0 : below(4)
    // Near and far, and what overlaps what it makes.
    const back = 1 + below(Math.min(length, [8, 20, 70, 2047, 70_000][below(5)]!))
    if (kind === 0) {
      const count = 1 + below([4, 16, 17, 60, 61, 70, 300][below(7)]!)
      const bytes = count <= 60 && below(8) > 0 ? 0 : count <= 256 && below(2) > 0 ? 1 : 2 + below(3)
      data.push(bytes === 0 ? (count - 1) << 2 : (59 + bytes) << 2)
      little(count - 1, bytes)
      for (let i = 0; i < count; i++) data.push(below(256))
      length += count
    } else if (kind === 1) {
      const offset = Math.min(back, 2047)
      const count = 4 + below(8)
      data.push(((count - 4) << 2) | ((offset >> 8) << 5) | 1, offset & 255)
      length += count
    } else {
      const count = 1 + below(64)
      const far = kind === 3 || back > 65_535
      data.push(((count - 1) << 2) | (far ? 3 : 2))
      little(back, far ? 4 : 2)
      length += count
    }
  }
  return { data: Uint8Array.from([...varint(length), ...data]), size: length }
}

describe(`snappy (seed ${seed})`, () => {
  test('what the format’s description says, for elements of every kind and for damaged ones', () => {
    const random = fractions(seed)
    let damaged = 0
    for (let round = 0; round < rounds; round++) {
      const { data, size } = elements(random, 1 + Math.floor(random() ** 4 * 20_000))
      const start = varint(size).length
      const want = slowly(data, start, size)
      expect(want).toBeDefined()
      expect(Buffer.compare(uncompress(data, size, take), want!), `round ${round}`).toBe(0)
      for (let i = 0; i < 20; i++) {
        const copy = data.slice(
          0,
          random() < 0.3 ? start + Math.floor(random() * (data.length - start)) : undefined,
        )
        if (copy.length > start)
          copy[start + Math.floor(random() * (copy.length - start))] = Math.floor(random() * 256)
        const still = slowly(copy, start, size)
        if (still === undefined) damaged++
        let got: Uint8Array | undefined
        try {
          got = uncompress(copy, size, take)
        } catch (error) {
          expect(error).toBeInstanceOf(Damage)
        }
        expect(got === undefined).toBe(still === undefined)
        if (got !== undefined) expect(Buffer.compare(got, still!)).toBe(0)
      }
    }
    expect(damaged).toBeGreaterThan(rounds)
  })

  test('what another compressor made: text, noise, runs, large and empty', () => {
    const compress = snappyCompressor()
    const random = fractions(seed + 1)
    const words = Array.from({ length: 500 }, () =>
      random()
        .toString(36)
        .slice(2, 3 + random() * 9),
    )
    const text = Array.from({ length: 200_000 }, () => words[Math.floor(random() ** 2 * 500)]).join(' ')
    const noise = Uint8Array.from({ length: 100_000 }, () => random() * 256)
    const cases = [text, text.slice(0, 100), 'a'.repeat(3_000_000), 'ab'.repeat(50), 'x']
      .map((value) => new Uint8Array(Buffer.from(value)))
      .concat([noise, new Uint8Array(40 << 20)])
    for (const bytes of cases) {
      const got = uncompress(compress(bytes), bytes.length, take)
      expect(Buffer.compare(got, bytes), `${bytes.length} bytes`).toBe(0)
    }
    expect(uncompress(Uint8Array.of(0), 0, take)).toEqual(new Uint8Array(0))
  })

  test('it writes into the memory it is given, and nowhere past the page', () => {
    const { data, size } = elements(fractions(seed + 2), 5000)
    const memory = new Uint8Array(size + 200).fill(0xee)
    const got = uncompress(data, size, (bytes) => memory.subarray(100, 100 + bytes))
    expect(got.buffer).toBe(memory.buffer)
    expect(memory.subarray(0, 100).every((byte) => byte === 0xee)).toBe(true)
    expect(memory.subarray(100 + size).every((byte) => byte === 0xee)).toBe(true)
  })

  test.each([
    ['no length', [0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 10, /no length/],
    ['another length', [3, 8, 1, 2, 3], 4, /holds 3 bytes, its header says 4/],
    ['a length that cannot be', [...varint(1 << 30), 1, 1], 1 << 30, /cannot hold/],
    ['a copy from before the beginning', [8, 0, 97, 1 | (3 << 2), 2], 8, /damaged/],
    ['a copy from nowhere', [8, 0, 97, 1 | (3 << 2), 0], 8, /damaged/],
    ['a literal of 2^32 bytes', [100, 63 << 2, 255, 255, 255, 255, ...new Array(80).fill(0)], 100, /damaged/],
    [
      'a copy from 4 GB back',
      [64, 60, ...new Array(16).fill(65), (47 << 2) | 3, 255, 255, 255, 255],
      64,
      /damaged/,
    ],
  ])('%s', (_, data, size, message) => {
    expect(() => uncompress(Uint8Array.from(data), size, take)).toThrow(message)
  })
})
