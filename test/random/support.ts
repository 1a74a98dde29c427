import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

/** A vector file out of test/fixtures/vectors. */
export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/vectors/${name}.json`, import.meta.url), 'utf8')) as T
}

/** A list as the vectors give it: whole, or its ends and the sha256 of its values as little-endian int64. */
export interface ListVector {
  readonly out?: readonly number[]
  readonly first10?: readonly number[]
  readonly last5?: readonly number[]
  readonly sha256_i64le?: string
}

export function expectList(actual: ArrayLike<number>, expected: ListVector): void {
  const list = Array.from(actual)
  if (expected.out === undefined && expected.sha256_i64le === undefined)
    throw new TypeError('an empty vector')
  if (expected.out !== undefined) expect(list).toEqual(expected.out)
  if (expected.first10 !== undefined) expect(list.slice(0, 10)).toEqual(expected.first10)
  if (expected.last5 !== undefined) expect(list.slice(-5)).toEqual(expected.last5)
  if (expected.sha256_i64le !== undefined) expect(sha256Int64(actual)).toBe(expected.sha256_i64le)
}

/** sha256 of the values as little-endian int64; values below 2^32. */
export function sha256Int64(values: ArrayLike<number>): string {
  const words = new Uint32Array(values.length * 2)
  for (let i = 0; i < values.length; i++) words[2 * i] = values[i]!
  return sha256(new Uint8Array(words.buffer))
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The double that Python's float.hex wrote. */
export function fromHexFloat(text: string): number {
  const match = /^0x([01])\.([0-9a-f]{13})p([+-]\d+)$/.exec(text)
  if (match === null) throw new TypeError(`not a float.hex: ${text}`)
  return (Number(match[1]) + Number(`0x${match[2]}`) / 2 ** 52) * 2 ** Number(match[3])
}
