import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { get_encoding, type TiktokenEncoding } from 'tiktoken'
import { describe, expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { readTiktokenFile } from '../../stages/tokenizers/tiktoken.ts'

const require = createRequire(import.meta.url)
const encoderFile = (name: string) => readFileSync(require.resolve(`tiktoken/encoders/${name}.json`))

// Number of tokens, and sha256 of their lines "rank hex\n" in order of rank, made with Python.
test.each([
  ['gpt2', 50256, '22f185846c3da6972451b865f7a74e12f84c19a13b961e0eeae8468a17aa78fa'],
  ['r50k_base', 50256, '22f185846c3da6972451b865f7a74e12f84c19a13b961e0eeae8468a17aa78fa'],
  ['p50k_base', 50280, '6acf7ccc2416889843eabe4bac6f462be38e87763b637044a367c150fecfeae5'],
  ['cl100k_base', 100256, '74248f4aec6cbe440b5d7cf75d4e6cf57a788f2297a9e62f73347da83795871b'],
  ['o200k_base', 199998, '6d12c35070eec1461435eb1dd5917d3017695992188898477959ce17077f69c6'],
] as const)('%s', (name, count, digest) => {
  const bytes = encoderFile(name)
  const read = readTiktokenFile(bytes, name)
  const hash = createHash('sha256')
  for (let k = 0; k < read.ids.length; k++) {
    const token = Buffer.from(read.bytes.subarray(read.offsets[k]!, read.offsets[k + 1]!))
    hash.update(`${read.ids[k]} ${token.toString('hex')}\n`)
  }
  expect(read.ids).toHaveLength(count)
  expect(hash.digest('hex')).toBe(digest)
  expect(read.name).toBe(name)

  const encoding = get_encoding(name as TiktokenEncoding)
  for (const k of [0, 255, 256, 1000, count - 1]) {
    const token = encoding.decode_single_token_bytes(read.ids[k]!)
    expect(Buffer.from(read.bytes.subarray(read.offsets[k]!, read.offsets[k + 1]!))).toEqual(
      Buffer.from(token),
    )
  }
  for (const [special, id] of read.specialTokens) {
    expect(Array.from(encoding.encode(special, 'all'))).toEqual([id])
  }
  encoding.free()
  const json = JSON.parse(bytes.toString('utf8')) as {
    pat_str: string
    special_tokens: Record<string, number>
  }
  expect(read.pattern).toBe(json.pat_str)
  expect(Object.fromEntries(read.specialTokens)).toEqual(json.special_tokens)
})

describe('what it refuses', () => {
  const single = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte).toString('base64'))
  const good = { pat_str: '.', special_tokens: { '<s>': 256 }, bpe_ranks: `! 0 ${single.join(' ')}` }
  const read = (json: unknown) => readTiktokenFile(Buffer.from(JSON.stringify(json)), 'x.json')

  test('nothing of a good file', () => {
    expect(read(good).ids).toHaveLength(256)
    expect(read({ ...good, explicit_n_vocab: 257 }).ids).toHaveLength(256)
    expect(read({ ...good, bpe_ranks: `${good.bpe_ranks}\n! 400 YWI=\n` }).ids.at(-1)).toBe(400)
  })

  test.each<[string, unknown, RegExp]>([
    ['a list', [], /wrong at its top/],
    ['a missing field', { ...good, pat_str: undefined }, /pat_str/],
    ['an unknown field', { ...good, pattern: 'x' }, /pattern/],
    ['an id that is text', { ...good, special_tokens: { '<s>': '256' } }, /special_tokens\.<s>/],
    ['a fractional id', { ...good, special_tokens: { '<s>': 256.5 } }, /256\.5/],
    ['a special token with a token’s id', { ...good, special_tokens: { '<s>': 255 } }, /same id 255/],
    ['a line without "!"', { ...good, bpe_ranks: `${good.bpe_ranks}\n300 YWI=` }, /line 2 of bpe_ranks/],
    ['a line without an id', { ...good, bpe_ranks: `${good.bpe_ranks}\n! YWI=` }, /line 2 of bpe_ranks/],
    ['an id that is too large', { ...good, bpe_ranks: `${good.bpe_ranks}\n! 4294967296 YWI=` }, /4294967296/],
    ['a token that is not base64', { ...good, bpe_ranks: `${good.bpe_ranks} YW*=` }, /id 256 is not base64/],
    ['an empty token', { ...good, bpe_ranks: `${good.bpe_ranks} ` }, /id 256 is empty/],
    [
      'a token twice',
      { ...good, bpe_ranks: `${good.bpe_ranks}\n! 300 ${single[65]}` },
      /bytes 41 is there twice/,
    ],
    ['an id twice', { ...good, bpe_ranks: `${good.bpe_ranks}\n! 255 YWI=` }, /same id 255/],
    [
      'a byte without a token',
      { ...good, bpe_ranks: `! 0 ${single.slice(0, 255).join(' ')}` },
      /single byte 0xff/,
    ],
    ['another vocabulary size than stated', { ...good, explicit_n_vocab: 258 }, /explicit_n_vocab is 258/],
  ])('%s', (_name, json, message) => {
    let error: unknown
    try {
      read(json)
    } catch (thrown) {
      error = thrown
    }
    expect(isShardmillError(error, 'BAD_TOKENIZER')).toBe(true)
    expect(error).toMatchObject({ at: { file: 'x.json' }, message: expect.stringMatching(message) })
  })

  test('what is not JSON or not UTF-8', () => {
    for (const bytes of [Buffer.from('{'), Buffer.of(0x22, 0xff, 0x22), Buffer.alloc(0)]) {
      expect(() => readTiktokenFile(bytes, 'x.json')).toThrow(/is not JSON/)
    }
  })
})
