/** Compressed pages as other writers make them, and as none should: zstd frames, LZ4 blocks and Hadoop’s frames. */
import { compress } from '@bokuweb/zstd-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadZstd } from '../../parquet/zstd.ts'
import { dataPage, plain, u32 } from './craft.ts'
import { BAD, flat, valuesOf } from './crafted-files.ts'

describe('zstd', () => {
  // Not `init`: it must be called once only.
  beforeAll(async () => {
    await loadZstd()
  })

  const body = plain(...Array.from({ length: 2000 }, (_, i) => `row ${i}`))
  const want = Array.from({ length: 2000 }, (_, i) => `row ${i}`)
  const zstd = (stored: Uint8Array, size = body.length) =>
    flat([dataPage(2000, stored, { size })], 2000, { codec: 6 })

  test('several frames, and skippable ones', async () => {
    const parts = [0, 1, 7, 5000, body.length]
    const frames = parts.slice(1).map((end, i) => compress(Buffer.from(body.subarray(parts[i], end)), 3))
    const skippable = Buffer.concat([u32(0x184d2a53), u32(5), Buffer.from('hello')])
    expect(await valuesOf(zstd(Buffer.concat([skippable, ...frames, skippable])))).toEqual(want)
  })

  test('frames without a content size, of raw and run-length blocks', async () => {
    // Magic, a descriptor that says nothing, a window of 1 MiB, then blocks of 1,000 bytes.
    const blocks: Uint8Array[] = [u32(0xfd2fb528), Uint8Array.from([0, 80])]
    for (let at = 0; at < body.length; at += 1000) {
      const piece = body.subarray(at, at + 1000)
      const last = at + 1000 >= body.length ? 1 : 0
      blocks.push(u32((piece.length << 3) | last).subarray(0, 3), piece)
    }
    expect(await valuesOf(zstd(Buffer.concat(blocks)))).toEqual(want)
    const zeros = Buffer.concat([
      u32(0xfd2fb528),
      Uint8Array.from([0, 80]),
      u32((4000 << 3) | 3).subarray(0, 3),
      Uint8Array.of(0),
    ])
    const file = flat([dataPage(1000, zeros, { size: 4000 })], 1000, { codec: 6 })
    expect(await valuesOf(file)).toEqual(new Array(1000).fill(''))
  })

  test('a frame that promises more than its blocks can give is refused before anything is allocated', async () => {
    const header = Buffer.alloc(8)
    header.writeBigUInt64LE(2n ** 31n - 1n)
    const frame = Buffer.concat([
      u32(0xfd2fb528),
      Uint8Array.of(0xe0),
      header,
      u32((5 << 3) | 1).subarray(0, 3),
      Buffer.from('hello'),
    ])
    await expect(valuesOf(zstd(frame, 2 ** 31 - 1))).rejects.toMatchObject(BAD)
    await expect(valuesOf(zstd(Buffer.from('not zstd')))).rejects.toMatchObject(BAD)
    await expect(valuesOf(zstd(compress(Buffer.from(body), 3).subarray(0, 100)))).rejects.toMatchObject(BAD)
    await expect(valuesOf(zstd(compress(Buffer.from(body), 3), body.length + 1))).rejects.toMatchObject(BAD)
    await expect(valuesOf(zstd(compress(Buffer.from(body), 3), body.length - 1))).rejects.toMatchObject(BAD)
    // And the decompressor is none the worse for it.
    expect(await valuesOf(zstd(compress(Buffer.from(body), 3)))).toEqual(want)
  })
})

describe('lz4', () => {
  const literals = (bytes: Uint8Array) => Buffer.concat([Uint8Array.of(0xf0, bytes.length - 15), bytes])
  const big = (...sizes: number[]) => Buffer.concat(sizes.map((size) => u32(size).reverse()))
  const body = plain('a'.repeat(40), 'b'.repeat(50))
  const file = (codec: number, stored: Uint8Array) =>
    flat([dataPage(2, stored, { size: body.length })], 2, { codec })
  const want = ['a'.repeat(40), 'b'.repeat(50)]
  // The runs as matches that overlap themselves: one literal, then one byte back.
  const matches = Buffer.concat([
    Uint8Array.of(0x5f, 40, 0, 0, 0, 97, 1, 0, 39 - 4 - 15),
    Uint8Array.of(0x5f, 50, 0, 0, 0, 98, 1, 0, 44 - 4 - 15),
    Uint8Array.of(0x50, 98, 98, 98, 98, 98),
  ])

  test('bare blocks, with literals and with matches, under both names', async () => {
    for (const codec of [5, 7]) {
      expect(await valuesOf(file(codec, literals(body)))).toEqual(want)
      expect(await valuesOf(file(codec, matches))).toEqual(want)
    }
  })

  test('one and several of Hadoop’s frames', async () => {
    const frame = (bytes: Uint8Array) => Buffer.concat([big(bytes.length, bytes.length + 2), literals(bytes)])
    expect(await valuesOf(file(5, frame(body)))).toEqual(want)
    expect(
      await valuesOf(file(5, Buffer.concat([frame(body.subarray(0, 30)), frame(body.subarray(30))]))),
    ).toEqual(want)
  })

  test.each<[string, Uint8Array]>([
    ['a frame of negative size', Buffer.concat([big(0, 2 ** 32 - 8), Buffer.alloc(90)])],
    ['frames of no bytes', Buffer.alloc(96)],
    ['a block cut off', literals(body).subarray(0, 60)],
    ['a match before the beginning', Uint8Array.of(0x1f, 97, 2, 0, 255, 255, 255, 0)],
    ['a match past the end', Uint8Array.of(0x1f, 97, 1, 0, 255, 255, 0)],
    ['a length without an end', new Uint8Array(50).fill(255)],
  ])('%s is refused', async (_, stored) => {
    await expect(valuesOf(file(5, stored))).rejects.toMatchObject(BAD)
    await expect(valuesOf(file(7, stored))).rejects.toMatchObject(BAD)
  })
})
