import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isShardmillError, type ShardmillError } from '../../errors/index.ts'
import { readPickle } from '../../stages/tokenizers/pickle.ts'
import type { TokenizerFile } from '../../stages/tokenizers/vocabulary.ts'

interface TinyTokenizer {
  pattern: string
  mergeable_ranks_hex: string[]
  special_tokens: Record<string, number>
  tokenizer_pkl_hex: string
}

const fixtures = new URL('../fixtures/', import.meta.url)
const tiny = JSON.parse(
  readFileSync(new URL('vectors/tiny-tokenizer.json', fixtures), 'utf8'),
) as TinyTokenizer
const tinyPickle = Buffer.from(tiny.tokenizer_pkl_hex, 'hex')

function tokensHex({ bytes, offsets, ids }: TokenizerFile): string[] {
  return Array.from(ids, (_, k) => Buffer.from(bytes.subarray(offsets[k]!, offsets[k + 1]!)).toString('hex'))
}

/** The error that reading `bytes` gives; anything but a BAD_TOKENIZER that names the file fails the test. */
function refusal(bytes: Uint8Array): ShardmillError {
  let result: TokenizerFile
  try {
    result = readPickle(bytes, 'tokenizer.pkl')
  } catch (error) {
    if (!isShardmillError(error, 'BAD_TOKENIZER')) throw error
    expect(error.at).toEqual({ file: 'tokenizer.pkl' })
    expect(error.hint).toBeDefined()
    return error
  }
  throw new Error(`it was read: ${result.ids.length} tokens`)
}

describe('what it reads', () => {
  test('the pickle of the tiny tokenizer', () => {
    const read = readPickle(tinyPickle, 'tokenizer.pkl')
    expect(read.name).toBe('tokenizer.pkl')
    expect(read.pattern).toBe(tiny.pattern)
    expect(tokensHex(read)).toEqual(tiny.mergeable_ranks_hex)
    expect(Array.from(read.ids)).toEqual(tiny.mergeable_ranks_hex.map((_, rank) => rank))
    expect(read.specialTokens).toEqual(Object.entries(tiny.special_tokens))
    expect(read.offsets).toHaveLength(read.ids.length + 1)
    expect(read.offsets.at(-1)).toBe(read.bytes.length)
  })

  // Trained with rustbpe, pickled from a tiktoken.Encoding as nanochat does; the sum is over its ranks in Python.
  test.each([3, 4, 5])('a trained tokenizer, pickle protocol %i', (protocol) => {
    const pickle = readFileSync(new URL(`tokenizers/rustbpe-2048.protocol${protocol}.pkl`, fixtures))
    expect(pickle[1]).toBe(protocol)
    const read = readPickle(pickle, 'tokenizer.pkl')
    const lines = tokensHex(read).map((token, k) => `${read.ids[k]} ${token}\n`)
    expect(lines).toHaveLength(2039)
    expect(createHash('sha256').update(lines.join('')).digest('hex')).toBe(
      'b423355f74a56fe643be2ec42fd79914babfb505261dca8fb234cb7ed4ea12b6',
    )
    expect(read.pattern).toBe(tiny.pattern)
    expect(read.specialTokens).toEqual(Object.keys(tiny.special_tokens).map((name, i) => [name, 2039 + i]))
  })

  test('a pickle inside a larger buffer', () => {
    const padded = Buffer.concat([Buffer.alloc(3), tinyPickle, Buffer.alloc(5)])
    const read = readPickle(padded.subarray(3, 3 + tinyPickle.length), 'tokenizer.pkl')
    expect(tokensHex(read)).toEqual(tiny.mergeable_ranks_hex)
  })

  test('the long forms of strings and bytes, single items, a later frame, a class named by GLOBAL, any order of ranks', () => {
    const entries = tokenEntries().reverse()
    const ranks = entries.flatMap(({ token, id }) => [
      op(0x8e),
      u64(token.length),
      token,
      bininteger(id),
      op(0x73),
    ])
    const state = [
      ...[text8('pat_str'), text8('.'), text8('special_tokens'), op(0x7d)],
      ...[op(0x28), text4('<s>'), bininteger(300), text4('<r>'), bininteger(299), op(0x75)],
      ...[op(0x95), u64(1), text('mergeable_ranks'), op(0x7d), ...ranks, text('name'), text('n')],
    ]
    const read = readPickle(
      Buffer.concat([proto(2), line('c', 'tiktoken.core', 'Encoding'), ...object(state)]),
      'tokenizer.pkl',
    )
    expect(Array.from(read.ids)).toEqual(entries.map(({ id }) => id).reverse())
    expect(tokensHex(read)).toEqual(entries.map(({ token }) => token.toString('hex')).reverse())
    expect(read.specialTokens).toEqual([
      ['<r>', 299],
      ['<s>', 300],
    ])
  })
})

describe('what it refuses', () => {
  test('any beginning of a pickle', () => {
    for (let length = 0; length < tinyPickle.length; length++) refusal(tinyPickle.subarray(0, length))
    const byGlobal = readFileSync(new URL('tokenizers/rustbpe-2048.protocol3.pkl', fixtures))
    for (let length = 0; length < byGlobal.length; length += 7) refusal(byGlobal.subarray(0, length))
  })

  test('bytes after its end', () => {
    expect(refusal(Buffer.concat([tinyPickle, Buffer.of(0)])).message).toMatch(
      /bytes follow the pickle’s end/,
    )
    refusal(Buffer.concat([tinyPickle, tinyPickle]))
  })

  test('any changed byte either reads as another tokenizer or is an error', () => {
    let refused = 0
    const damaged = Buffer.from(tinyPickle)
    for (let at = 0; at < tinyPickle.length; at++) {
      damaged[at]! ^= [0x01, 0x80, 0xff][at % 3]!
      try {
        readPickle(damaged, 'tokenizer.pkl')
      } catch (error) {
        if (!isShardmillError(error, 'BAD_TOKENIZER')) throw error
        refused++
      }
      damaged[at] = tinyPickle[at]!
    }
    expect(refused).toBeGreaterThan(tinyPickle.length / 2)
  })

  const call = [text('true'), op(0x85), op(0x52)]
  test.each<[string, Buffer[], RegExp]>([
    ['os.system by GLOBAL', [line('c', 'os', 'system'), ...call], /"os\.system".*byte 2\)/],
    [
      'builtins.eval by STACK_GLOBAL',
      [text('builtins'), text('eval'), op(0x93), ...call],
      /"builtins\.eval"/,
    ],
    ['INST', [op(0x28), text('true'), line('i', 'os', 'system')], /opcode INST .*byte 9\)/],
    ['OBJ', [op(0x28), line('c', 'tiktoken.core', 'Encoding'), op(0x6f)], /opcode OBJ /],
    [
      'REDUCE of the Encoding',
      [line('c', 'tiktoken.core', 'Encoding'), op(0x29), op(0x52)],
      /opcode REDUCE .*byte 27\)/,
    ],
    [
      'NEWOBJ_EX',
      [line('c', 'tiktoken.core', 'Encoding'), op(0x29), op(0x7d), op(0x92)],
      /opcode NEWOBJ_EX /,
    ],
    ['PERSID', [line('P', 'x')], /opcode PERSID /],
    ['BINPERSID', [text('x'), op(0x51)], /opcode BINPERSID /],
    ['EXT1', [op(0x82, 1)], /opcode EXT1 /],
    ['NEXT_BUFFER', [op(0x97)], /opcode NEXT_BUFFER /],
    ['APPENDS', [op(0x5d, 0x28, 0x65)], /opcode EMPTY_LIST /],
    ['a byte that is no opcode', [op(0xff)], /opcode 0xff .*byte 2\)/],
    ['another class of tiktoken', [line('c', 'tiktoken.load', 'Encoding')], /"tiktoken\.load\.Encoding"/],
    [
      'a class named with dots',
      [text('tiktoken.core'), text('Encoding.decode'), op(0x93)],
      /Encoding\.decode/,
    ],
    ['a nested PROTO', [op(0x80, 4)], /opcode PROTO /],
    ['NEWOBJ with arguments', [line('c', 'tiktoken.core', 'Encoding'), op(0x7d), op(0x81)], /NEWOBJ/],
    ['NEWOBJ of a string', [text('x'), op(0x29), op(0x81)], /NEWOBJ/],
    ['BUILD of nothing', [op(0x7d), op(0x62)], /BUILD/],
    ['BUILD of a dictionary', [op(0x7d), op(0x7d), op(0x62)], /BUILD without a new Encoding/],
    ['SETITEMS without MARK', [op(0x7d), op(0x75)], /SETITEMS without a MARK/],
    ['SETITEMS of an odd count', [op(0x7d), op(0x28), text('x'), op(0x75)], /SETITEMS without a dictionary/],
    ['SETITEM across a MARK', [op(0x7d), op(0x28), text('x'), op(0x73)], /SETITEM/],
    ['SETITEM of a string', [text('x'), text('y'), text('z'), op(0x73)], /SETITEM without a dictionary/],
    ['BINGET of nothing', [op(0x68, 7)], /BINGET of 7/],
    ['LONG_BINGET of nothing', [op(0x6a), u32(0xffffffff)], /LONG_BINGET of 4294967295/],
    ['MEMOIZE of nothing', [op(0x94)], /MEMOIZE with nothing/],
    ['STOP with nothing', [op(0x2e)], /STOP with nothing/],
    ['a string as the whole', [text('gpt2'), op(0x2e)], /not a tiktoken\.Encoding/],
    ['a string that is not UTF-8', [op(0x8c, 1, 0xff)], /not UTF-8/],
    ['an Encoding without state', [line('c', 'tiktoken', 'Encoding'), op(0x29, 0x81, 0x2e)], /no state/],
    ['something under the Encoding', [text('x'), ...minimal(), op(0x2e)], /leaves objects on its stack/],
  ])('%s', (_name, body, message) => {
    const error = refusal(Buffer.concat([proto(4), ...body]))
    expect(error.message).toMatch(message)
    expect(error.message).not.toMatch(/undefined|\[object/)
  })

  test.each([
    ['a text file', Buffer.from('not a pickle\n')],
    ['a pickle of protocol 0', Buffer.from('cos\nsystem\n(S"true"\ntR.')],
    ['a later protocol', Buffer.of(0x80, 6, 0x2e)],
    ['a zip file, as torch.save writes', Buffer.from('PK\x03\x04')],
  ])('%s', (_name, bytes) => {
    refusal(bytes)
  })

  test('huge counts, before anything of that size is made', () => {
    const huge = [0xff, 0xff, 0xff, 0xff]
    for (const body of [
      ...[op(0x58, ...huge), op(0x42, ...huge), op(0x8d, ...huge, ...huge), op(0x8e, ...huge, ...huge)],
      ...[op(0x95, ...huge, ...huge), op(0x8e, 0, 0, 0, 0, 1, 0, 0, 0), op(0x95, 1, 0, 0, 0, 0, 0, 0, 0)],
    ]) {
      expect(refusal(Buffer.concat([proto(4), body])).message).toMatch(/cut short/)
    }
  })

  test('memo bombs: one long string again and again, dictionaries in themselves', () => {
    const long = Buffer.alloc(1 << 20, 0x61)
    const repeated = Array.from({ length: 20_000 }, (_, i) => [op(0x68, 0), bininteger(i), op(0x73)]).flat()
    const bomb = [
      op(0x7d),
      op(0x42),
      u32(long.length),
      long,
      op(0x71, 0),
      bininteger(0),
      op(0x73),
      ...repeated,
    ]
    expect(refusal(encoding({ mergeable_ranks: bomb })).message).toMatch(/tokens are repeated/)

    const doubling = Array.from({ length: 100 }, () => op(0x28, 0x68, 0, 0x68, 0, 0x75, 0x71, 0)).flat()
    expect(refusal(encoding({ mergeable_ranks: [op(0x7d, 0x71, 0), ...doubling] })).message).toMatch(
      /not an integer/,
    )

    const sparse = [op(0x7d), op(0x72), u32(0xffffffff), op(0x72), u32(0x7fffffff)]
    expect(refusal(encoding({ mergeable_ranks: sparse })).message).toMatch(/single byte 0x00/)
  })

  test('the name of one of tiktoken’s own encodings, with the way to use it', () => {
    const error = refusal(
      Buffer.concat([
        proto(4),
        line('c', 'tiktoken.core', 'Encoding'),
        op(0x29, 0x81),
        text('gpt2'),
        op(0x62, 0x2e),
      ]),
    )
    expect(error.hint).toMatch(/kind: tiktoken, encoding: gpt2/)
  })

  test.each<[string, Partial<Record<string, Buffer[]>>, RegExp]>([
    ['a rank twice', { mergeable_ranks: ranks([{ token: Buffer.from('ab'), id: 5 }]) }, /same id 5/],
    [
      'a token twice',
      { mergeable_ranks: ranks([{ token: Buffer.from('a'), id: 500 }]) },
      /bytes 61 is there twice/,
    ],
    ['an empty token', { mergeable_ranks: ranks([{ token: Buffer.alloc(0), id: 500 }]) }, /id 500 is empty/],
    ['a negative rank', { mergeable_ranks: ranks([{ token: Buffer.from('ab'), id: -1 }]) }, /is -1/],
    ['a byte without a token', { mergeable_ranks: ranks([], 0x41) }, /single byte 0x41/],
    ['no tokens', { mergeable_ranks: [op(0x7d)] }, /single byte 0x00/],
    ['ranks that are a string', { mergeable_ranks: [text('x')] }, /mergeable_ranks is not a dictionary/],
    [
      'a token that is a string',
      { mergeable_ranks: [op(0x7d), text('a'), bininteger(1), op(0x73)] },
      /not a byte string/,
    ],
    [
      'a rank that is a string',
      { mergeable_ranks: [op(0x7d), op(0x43, 1, 1), text('a'), op(0x73)] },
      /not an integer/,
    ],
    ['a special token with a token’s id', { special_tokens: specials(['<s>', 7]) }, /<s>.*same id 7/],
    [
      'two special tokens with one id',
      { special_tokens: specials(['<s>', 700], ['<r>', 700]) },
      /same id 700/,
    ],
    ['a special token twice', { special_tokens: specials(['<s>', 700], ['<s>', 701]) }, /<s>.*twice/],
    ['a special token without text', { special_tokens: specials(['', 700]) }, /has no text/],
    [
      'a special token as bytes',
      { special_tokens: [op(0x7d), op(0x43, 1, 1), bininteger(900), op(0x73)] },
      /not a string/,
    ],
    ['an empty pattern', { pat_str: [text('')] }, /pattern is empty/],
    ['a pattern that is a number', { pat_str: [bininteger(1)] }, /pat_str is not a string/],
    ['a name that is a dictionary', { name: [op(0x7d)] }, /name is not a string/],
    ['an unknown field', { extra: [text('x')] }, /"extra"/],
    ['a missing field', { special_tokens: undefined }, /lacks special_tokens/],
  ])('%s', (_name, changes, message) => {
    expect(refusal(encoding(changes)).message).toMatch(message)
  })

  test('without the changes above the pickle is fine', () => {
    expect(readPickle(encoding({}), 'tokenizer.pkl').ids).toHaveLength(256)
  })
})

// A pickle assembler, just enough for the tests.

function op(...bytes: number[]): Buffer {
  return Buffer.from(bytes)
}
function proto(version: number): Buffer {
  return op(0x80, version)
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
function u64(value: number): Buffer {
  return Buffer.concat([u32(value), u32(0)])
}
function bininteger(value: number): Buffer {
  return Buffer.concat([op(0x4a), u32(value >>> 0)])
}
function text(value: string): Buffer {
  return Buffer.concat([op(0x8c, Buffer.byteLength(value)), Buffer.from(value)])
}
function text4(value: string): Buffer {
  return Buffer.concat([op(0x58), u32(Buffer.byteLength(value)), Buffer.from(value)])
}
function text8(value: string): Buffer {
  return Buffer.concat([op(0x8d), u64(Buffer.byteLength(value)), Buffer.from(value)])
}
function line(opcode: string, ...lines: string[]): Buffer {
  return Buffer.from(opcode + lines.map((each) => `${each}\n`).join(''))
}
function object(state: Buffer[]): Buffer[] {
  return [op(0x29, 0x81, 0x7d, 0x28), ...state, op(0x75, 0x62, 0x2e)]
}
function minimal(): Buffer[] {
  return [line('c', 'tiktoken.core', 'Encoding'), op(0x29, 0x81, 0x7d, 0x62)]
}
function tokenEntries(): { token: Buffer; id: number }[] {
  return Array.from({ length: 256 }, (_, byte) => ({ token: Buffer.of(byte), id: byte }))
}
function ranks(more: { token: Buffer; id: number }[], without?: number): Buffer[] {
  const entries = [...tokenEntries().filter(({ id }) => id !== without), ...more]
  return [
    op(0x7d),
    ...entries.flatMap(({ token, id }) => [op(0x43, token.length), token, bininteger(id), op(0x73)]),
  ]
}
function specials(...entries: [string, number][]): Buffer[] {
  return [op(0x7d), ...entries.flatMap(([name, id]) => [text(name), bininteger(id), op(0x73)])]
}
/** A pickled Encoding of the 256 bytes, with some fields of its state replaced. */
function encoding(changes: Partial<Record<string, Buffer[]>>): Buffer {
  const state: Record<string, Buffer[] | undefined> = {
    name: [text('n')],
    pat_str: [text('.')],
    mergeable_ranks: ranks([]),
    special_tokens: specials(['<s>', 256]),
    ...changes,
  }
  const fields = Object.entries(state).flatMap(([key, value]) =>
    value === undefined ? [] : [text(key), ...value],
  )
  return Buffer.concat([proto(4), line('c', 'tiktoken.core', 'Encoding'), ...object(fields)])
}
