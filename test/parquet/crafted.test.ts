import { compress } from '@bokuweb/zstd-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ColumnType } from '../../parquet/columns.ts'
import { bytesSource, openParquet, readParquet } from '../../parquet/index.ts'
import { loadZstd } from '../../parquet/zstd.ts'
import {
  type CraftedColumn,
  craft,
  dataPage,
  dataPageV2,
  dictionaryPage,
  group,
  int,
  leaf,
  packed,
  page,
  plain,
  run,
  sized,
  string,
  struct,
  text,
  u32,
} from './craft.ts'
import { readAll } from './values.ts'

const text_: ColumnType = { kind: 'string' }
const strings: ColumnType = { kind: 'list', item: text_ }
const BAD = { name: 'ShardmillError', code: 'BAD_FILE', retryable: false }

async function open(bytes: Uint8Array) {
  return openParquet(bytesSource(bytes, 'crafted.parquet'))
}

/** The values of the one column `x`. */
async function valuesOf(bytes: Uint8Array, type: ColumnType = text_) {
  return (await readAll(await open(bytes), { x: type })).map((row) => row.x)
}

function flat(pages: Uint8Array[], values: number, more: Partial<CraftedColumn> = {}) {
  return craft([string('x', 0)], 1, [{ rows: values, columns: [{ pages, values, ...more }] }])
}

describe('lists in all their dialects', () => {
  const levels = Buffer.concat([sized(packed([0, 1, 0, 0, 1], 1)), sized(packed([1, 1, 0, 1, 1], 1))])
  const pages = [dataPage(5, Buffer.concat([levels, plain('a', 'b', 'c', 'd')]))]
  const want = [['a', 'b'], [], ['c', 'd']]
  const column = { pages, values: 5 }

  test('a repeated leaf without annotation', async () => {
    expect(await valuesOf(craft([string('x', 2)], 1, [{ rows: 3, columns: [column] }]), strings)).toEqual(
      want,
    )
  })

  test('two levels: a repeated leaf in a list group', async () => {
    const file = craft([group('x', 0, 1, 3), string('array', 2)], 1, [{ rows: 3, columns: [column] }])
    expect(await valuesOf(file, strings)).toEqual(want)
  })

  test.each([
    ['list', 'element'],
    ['list', 'item'],
    ['bag', 'array_element'],
    ['list', 'array'],
  ])('three levels with the names %s and %s', async (outer, inner) => {
    const file = craft([group('x', 0, 1, 3), group(outer, 2, 1), string(inner, 0)], 1, [
      { rows: 3, columns: [column] },
    ])
    expect(await valuesOf(file, strings)).toEqual(want)
  })

  test.each([
    ['array', 1],
    ['x_tuple', 1],
    ['anything', 2],
  ])('two levels: a repeated group "%s" of %i fields is the item itself', async (name, fields) => {
    const file = craft(
      [
        group('x', 0, 1, 3),
        group(name, 2, fields),
        string('f', 0),
        ...(fields === 2 ? [string('g', 0)] : []),
      ],
      1,
      [{ rows: 3, columns: fields === 2 ? [column, column] : [column] }],
    )
    const item: ColumnType = { kind: 'struct', fields: { f: text_ } }
    const structs = want.map((row) => row.map((f) => ({ f })))
    expect(await valuesOf(file, { kind: 'list', item })).toEqual(structs)
  })
})

describe('levels and pages', () => {
  test('a row may go on in the next page, and the next batch starts after it', async () => {
    const half = (repetition: number[], ...values: string[]) =>
      dataPage(
        repetition.length,
        Buffer.concat([sized(packed(repetition, 1)), sized(run(1, repetition.length, 1)), plain(...values)]),
      )
    const pages = [half([0, 1, 0], 'a', 'b', 'c'), half([1, 1], 'd', 'e'), half([1, 0], 'f', 'g')]
    const file = craft([string('x', 2)], 1, [{ rows: 3, columns: [{ pages, values: 7 }] }])
    const want = [['a', 'b'], ['c', 'd', 'e', 'f'], ['g']]
    expect(await valuesOf(file, strings)).toEqual(want)
    const one = await readAll(await open(file), { x: strings }, { batchRows: 1 })
    expect(one.map((row) => row.x)).toEqual(want)
  })

  test('the deprecated bit-packed level encoding', async () => {
    // Most significant bit first: null, a, null, b, c.
    const body = Buffer.concat([Uint8Array.from([0b01011000]), plain('a', 'b', 'c')])
    const file = craft([string('x', 1)], 1, [
      { rows: 5, columns: [{ pages: [dataPage(5, body, { levelEncoding: 4 })], values: 5 }] },
    ])
    expect(await valuesOf(file)).toEqual([null, 'a', null, 'b', 'c'])
  })

  test('a page header longer than what is read first', async () => {
    const pages = [
      dataPage(1, plain('a'), { statistics: 700_000 }),
      dataPage(1, plain('b'), { statistics: 600 }),
    ]
    expect(await valuesOf(flat(pages, 2))).toEqual(['a', 'b'])
  })

  test('pages of other kinds, and of no entries, are read over', async () => {
    const pages = [
      page(1, plain('index'), {}, {}),
      dataPage(0, new Uint8Array(0)),
      dataPage(1, plain('a')),
      page(9, plain('later'), {}, {}),
      dataPage(1, plain('b')),
    ]
    expect(await valuesOf(flat(pages, 2))).toEqual(['a', 'b'])
  })

  test('dictionary indices of no bits need no data', async () => {
    const pages = [dictionaryPage(1, plain('only')), dataPage(3, Uint8Array.from([0]), { encoding: 8 })]
    expect(await valuesOf(flat(pages, 3))).toEqual(['only', 'only', 'only'])
    expect(await valuesOf(flat(pages, 3, { dictionary: true }))).toEqual(['only', 'only', 'only'])
  })

  test('dictionary indices of up to 32 bits', async () => {
    for (const width of [1, 2, 3, 5, 8, 9, 12, 15, 17, 24, 25, 31, 32]) {
      const picks = Array.from({ length: 48 }, (_, i) => (i * 7) % 2)
      const body = Buffer.concat([Uint8Array.from([width]), packed(picks, width), run(1, 5, width)])
      const pages = [dictionaryPage(2, plain('no', 'yes')), dataPage(53, body, { encoding: 8 })]
      const want = [...picks, 1, 1, 1, 1, 1].map((pick) => (pick ? 'yes' : 'no'))
      expect([width, await valuesOf(flat(pages, 53))]).toEqual([width, want])
    }
  })

  test('what lies behind the last value of a page is of no concern', async () => {
    const junk = Uint8Array.from([255, 255, 255, 255, 9])
    const dictionary = dictionaryPage(2, Buffer.concat([plain('no', 'yes')]))
    const indices = Buffer.concat([Uint8Array.from([1]), packed([0, 1], 1), junk])
    expect(await valuesOf(flat([dataPage(1, Buffer.concat([plain('a'), junk]))], 1))).toEqual(['a'])
    expect(await valuesOf(flat([dictionary, dataPage(2, indices, { encoding: 8 })], 2))).toEqual([
      'no',
      'yes',
    ])
  })

  test('version 2 levels and uncompressed bodies', async () => {
    const body = plain('a', 'b')
    const pages = [
      dataPageV2(3, 2, packed([0, 1, 0], 1), packed([1, 1, 0], 1), body, { compressed: false, crc: true }),
    ]
    const file = craft([string('x', 2)], 1, [{ rows: 2, columns: [{ pages, values: 3, codec: 1 }] }])
    expect(await valuesOf(file, strings)).toEqual([['a', 'b'], []])
  })

  test('a billion nulls in a few bytes cost a batch at a time', async () => {
    const count = 2 ** 30
    const body = sized(run(0, count, 1))
    const pages = [dataPage(count, body)]
    const file = await open(
      craft([string('x', 1)], 1, [{ rows: count, columns: [{ pages, values: count }] }]),
    )
    let batches = 0
    for await (const batch of readParquet(file, { from: 0, to: 1 }, { x: text_ })) {
      expect(batch.rows).toBe(65536)
      if (++batches === 3) break
    }
    expect(batches).toBe(3)
  })

  test('a column of one name twice is the first; a struct may be of any depth; __proto__ is a name', async () => {
    const column = (value: string) => ({ pages: [dataPage(1, plain(value))], values: 1 })
    const twice = craft([string('x', 0), string('x', 0)], 2, [
      { rows: 1, columns: [column('a'), column('b')] },
    ])
    expect(await valuesOf(twice)).toEqual(['a'])
    const odd = craft([group('__proto__', 0, 1), string('constructor', 0)], 1, [
      { rows: 1, columns: [column('a')] },
    ])
    const fields = JSON.parse(
      '{"__proto__": {"kind": "struct", "fields": {"constructor": {"kind": "string"}}}}',
    )
    const rows = await readAll(await open(odd), fields)
    expect(JSON.stringify(rows)).toBe('[{"__proto__":{"constructor":"a"}}]')
  })
})

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

describe('files that contradict themselves', () => {
  const good = dataPage(2, plain('a', 'b'))
  const optional = (levels: Uint8Array, ...values: string[]) =>
    craft([string('x', 1)], 1, [
      { rows: 2, columns: [{ pages: [dataPage(2, Buffer.concat([levels, plain(...values)]))], values: 2 }] },
    ])

  test.each<[string, Uint8Array, RegExp]>([
    ['fewer values than rows', flat([good], 3), /fewer values/],
    [
      'more values than the column says',
      flat([dataPage(5, plain('a', 'b', 'c', 'd', 'e'))], 2),
      /only 2 are left/,
    ],
    [
      'more rows than the row group',
      craft([string('x', 0)], 1, [{ rows: 1, columns: [{ pages: [good], values: 2 }] }]),
      /more rows/,
    ],
    [
      'fewer rows than the row group',
      craft([string('x', 0)], 1, [{ rows: 3, columns: [{ pages: [good], values: 2 }] }]),
      /has 2 rows, its row group 3/,
    ],
    [
      'a page longer than the file',
      flat([dataPage(2, plain('a', 'b'), { stored: 2 ** 31 - 1, size: 2 ** 31 - 1 })], 2),
      /past the end/,
    ],
    ['a page of negative length', flat([dataPage(2, plain('a', 'b'), { stored: -5 })], 2), /size/],
    [
      'a page whose uncompressed size is another',
      flat([dataPage(2, plain('a', 'b'), { size: 3 })], 2),
      /its header says 3/,
    ],
    [
      'a value longer than its page',
      flat([dataPage(1, Buffer.concat([u32(100), Buffer.from('a')]))], 1),
      /fewer values/,
    ],
    [
      'a value of negative length',
      flat([dataPage(1, Buffer.concat([u32(2 ** 31 + 5), Buffer.from('a')]))], 1),
      /fewer values/,
    ],
    [
      'an index outside the dictionary',
      flat(
        [
          dictionaryPage(2, plain('a', 'b')),
          dataPage(2, Buffer.concat([Uint8Array.of(2), run(3, 2, 2)]), { encoding: 8 }),
        ],
        2,
      ),
      /entry 3 of a dictionary of 2/,
    ],
    [
      'indices without a dictionary',
      flat([dataPage(2, Buffer.concat([Uint8Array.of(2), run(1, 2, 2)]), { encoding: 8 })], 2),
      /dictionary that is not there/,
    ],
    ['a dictionary cut off', flat([dictionaryPage(5, plain('a', 'b')), good], 2), /dictionary is cut off/],
    [
      'a dictionary of two billion',
      flat([dictionaryPage(2 ** 31 - 1, plain('a', 'b')), good], 2),
      /dictionary is cut off/,
    ],
    [
      'indices of 77 bits',
      flat([dictionaryPage(2, plain('a', 'b')), dataPage(2, Uint8Array.of(77, 1), { encoding: 8 })], 2),
      /bit width of 77/,
    ],
    ['an encoding that is none', flat([dataPage(2, plain('a', 'b'), { encoding: 99 })], 2), /encoding 99/],
    ['an encoding for other types', flat([dataPage(2, plain('a', 'b'), { encoding: 5 })], 2), /encoding 5/],
    ['a wrong checksum', flat([dataPage(2, plain('a', 'b'), { crc: 12345 })], 2), /checksum/],
    ['levels above the highest', optional(sized(run(2, 2, 2)), 'a', 'b'), /level/],
    ['levels cut off', optional(u32(500), 'a', 'b'), /cut off/],
    ['too few levels', optional(sized(run(1, 1, 1)), 'a', 'b'), /fewer levels/],
    [
      'a first row without a beginning',
      craft([string('x', 2)], 1, [
        {
          rows: 1,
          columns: [
            {
              pages: [
                dataPage(2, Buffer.concat([sized(packed([1, 0], 1)), sized(run(1, 2, 1)), plain('a', 'b')])),
              ],
              values: 2,
            },
          ],
        },
      ]),
      /first row|expected/,
    ],
    [
      'snappy that is none',
      flat([dataPage(2, Buffer.from('\u0008nonsense'), { size: 8 })], 2, { codec: 1 }),
      /snappy/,
    ],
    [
      'snappy that says 2 GB',
      flat([dataPage(2, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x07, 1, 2), { size: 2 ** 31 - 1 })], 2, {
        codec: 1,
      }),
      /cannot hold/,
    ],
    [
      'gzip that is none',
      flat([dataPage(2, Buffer.from('nonsense'), { size: 10 })], 2, { codec: 2 }),
      /gzip/,
    ],
    [
      'brotli that is none',
      flat([dataPage(2, Buffer.from('nonsense'), { size: 10 })], 2, { codec: 4 }),
      /brotli/,
    ],
    ['lz4 that is none', flat([dataPage(2, Buffer.from('nonsense'), { size: 10 })], 2, { codec: 7 }), /LZ4/],
    [
      'lz4 that says 2 GB',
      flat([dataPage(2, Buffer.from('nonsense'), { size: 2 ** 31 - 1 })], 2, { codec: 5 }),
      /cannot hold/,
    ],
    ['codec LZO', flat([good], 2, { codec: 3 }), /lzo is not supported/],
    ['a codec that is none', flat([good], 2, { codec: 42 }), /codec number 42 is not supported/],
    ['an encrypted column', flat([good], 2, { chunk: { 8: struct({}) } }), /is encrypted/],
    ['data in another file', flat([good], 2, { chunk: { 1: text('other.parquet') } }), /another file/],
    ['data after the file’s end', flat([good], 2, { meta: { 7: int(10 ** 9) } }), /outside the file/],
    ['data before the file’s start', flat([good], 2, { meta: { 9: int(1) } }), /outside the file/],
    ['an offset below zero', flat([good], 2, { meta: { 9: int(-100) } }), /size/],
    ['values beyond all numbers', flat([good], 2, { meta: { 5: int(2n ** 62n) } }), /size/],
    ['another physical type', flat([good], 2, { physical: 1 }), /two physical types/],
    [
      'a row group without its column',
      craft([string('x', 0)], 1, [{ rows: 2, columns: [] }]),
      /0 columns, the schema 1/,
    ],
    [
      'a footer that counts other rows',
      craft([string('x', 0)], 1, [{ rows: 2, columns: [{ pages: [good], values: 2 }] }], { 3: int(7) }),
      /counts 7 rows/,
    ],
    [
      'a schema that is cut off',
      craft([string('x', 0)], 5, [{ rows: 2, columns: [{ pages: [good], values: 2 }] }]),
      /schema/,
    ],
    [
      'a schema nested too deeply',
      craft([...Array.from({ length: 100 }, () => group('g', 0, 1)), string('x', 0)], 1, []),
      /nested too deeply/,
    ],
  ])('%s', async (_, file, message) => {
    await expect(valuesOf(file, /first row/.test(message.source) ? strings : text_)).rejects.toMatchObject({
      ...BAD,
      message: expect.stringMatching(message),
      at: { file: 'crafted.parquet' },
    })
  })

  test('columns of one list that have different lists', async () => {
    const side = (repetition: number[]) => ({
      pages: [
        dataPage(3, Buffer.concat([sized(packed(repetition, 1)), sized(run(1, 3, 1)), plain('a', 'b', 'c')])),
      ],
      values: 3,
    })
    const file = craft([group('x', 2, 2), string('role', 0), string('content', 0)], 1, [
      { rows: 2, columns: [side([0, 1, 0]), side([0, 0, 1])] },
    ])
    const item: ColumnType = { kind: 'struct', fields: { role: text_, content: text_ } }
    await expect(valuesOf(file, { kind: 'list', item })).rejects.toMatchObject({
      ...BAD,
      message: expect.stringMatching(/column "x": .*disagree/),
    })
  })

  test('the error says in which row group and physical column', async () => {
    const column = { pages: [dataPage(2, plain('a', 'b'))], values: 2 }
    const broken = { pages: [dataPage(2, plain('a', 'b'), { crc: 1 })], values: 2 }
    const file = craft([group('g', 0, 2), string('x', 0), string('y', 0)], 1, [
      { rows: 2, columns: [column, column] },
      { rows: 2, columns: [column, broken] },
    ])
    const type: ColumnType = { kind: 'struct', fields: { x: text_, y: text_ } }
    await expect(readAll(await open(file), { g: type })).rejects.toMatchObject({
      message: expect.stringMatching(/^crafted\.parquet: row group 1, column "g\.y": /),
      hint: expect.stringMatching(/Download/),
    })
    // What is not asked for does not matter.
    const rows = await readAll(await open(file), { g: { kind: 'struct', fields: { x: text_ } } })
    expect(rows).toHaveLength(4)
  })

  test('integers that a double cannot hold', async () => {
    const ints = (values: bigint[], converted?: number) => {
      const body = Buffer.alloc(values.length * 8)
      values.forEach((value, i) => {
        body.writeBigUInt64LE(BigInt.asUintN(64, value), i * 8)
      })
      return craft([leaf('x', 0, 2, converted)], 1, [
        {
          rows: values.length,
          columns: [{ pages: [dataPage(values.length, body)], values: values.length, physical: 2 }],
        },
      ])
    }
    const top = 2n ** 53n
    expect(await valuesOf(ints([top, -top, top - 1n, 1n - top]), { kind: 'int' })).toEqual(
      [top, -top, top - 1n, 1n - top].map(Number),
    )
    for (const value of [top + 1n, -top - 1n, 2n ** 62n, -(2n ** 63n)]) {
      await expect(valuesOf(ints([0n, value]), { kind: 'int' })).rejects.toMatchObject({
        ...BAD,
        message: /beyond 2\^53/,
      })
    }
    await expect(valuesOf(ints([2n ** 64n - 1n], 14), { kind: 'int' })).rejects.toMatchObject({
      message: /beyond 2\^53/,
    })
  })
})
