import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { buildTables, createDecoder, createEncoder, type Encoder } from '../../bpe/index.ts'
import { ADVERSARIAL, generator, randomText } from './texts.ts'
import { CONFIGURATIONS, known, NANOCHAT, tinyTokenizer, tinyVocabulary } from './vocabularies.ts'

test('the tiny tokenizer gives the ids of the vectors', () => {
  const encoder = createEncoder(buildTables(tinyVocabulary()))
  expect(encoder.engine).toBe('fast')
  for (const [text, ids] of tinyTokenizer().encode_ordinary) {
    expect(Array.from(encoder.encodeString(text)), JSON.stringify(text)).toEqual(ids)
  }
})

describe.each(CONFIGURATIONS)('$name', ({ ranks, pattern }) => {
  const { vocabulary, tiktoken } = known(ranks, pattern)
  const encoder = createEncoder(buildTables(vocabulary))
  const decoder = createDecoder(vocabulary)

  test('adversarial strings get the ids of tiktoken, on first sight and again', () => {
    expect(encoder.engine).toBe('fast')
    const oracle = tiktoken()
    for (const text of [...ADVERSARIAL, ...ADVERSARIAL]) {
      const ids = Array.from(encoder.encodeString(text))
      expect(ids, JSON.stringify(text)).toEqual(Array.from(oracle.encode_ordinary(text)))
      expect(Buffer.from(decoder.decode(ids))).toEqual(Buffer.from(text, 'utf8'))
    }
    oracle.free()
  })

  test('text inside a larger buffer is encoded as if it stood alone', () => {
    for (const text of ADVERSARIAL) {
      const bytes = Buffer.from(text, 'utf8')
      if (bytes.length > 100) continue
      const ids = Array.from(encoder.encodeString(text))
      for (const neighbour of ['', 'a', ' ', '\n', "'s", '中', '!', '1', '\u0301']) {
        for (let shift = 0; shift < 8; shift++) {
          const before = Buffer.concat([Buffer.alloc(shift, 0x61), Buffer.from(neighbour, 'utf8')])
          const buffer = Buffer.concat([before, bytes, Buffer.from(neighbour.repeat(3), 'utf8')])
          expect(encodeAt(encoder, buffer, before.length, before.length + bytes.length)).toEqual(ids)
        }
      }
    }
  })

  test('a limited encoding is a prefix of the full one, and not shorter than the limit', () => {
    const random = generator(20250711)
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(randomText(random), 'utf8')
      const full = encodeAt(encoder, bytes, 0, bytes.length)
      for (const limit of [0, 1, 2, 7, Math.floor(full.length / 2), full.length, full.length + 1]) {
        const part = encodeAt(encoder, bytes, 0, bytes.length, limit)
        expect(part.length).toBeGreaterThanOrEqual(Math.min(limit, full.length))
        expect(part.length).toBeLessThanOrEqual(limit + 48)
        expect(part).toEqual(full.slice(0, part.length))
      }
    }
  })
})

test('ids go where they are asked to, into either kind of array, and nowhere else', () => {
  const encoder = createEncoder(buildTables(tinyVocabulary()))
  const bytes = Buffer.from('hello world', 'utf8')
  for (const out of [new Int32Array(20).fill(7), new Uint32Array(20).fill(7)]) {
    expect(encoder.encode(bytes, 0, bytes.length, out, 3)).toBe(7)
    expect(Array.from(out.subarray(0, 9))).toEqual([7, 7, 7, 256, 263, 111, 351, 7, 7])
  }
})

test('columns in shared memory can be encoded', () => {
  const encoder = createEncoder(buildTables(tinyVocabulary()))
  const bytes = new Uint8Array(new SharedArrayBuffer(16))
  bytes.set(Buffer.from('hello world!!!!!', 'utf8'))
  expect(encodeAt(encoder, bytes, 0, 11)).toEqual([256, 263, 111, 351])
})

test('a piece of several tokens that is met for the second time gets the same ids, also when others have taken its place', () => {
  const { vocabulary, tiktoken } = known('gpt2')
  const encoder = createEncoder(buildTables(vocabulary))
  const oracle = tiktoken()
  const random = generator(7)
  const word = (length: number) =>
    Array.from({ length }, () => String.fromCharCode(97 + Math.floor(26 * random()))).join('')
  // more distinct short and long pieces than are kept
  let text = ''
  for (let index = 0; index < 130_000; index++) text += ` ${word(8)}`
  for (let index = 0; index < 60_000; index++) text += ` ${word(20)}`
  const expected = Buffer.from(oracle.encode_ordinary(text).buffer)
  for (let round = 0; round < 2; round++) {
    expect(Buffer.compare(Buffer.from(encoder.encodeString(text).buffer), expected)).toBe(0)
  }
  oracle.free()
})

test('bytes that are no UTF-8 are encoded all the same, each byte once', () => {
  const { vocabulary } = known('gpt2', NANOCHAT)
  const encoder = createEncoder(buildTables(vocabulary))
  const decoder = createDecoder(vocabulary)
  const random = generator(3)
  for (let round = 0; round < 2000; round++) {
    const high = random() < 0.5 ? 256 : 0x70
    const bytes = Uint8Array.from(
      { length: Math.floor(40 * random()) },
      () => 256 - Math.ceil(high * random()),
    )
    expect(Buffer.from(decoder.decode(encodeAt(encoder, bytes, 0, bytes.length)))).toEqual(Buffer.from(bytes))
  }
})

interface Run {
  readonly vocabulary: string
  readonly unit: string
  readonly times: number
  readonly tokens: number
  readonly sha256: string
}

test('100,000 repetitions of a character get the ids of Python tiktoken', () => {
  const { runs } = JSON.parse(
    readFileSync(new URL('../fixtures/bpe/runs.json', import.meta.url), 'utf8'),
  ) as {
    runs: Run[]
  }
  const encoders = new Map<string, Encoder>()
  for (const { vocabulary, unit, times, tokens, sha256 } of runs) {
    if (!encoders.has(vocabulary)) {
      const { vocabulary: made } = vocabulary === 'nanochat' ? known('gpt2', NANOCHAT) : known(vocabulary)
      encoders.set(vocabulary, createEncoder(buildTables(made)))
    }
    const ids = encoders.get(vocabulary)!.encodeString(unit.repeat(times))
    const digest = createHash('sha256').update(Buffer.from(ids.buffer)).digest('hex')
    expect([vocabulary, unit, ids.length, digest]).toEqual([vocabulary, unit, tokens, sha256])
  }
})

function encodeAt(encoder: Encoder, bytes: Uint8Array, start: number, end: number, limit?: number): number[] {
  const out = new Int32Array(end - start + 2).fill(-1)
  const to = encoder.encode(bytes, start, end, out, 1, limit)
  expect(out[0]).toBe(-1)
  expect(out[to]).toBe(-1)
  return Array.from(out.subarray(1, to))
}
