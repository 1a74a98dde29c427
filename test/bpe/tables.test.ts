import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import {
  buildTables,
  createDecoder,
  createEncoder,
  type EncoderTables,
  type Vocabulary,
} from '../../bpe/index.ts'
import { ADVERSARIAL } from './texts.ts'
import { CONFIGURATIONS, known, tiktokenOf, tinyVocabulary, vocabularyOf } from './vocabularies.ts'

const singles = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte))
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/** All typed arrays of the tables by name, to compare. */
function arrays(value: object, name = ''): Array<[string, ArrayBufferView]> {
  return Object.entries(value).flatMap(([key, part]) => {
    if (ArrayBuffer.isView(part)) return [[`${name}.${key}`, part] as [string, ArrayBufferView]]
    return part !== null && typeof part === 'object' ? arrays(part, `${name}.${key}`) : []
  })
}

function same(a: EncoderTables, b: EncoderTables): void {
  const left = arrays(a)
  const right = arrays(b)
  expect(left.map(([name]) => name)).toEqual(right.map(([name]) => name))
  for (const [index, [name, view]] of left.entries()) {
    const other = right[index]![1]
    const equal = Buffer.compare(
      Buffer.from(view.buffer, view.byteOffset, view.byteLength),
      Buffer.from(other.buffer, other.byteOffset, other.byteLength),
    )
    expect([name, equal]).toEqual([name, 0])
  }
}

test.each(CONFIGURATIONS)(
  '%s: tables built twice are equal, whatever the order of the tokens',
  ({ ranks, pattern }) => {
    const { vocabulary } = known(ranks, pattern)
    const tables = buildTables(vocabulary)
    expect(tables.fast).toBeDefined()
    same(tables, buildTables(reversed(vocabulary)))
  },
)

test('every array of the tables lies in shared memory', () => {
  const views = arrays(buildTables(tinyVocabulary()))
  expect(views.length).toBeGreaterThan(10)
  for (const [name, view] of views)
    expect([name, view.buffer instanceof SharedArrayBuffer]).toEqual([name, true])
})

test('learning in one encoder changes neither the tables nor another encoder', () => {
  const { vocabulary } = known('gpt2')
  const tables = buildTables(vocabulary)
  const first = createEncoder(tables)
  const texts = ADVERSARIAL.map((text) => Array.from(first.encodeString(text)))
  same(tables, buildTables(vocabulary))
  const second = createEncoder(tables)
  expect(ADVERSARIAL.map((text) => Array.from(second.encodeString(text)))).toEqual(texts)
})

test('tables reach a worker thread without being copied', async () => {
  const tables = buildTables(tinyVocabulary())
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    workerData.vocabulary.bytes[0] = 42
    parentPort.postMessage(workerData.fast.pieces.long.length)`
  const worker = new Worker(code, { eval: true, workerData: tables })
  const length = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  expect(length).toBe(tables.fast!.pieces.long.length)
  expect(tables.vocabulary.bytes[0]).toBe(42)
})

describe('what the scanner cannot do goes through the tiktoken package', () => {
  const texts = [...ADVERSARIAL, 'one two three', 'abcabcabc bcbcab']
  const merges = ['bc', 'ab', 'abc', ' abc'].map((token) => Buffer.from(token))
  const cases: Array<[string, Vocabulary]> = [
    ['a pattern of no known family', vocabularyOf('\\w+|\\s+', [...singles, ...merges])],
    ['a pattern that leaves text out', vocabularyOf('\\p{L}+', [...singles, ...merges])],
    // "abc" comes before both of its pairs, and would never be reached by merging
    [
      'ids that are not in merge order',
      vocabularyOf(GPT2, [...singles, ...['abc', 'bc', 'ab'].map((t) => Buffer.from(t))]),
    ],
    ['a token that merging cannot make', vocabularyOf(GPT2, [...singles, Buffer.from('xyz')])],
    ['single bytes among the merges', vocabularyOf(GPT2, [...merges.slice(0, 1), ...singles])],
    [
      'ids that do not fit',
      vocabularyOf(GPT2, [...singles, ...merges], [...singles.keys(), 300, 301, 302, 0x7fffffff]),
    ],
  ]
  test.each(cases)('%s', (_, vocabulary) => {
    const encoder = createEncoder(buildTables(vocabulary))
    expect(encoder.engine).toBe('tiktoken')
    const oracle = tiktokenOf(vocabulary)
    for (const text of texts) {
      const expected = Array.from(oracle.encode_ordinary(text))
      expect(Array.from(encoder.encodeString(text)), JSON.stringify(text)).toEqual(expected)
      const bytes = Buffer.from(` ${text} `, 'utf8')
      const out = new Uint32Array(bytes.length + 1).fill(9)
      const end = encoder.encode(bytes, 1, bytes.length - 1, out, 1)
      expect(Array.from(out.subarray(1, end))).toEqual(expected)
      const limited = encoder.encode(bytes, 1, bytes.length - 1, out, 1, 2)
      expect(Array.from(out.subarray(1, limited))).toEqual(expected.slice(0, 2))
    }
    oracle.free()
  })
})

test('a vocabulary with gaps between its ids keeps them', () => {
  const merges = ['ab', 'abc', ' abc'].map((token) => Buffer.from(token))
  const vocabulary = vocabularyOf(GPT2, [...singles, ...merges], [...singles.keys(), 1000, 5000, 70_000])
  const encoder = createEncoder(buildTables(vocabulary))
  expect(encoder.engine).toBe('fast')
  expect(Array.from(encoder.encodeString('ab abc abcab'))).toEqual([1000, 70_000, 70_000, 1000])
  const decoder = createDecoder(vocabulary)
  expect(Buffer.from(decoder.decode([1000, 70_000])).toString()).toBe('ab abc')
  expect(() => decoder.decode([1001])).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }))
})

describe('a damaged vocabulary is one clear error', () => {
  const good = tinyVocabulary()
  const cases: Array<[string, Vocabulary]> = [
    ['an id twice', { ...good, ids: good.ids.map((id) => (id === 300 ? 299 : id)) }],
    ['an empty token', { ...good, offsets: good.offsets.map((at, index) => (index === 5 ? 4 : at)) }],
    ['too few offsets', { ...good, offsets: good.offsets.subarray(1) }],
    ['offsets past the bytes', { ...good, bytes: good.bytes.subarray(0, 300) }],
    ['a byte missing', vocabularyOf(good.pattern, singles.slice(1))],
    ['no tokens', vocabularyOf(good.pattern, [])],
  ]
  test.each(cases)('%s', (_, vocabulary) => {
    expect(() => buildTables(vocabulary)).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }))
  })

  test('a pattern that is no regular expression', () => {
    const tables = buildTables(vocabularyOf('(', singles))
    expect(() => createEncoder(tables)).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }))
  })
})

test('ids that are no whole numbers of the vocabulary are an error to the decoder', () => {
  const decoder = createDecoder(tinyVocabulary())
  expect(Buffer.from(decoder.tokenBytes(65)).toString()).toBe('A')
  for (const id of [-1, 0.5, Number.NaN, 1e9]) {
    expect(() => decoder.decode([65, id])).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }))
  }
})

function reversed({ pattern, bytes, offsets, ids }: Vocabulary): Vocabulary {
  const tokens = Array.from(ids, (_, index) => bytes.subarray(offsets[index], offsets[index + 1]))
  return vocabularyOf(pattern, tokens.reverse(), Array.from(ids).reverse())
}
