/** Files that contradict themselves: each is refused with the place, and none is read wrongly or takes long. */
import { describe, expect, test } from 'vitest'
import type { ColumnType } from '../../parquet/columns.ts'
import {
  craft,
  dataPage,
  dictionaryPage,
  group,
  int,
  leaf,
  packed,
  plain,
  run,
  sized,
  string,
  struct,
  text,
  u32,
} from './craft.ts'
import { BAD, flat, open, strings, text_, valuesOf } from './crafted-files.ts'
import { readAll } from './values.ts'

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
