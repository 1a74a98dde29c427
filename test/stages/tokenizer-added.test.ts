/** Added tokens of a `tokenizer.json` that are ordinary tokens too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { digestOfText } from '../../pipeline/keys.ts'
import { bytesOfToken } from '../../stages/tokenizers/byte-level.ts'
import { readTokenizer, type TokenizerOptions } from '../../stages/tokenizers/index.ts'
import { buildTextTables, createTextEncoder } from '../../stages/tokenizers/text-encoder.ts'
import { decodeVocabulary, encodeVocabulary } from '../../stages/tokenizers/vocabulary.ts'
import { createWholeTextEncoder } from '../../stages/tokenizers/whole-text.ts'

interface Added {
  readonly id: number
  readonly content: string
  readonly normalized?: boolean
}
interface Made {
  readonly name: string
  /** Byte symbols that are not in the vocabulary. */
  readonly without: readonly string[]
  /** The vocabulary after the byte symbols. */
  readonly tokens: readonly string[]
  readonly merges: readonly (readonly [string, string])[]
  readonly added: readonly Added[]
  readonly normalizer: unknown
  readonly pre_tokenizer: unknown
  readonly ignore_merges: boolean
  readonly texts: readonly {
    readonly text: string
    readonly recognised: number[]
    readonly plain: number[]
  }[]
}

const fixture = join(import.meta.dirname, '../fixtures/tokenizers/huggingface-added.json')
const { cases } = JSON.parse(readFileSync(fixture, 'utf8')) as { cases: Made[] }
const symbols = Array.from({ length: 0x144 }, (_, point) => String.fromCharCode(point)).filter(
  (symbol) => bytesOfToken(symbol) !== undefined,
)
const turn = ['<|im_start|>', '<|im_end|>']
const recognise = { addedTokens: 'recognise' } as const

function made(name: string): Made {
  const found = cases.find((one) => one.name === name)
  if (found === undefined) throw new TypeError(`no case ${name}`)
  return found
}

function vocabularyOf(one: Made, options: TokenizerOptions = {}, wanted: readonly string[] = []) {
  const tokens = [...symbols.filter((symbol) => !one.without.includes(symbol)), ...one.tokens]
  const { merges, added, normalizer, pre_tokenizer, ignore_merges } = one
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const model = { type: 'BPE', ignore_merges, vocab, merges }
  const bytes = Buffer.from(JSON.stringify({ added_tokens: added, normalizer, pre_tokenizer, model }))
  const read = readTokenizer('huggingface', bytes, 'tokenizer.json', wanted, options)
  return decodeVocabulary(encodeVocabulary(read))
}

function bothWays(vocabulary: ReturnType<typeof vocabularyOf>, text: string): number[][] {
  const encoder = createTextEncoder(buildTextTables(vocabulary))
  const bytes = Buffer.from(text)
  const out = new Int32Array(bytes.length * encoder.room)
  const end = encoder.encode(bytes, 0, bytes.length, out, 0)
  return [Array.from(encoder.encodeString(text)), Array.from(out.subarray(0, end))]
}

describe.each(cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
  test('ids are those of Python’s tokenizers, recognised and as ordinary text', () => {
    const recognising = vocabularyOf(one, recognise)
    const whole = createWholeTextEncoder(buildTextTables(recognising))
    const ordinary = vocabularyOf(one)
    for (const { text, recognised, plain } of one.texts) {
      expect(bothWays(recognising, text), text).toEqual([recognised, recognised])
      expect(whole.encode(text, []).ids, text).toEqual(recognised)
      expect(bothWays(ordinary, text), text).toEqual([plain, plain])
    }
  })

  test('as the template’s special tokens they keep their ids', () => {
    const wanted = one.added.map(({ content }) => content)
    for (const options of [{}, recognise]) {
      const { specials, vocabularySize } = vocabularyOf(one, options, wanted)
      expect([...specials]).toEqual(
        one.added.map(({ content, id }) => [content, id] as const).sort((a, b) => a[1] - b[1]),
      )
      expect(vocabularySize).toBe(
        Math.max(
          symbols.length - one.without.length + one.tokens.length,
          ...one.added.map(({ id }) => id + 1),
        ),
      )
    }
  })
})

test('the template’s special tokens keep their ids when the vocabulary does not call them added', () => {
  const one = made("the template's, which merges make")
  const { specials } = vocabularyOf({ ...one, added: [] }, {}, turn)
  expect([...specials]).toEqual([
    ['<|im_start|>', 266],
    ['<|im_end|>', 271],
  ])
})

describe('ordinary text does not become the template’s special tokens', () => {
  const one = made("the template's, which merges make")

  test.each(['<|im_start|>', 'x <|im_end|> y', 'hi<|im_end|>'])('%j', (text) => {
    const vocabulary = vocabularyOf(one, {}, turn)
    const name = turn.find((special) => text.includes(special))
    // Without the template nothing is forged: ids are what merges make.
    expect(bothWays(vocabularyOf(one), text).flat()).toContain(vocabulary.specials.get(name!))
    const encoder = createTextEncoder(buildTextTables(vocabulary))
    const bytes = Buffer.from(text)
    const out = new Int32Array(bytes.length)
    for (const run of [
      () => encoder.encodeString(text),
      () => encoder.encode(bytes, 0, bytes.length, out, 0),
    ])
      expect(refusal(run, 'BAD_ROW')).toContain(JSON.stringify(name))
  })

  test('where the pattern keeps merges from making them, they are text', () => {
    const apart = made("the template's, which merges reach, in pieces that they do not reach")
    const { text, plain } = apart.texts[0]!
    expect(bothWays(vocabularyOf(apart, {}, turn), text)).toEqual([plain, plain])
  })

  test('where they are to be recognised, they are recognised', () => {
    const vocabulary = vocabularyOf(one, recognise, turn)
    expect(bothWays(vocabulary, '<|im_start|><|im_end|>')).toEqual([
      [266, 271],
      [266, 271],
    ])
  })
})

test('of added tokens with one name the first counts', () => {
  const one = made('a word that merges make')
  const added = [
    { id: 258, content: 'foo' },
    { id: 259, content: 'foo', normalized: true },
  ]
  expect(bothWays(vocabularyOf({ ...one, added }, recognise), 'foo')).toEqual([[258], [258]])
})

test('a vocabulary whose added tokens are ordinary text has the bytes it always had', () => {
  const blob = encodeVocabulary(vocabularyOf(made('a word that merges make'), {}, turn))
  expect(digestOfText(Buffer.from(blob).toString('latin1'))).toBe(
    '749d182776439c75096336662cf8e81135c5f304e9ee8d3300ad8e83a5912937',
  )
})

describe('one error that names the token', () => {
  const one = made('a word that merges make')
  const x = [{ id: 257, content: 'x' }]
  const nfc = { type: 'NFC' }
  test.each<[string, Partial<Made>, TokenizerOptions, string]>([
    ['an id of another token', { added: [{ id: 5, content: 'foo' }] }, recognise, 'special token "foo"'],
    ['another id', { added: [{ id: 5, content: 'ab' }] }, recognise, '"ab" has id 5, but 256'],
    ['a byte that texts have no token for', { without: ['x'], added: x }, {}, 'the byte symbol "x"'],
    [
      'a byte of other characters',
      { without: ['é'], added: [{ id: 257, content: 'é' }] },
      recognise,
      'the byte symbol "é"',
    ],
    [
      'a byte that normalizing brings in',
      { without: ['K'], added: [{ id: 257, content: 'K' }], normalizer: nfc },
      recognise,
      'the byte symbol "K"',
    ],
    [
      'one text after normalizing',
      {
        normalizer: nfc,
        added: [
          { id: 258, content: 'éa', normalized: true },
          { id: 259, content: 'e\u0301a', normalized: true },
        ],
      },
      recognise,
      'are the same text after normalizing',
    ],
  ])('%s', (_, change, options, message) => {
    expect(refusal(() => vocabularyOf({ ...one, ...change }, options), 'BAD_TOKENIZER')).toContain(message)
  })

  test('a byte that is always recognised needs no token', () => {
    const vocabulary = vocabularyOf({ ...one, without: ['x'], added: x }, recognise)
    expect(bothWays(vocabulary, 'xabx')).toEqual([
      [257, 255, 257],
      [257, 255, 257],
    ])
  })

  test('an added token without an id stops the encoder before it has read a text', () => {
    const { specials: _, ...vocabulary } = vocabularyOf(one, recognise)
    const tables = buildTextTables({ ...vocabulary, specials: new Map() })
    for (const create of [createTextEncoder, createWholeTextEncoder])
      expect(() => create(tables)).toThrow('the added token "ab" has no id')
  })
})

function refusal(run: () => unknown, code: string): string {
  try {
    run()
  } catch (error) {
    if (!isShardmillError(error)) throw error
    expect(error.code).toBe(code)
    return error.message
  }
  throw new Error('nothing was thrown')
}
