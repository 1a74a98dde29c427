/** Files that are right and that no writer at hand writes: old list dialects, odd levels, pages and dictionaries. */
import { describe, expect, test } from 'vitest'
import type { ColumnType } from '../../parquet/columns.ts'
import { readParquet } from '../../parquet/index.ts'
import {
  craft,
  dataPage,
  dataPageV2,
  dictionaryPage,
  group,
  packed,
  page,
  plain,
  run,
  sized,
  string,
} from './craft.ts'
import { flat, open, strings, text_, valuesOf } from './crafted-files.ts'
import { readAll } from './values.ts'

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
