import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { checkTokenizerSize, readTokenizer, type TokenizerOptions } from '../../stages/tokenizers/index.ts'
import { createMerger } from '../../stages/tokenizers/merge-pairs.ts'
import { translatePattern } from '../../stages/tokenizers/split-pattern.ts'
import { buildTextTables, createTextEncoder } from '../../stages/tokenizers/text-encoder.ts'
import { decodeVocabulary, encodeVocabulary } from '../../stages/tokenizers/vocabulary.ts'

// Tokenizers trained with Python's tokenizers package, and the ids it gives: without added tokens, and with them.
interface Made {
  readonly name: string
  readonly tokenizer: Json
  readonly ids: number[][]
  readonly recognised: number[][]
}
type Json = Readonly<Record<string, unknown>>
const fixtures = join(import.meta.dirname, '../fixtures')
const { texts, tokenizers } = JSON.parse(
  readFileSync(join(fixtures, 'tokenizers/huggingface.json'), 'utf8'),
) as { texts: string[]; tokenizers: Made[] }

const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value))
const specials = ['<|im_start|>', '<|im_end|>']

function encoderOf(tokenizer: unknown, options: TokenizerOptions = {}, wanted = specials) {
  const read = readTokenizer('huggingface', bytesOf(tokenizer), 'tokenizer.json', wanted, options)
  return createTextEncoder(buildTextTables(decodeVocabulary(encodeVocabulary(read))))
}

function bothWays(encoder: ReturnType<typeof encoderOf>, text: string): number[][] {
  const bytes = Buffer.from(`x${text}x`)
  const out = new Int32Array(bytes.length * encoder.room + 2)
  const end = encoder.encode(bytes, 1, bytes.length - 1, out, 2)
  return [Array.from(encoder.encodeString(text)), Array.from(out.subarray(2, end))]
}

describe('ids are those of Python’s tokenizers', () => {
  const engines: Record<string, string> = { gpt2: 'fast', qwen: 'fast', llama: 'tiktoken' }
  test.each(tokenizers.map((made) => [made.name, made] as const))(
    '%s',
    (name, { tokenizer, ids, recognised }) => {
      const plain = encoderOf(tokenizer)
      expect(plain.engine).toBe(engines[name] ?? 'merges')
      const added = ((tokenizer['added_tokens'] ?? []) as { content: string }[]).map(({ content }) => content)
      // Appended special tokens would be recognised too: these must be the file's own.
      const own = specials.filter((special) => added.includes(special))
      const recognising = encoderOf(tokenizer, { addedTokens: 'recognise' }, own)
      texts.forEach((text, i) => {
        expect(bothWays(plain, text), text).toEqual([ids[i], ids[i]])
        expect(bothWays(recognising, text), text).toEqual([recognised[i], recognised[i]])
      })
    },
  )

  test('a limit gives a prefix of at least so many', () => {
    for (const { tokenizer, ids } of tokenizers) {
      const encoder = encoderOf(tokenizer)
      const bytes = Buffer.from(texts[1]!)
      const out = new Int32Array(bytes.length)
      const end = encoder.encode(bytes, 0, bytes.length, out, 0, 5)
      expect(end).toBeGreaterThanOrEqual(5)
      expect(Array.from(out.subarray(0, end))).toEqual(ids[1]!.slice(0, end))
    }
  })
})

test('special tokens that are missing are appended, those in the vocabulary keep their ids', () => {
  const { tokenizer } = tokenizers.find(({ name }) => name === 'gpt2')!
  const read = readTokenizer('huggingface', bytesOf(tokenizer), 'tokenizer.json', [
    '<|endoftext|>',
    '<|new|>',
  ])
  expect([read.bosId, read.specials.get('<|new|>'), read.vocabularySize]).toEqual([0, 420, 421])
})

test('a vocabulary without rules has the bytes it always had', () => {
  const { tokenizer } = tokenizers.find(({ name }) => name === 'gpt2')!
  const read = readTokenizer('huggingface', bytesOf(tokenizer), 'tokenizer.json', specials)
  const blob = Buffer.from(encodeVocabulary(read))
  const header = blob.subarray(12, 12 + blob.readUInt32LE(8)).toString()
  expect(Object.keys(JSON.parse(header))).toEqual([
    'pattern',
    'tokens',
    'textBytes',
    'specials',
    'vocabularySize',
    'bosId',
  ])
})

describe('what is not supported is one clear error', () => {
  const { tokenizer: base } = tokenizers.find(({ name }) => name === 'qwen')!
  const model = base['model'] as Json
  const sequence = (first: unknown) => ({
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [first, { type: 'ByteLevel', add_prefix_space: false, use_regex: false }],
    },
  })
  const split = (Regex: string) =>
    sequence({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })
  test.each([
    ['the model', { model: { ...model, type: 'Unigram' } }, 'the model "Unigram" is not supported'],
    ['dropout', { model: { ...model, dropout: 0.1 } }, 'dropout 0.1 is not supported'],
    ['byte fallback', { model: { ...model, byte_fallback: true } }, 'byte_fallback true is not supported'],
    ['a prefix', { model: { ...model, continuing_subword_prefix: '##' } }, 'continuing_subword_prefix "##"'],
    ['the normalizer', { normalizer: { type: 'NFKC' } }, 'the normalizer "NFKC" is not supported'],
    [
      'a normalizer inside',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'Lowercase' }] } },
      '"Lowercase"',
    ],
    ['no pre-tokenizer', { pre_tokenizer: null }, 'ends with null, not with ByteLevel'],
    ['another pre-tokenizer', sequence({ type: 'Metaspace' }), 'the pre-tokenizer "Metaspace"'],
    ['a space in front', { pre_tokenizer: { type: 'ByteLevel' } }, 'add_prefix_space'],
    ['a look-behind', split('(?<=a)b'), 'the group (?<='],
    ['an anchor', split('^a|b'), '^ (at character'],
    ['a damaged pattern', split('(a'), 'a ( without its )'],
    ['a range', split('[z-a]'), 'the pattern of the pre-tokenizer Split is not supported'],
    [
      'merges of tokens that are none',
      { model: { ...model, merges: [['Ġ', 'never']] } },
      'which is no token',
    ],
    ['merges of three', { model: { ...model, merges: ['a b c'] } }, 'merge 0 is not two tokens'],
    [
      'an id',
      { model: { ...model, vocab: { ...(model['vocab'] as Json), a: -1 } } },
      'the id of the token "a" is -1',
    ],
    ['an id twice', { model: { ...model, vocab: { ...(model['vocab'] as Json), a: 66 } } }, 'the same id'],
    [
      'no bytes',
      { model: { type: 'BPE', vocab: { a: 0 }, merges: [] } },
      'there is no token for the single byte 0x00',
    ],
    [
      'another alphabet',
      { model: { ...model, vocab: { ...(model['vocab'] as Json), '▁x': 9999 } } },
      'byte-level alphabet',
    ],
    ['an added token', { added_tokens: [{ id: 5, content: '' }] }, 'added token 0 has no content'],
  ])('%s', (_, change, message) => {
    expect(failure(() => encoderOf({ ...base, ...change }))).toContain(message)
  })

  test('what recognising cannot do', () => {
    const added = [{ id: 9999, content: '<mask>', lstrip: true, normalized: false, special: true }]
    expect(
      failure(() => encoderOf({ ...base, added_tokens: added }, { addedTokens: 'recognise' })),
    ).toContain('lstrip')
    expect(encoderOf({ ...base, added_tokens: added }).engine).toBe('fast')
  })

  test('files that are none', () => {
    for (const text of ['', '{', '[]', '7', 'null', `{"model":${'['.repeat(5000)}`, '{"model":{}}']) {
      expect(failure(() => readTokenizer('huggingface', Buffer.from(text), 't', specials))).toMatch(/./)
    }
    expect(failure(() => checkTokenizerSize('huggingface', 500_000_000, 't'))).toContain('500000000 bytes')
  })
})

function failure(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (!isShardmillError(error)) throw error
    expect(error.code).toBe('BAD_TOKENIZER')
    return error.message
  }
  throw new Error('nothing was thrown')
}

test('long pieces are merged as short ones are', () => {
  const byteToken = Int32Array.from({ length: 256 }, (_, byte) => byte)
  // ab, then abab, then ba: the leftmost of the lowest first
  const merges = Uint32Array.from([97, 98, 256, 256, 256, 257, 98, 97, 258])
  const merger = createMerger({ byteToken, merges })
  const merged = (text: string) => {
    const parts = new Int32Array(text.length)
    return Array.from(parts.subarray(0, merger.merge(Buffer.from(text), parts)))
  }
  expect(merged('abababa')).toEqual([257, 256, 97])
  expect(merged(`${'ab'.repeat(50)}a`)).toEqual([...Array<number>(25).fill(257), 97])
  expect(merged(`b${'ba'.repeat(30)}c`)).toEqual([98, 98, ...Array<number>(14).fill(257), 256, 97, 99])
})

test('classes of split patterns are those of Unicode 16', () => {
  // Numbers of characters, from Oniguruma through Python's tokenizers
  const sizes = {
    L: 141028,
    N: 1911,
    M: 2501,
    P: 855,
    S: 8514,
    Lu: 1858,
    Lt: 31,
    Lm: 404,
    Lo: 136477,
    Ll: 2258,
  }
  for (const [name, size] of Object.entries(sizes)) {
    const pattern = new RegExp(translatePattern(`\\p{${name}}`), 'v')
    let count = 0
    for (let point = 0; point < 0x110000; point++) {
      if ((point < 0xd800 || point > 0xdfff) && pattern.test(String.fromCodePoint(point))) count++
    }
    expect(count, name).toBe(size)
  }
}, 60_000)

test('possessive repetition does not give back', () => {
  expect(new RegExp(translatePattern('a++a'), 'v').test('aaaa')).toBe(false)
  expect(new RegExp(translatePattern('a?+b|c'), 'v').exec('ab')![0]).toBe('ab')
  expect("It’S ’ſ 'ſ".match(new RegExp(translatePattern("(?i:'s)"), 'gv'))).toEqual(["'ſ"])
})
