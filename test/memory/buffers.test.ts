import { describe, expect, test } from 'vitest'
import { giveBack, ScratchBytes, takeScratch } from '../../memory/buffers.ts'

describe('scratch memory', () => {
  test('is at least as large as asked for, and given out again', () => {
    const first = takeScratch(100_000)
    expect(first.byteLength).toBeGreaterThanOrEqual(100_000)
    giveBack(first)
    expect(takeScratch(90_000)).toBe(first)
    expect(takeScratch(90_000)).not.toBe(first)
  })

  test('is not given out for more than it holds', () => {
    const small = takeScratch(1 << 16)
    giveBack(small)
    expect(takeScratch((1 << 16) + 1).byteLength).toBeGreaterThan(1 << 16)
    expect(takeScratch(1)).toBe(small)
  })

  test('is poisoned in tests once it was given back', () => {
    const memory = takeScratch(1 << 16)
    const view = new Uint8Array(memory).fill(7)
    giveBack(memory)
    expect(view[1000]).toBe(0xdb)
  })

  test('keeps so much and no more', () => {
    const many = Array.from({ length: 40 }, () => takeScratch(4 << 20))
    for (const memory of many) giveBack(memory)
    const again = Array.from({ length: 40 }, () => takeScratch(4 << 20))
    const kept = again.filter((memory) => many.includes(memory)).length
    expect(kept).toBeGreaterThan(0)
    expect(kept).toBeLessThanOrEqual(16)
  })

  test('grows and keeps what was used', () => {
    const scratch = new ScratchBytes()
    scratch.reserve(10, 0).set([1, 2, 3])
    const grown = scratch.reserve(1 << 20, 3)
    expect(grown.length).toBeGreaterThanOrEqual(1 << 20)
    expect([...grown.subarray(0, 3)]).toEqual([1, 2, 3])
    expect(scratch.bytes).toBe(grown)
    scratch.free()
    expect(scratch.bytes.length).toBe(0)
    scratch.free()
  })
})
