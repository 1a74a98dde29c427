import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type ByteSource,
  bytesSource,
  type JsonLine,
  readJsonLines,
  scanJsonLines,
} from '../../parquet/index.ts'
import { LineReader } from '../../parquet/lines.ts'
import { damage, seeded } from './mutate.ts'

const folder = join(import.meta.dirname, '../fixtures/parquet')

function source(content: string | Uint8Array): ByteSource {
  return bytesSource(Uint8Array.from(Buffer.from(content as string)), 'lines.jsonl')
}

function whole(file: ByteSource, options = {}): JsonLine[] {
  return [...readJsonLines(file, { start: 0, end: file.size, firstLine: 1, firstRow: 0 }, options)].flat()
}

const errorsOf = (content: string) => whole(source(content)).map(({ error }) => error)

describe('against Python', () => {
  const odd = new Uint8Array(readFileSync(join(folder, 'odd.jsonl')))
  const expected = JSON.parse(readFileSync(join(folder, 'odd.jsonl.json'), 'utf8')) as [
    number,
    number,
    string | null,
  ][]

  test('lines, rows and values are those of open, strip and json.loads', () => {
    const found = whole(source(odd))
    expect(found.map(({ line, row }) => [line, row])).toEqual(expected.map(([line, row]) => [line, row]))
    found.forEach((line, i) => {
      const json = expected[i]![2]
      if (json === null)
        expect([line.line, line.error, 'value' in line]).toEqual([line.line, expect.any(String), false])
      // As text too: `__proto__` and lone surrogates are compared as they are.
      else
        expect([line.line, JSON.stringify(line.value)]).toEqual([line.line, JSON.stringify(JSON.parse(json))])
    })
    expect(found.filter(({ error }) => error !== undefined).length).toBe(
      expected.filter(([, , json]) => json === null).length,
    )
  })

  test('cut anywhere, the parts give the same', () => {
    const file = source(odd)
    const all = whole(file)
    for (const size of [1, 7, 40, 333, 5000, 1e9]) {
      const { rows, partitions } = scanJsonLines(file, size)
      expect(rows).toBe(all.length)
      expect(partitions.reduce((sum, part) => sum + part.rows, 0)).toBe(rows)
      expect(partitions.flatMap((part) => [...readJsonLines(file, part)].flat())).toEqual(all)
      if (size < 5000) expect(partitions.length).toBeGreaterThan(3)
    }
    expect(whole(file, { batchRows: 1 })).toEqual(all)
    expect(whole(file, { batchBytes: 50 })).toEqual(all)
  })
})

describe('lines', () => {
  test('a byte order mark at the start of the file is skipped, anywhere else it is no JSON', () => {
    expect(whole(source('\ufeff{"a":1}\n\ufeff{"a":2}\n'))).toEqual([
      { line: 1, row: 0, value: { a: 1 } },
      { line: 2, row: 1, error: expect.stringContaining('not JSON') },
    ])
    expect(whole(source('\ufeff\n[1]'))).toEqual([{ line: 2, row: 0, value: [1] }])
    expect(whole(source('\ufeff'))).toEqual([])
  })

  test('files of nothing but blank lines, or of no bytes, have no rows and no parts', () => {
    expect(scanJsonLines(source('\n \n\t\r\n'), 10)).toEqual({ rows: 0, partitions: [] })
    expect(scanJsonLines(source(''), 10)).toEqual({ rows: 0, partitions: [] })
    expect(whole(source(''))).toEqual([])
  })

  test('a part’s rows and lines are numbered from the start of the file', () => {
    const { partitions } = scanJsonLines(source('\n[0]\n\n[1]\n[2]\n\n'), 5)
    expect(partitions).toEqual([
      { start: 0, end: 5, firstLine: 1, firstRow: 0, rows: 1 },
      { start: 5, end: 10, firstLine: 3, firstRow: 1, rows: 1 },
      { start: 10, end: 15, firstLine: 5, firstRow: 2, rows: 1 },
    ])
  })

  test('any window gives the same lines', () => {
    const random = seeded(5)
    for (let round = 0; round < 200; round++) {
      const alphabet = ['a', 'bb', '\n', '\r', '\r\n', '\u2028', '\u0085', 'é', ' ']
      const content = Array.from({ length: random(60) }, () => alphabet[random(alphabet.length)]!).join('')
      const want = content.split(/\r\n|\r|\n/)
      if (want[want.length - 1] === '') want.pop()
      for (const window of [1, 2, 3, 5, 1000]) {
        const reader = new LineReader(source(content), 0, Buffer.byteLength(content), { window })
        const lines: string[] = []
        while (reader.next()) lines.push(Buffer.from(reader.line).toString('utf8'))
        expect(lines).toEqual(want)
      }
    }
  })

  test('a line of 10 MB is a line; one longer than the limit is an error and the next one is read', () => {
    const long = `{"text":"${'x'.repeat(10_000_000)}"}`
    const found = whole(source(`[1]\n${long}\r\n[2]`))
    expect(found.map(({ line }) => line)).toEqual([1, 2, 3])
    expect((found[1]!.value as { text: string }).text.length).toBe(10_000_000)

    for (const window of [3, 10, 64, 1000]) {
      for (const end of ['\n', '\r', '\r\n']) {
        const content = ['short', 'y'.repeat(500), 'next', 'z'.repeat(100), 'w'.repeat(101), ''].join(end)
        const reader = new LineReader(source(content), 0, content.length, { window, longest: 100 })
        const lines: [number, boolean][] = []
        while (reader.next()) lines.push([reader.line.length, reader.tooLong])
        expect(lines).toEqual([
          [5, false],
          [100, true],
          [4, false],
          [100, false],
          [100, true],
        ])
      }
    }
  })

  test('only a window of the file is in memory', () => {
    const line = Buffer.from(`{"text":"${'x'.repeat(990)}"}\n`)
    const size = line.length * 300_000
    let largest = 0
    const file: ByteSource = {
      name: 'endless.jsonl',
      size,
      read(offset, length) {
        largest = Math.max(largest, length)
        const bytes = new Uint8Array(length)
        for (let at = -(offset % line.length); at < length; at += line.length) {
          bytes.set(line.subarray(Math.max(0, -at), Math.min(line.length, length - at)), Math.max(0, at))
        }
        return bytes
      },
    }
    const { rows, partitions } = scanJsonLines(file, 64 * 2 ** 20)
    expect(rows).toBe(300_000)
    expect(partitions.length).toBe(5)
    expect(largest).toBeLessThan(2 ** 21)
  })

  test('damaged files give rows or errors, line by line', () => {
    const random = seeded(9)
    const original = Buffer.from(
      Array.from({ length: 50 }, (_, i) => `{"i":${i},"t":"é\\u00e9 中"}\n`).join(''),
    )
    for (let i = 0; i < 500; i++) {
      const file = source(damage(original, random))
      for (const { error, value } of whole(file)) expect(error === undefined).toBe(value !== undefined)
      expect(scanJsonLines(file, 100).rows).toBe(whole(file).length)
    }
  })
})

test('what is wrong with a line is said in words of our own, with the place', () => {
  expect(
    errorsOf('{"a": 1,}\n{"a" 1}\n{a: 1}\n[1 2]\n{"a": "x\n[1]]\n\nnul\n"\t"\n"\\x"\n"\\u12g4"\n['),
  ).toEqual([
    'not JSON: at character 9 there is "}", where a name in quotes was expected.',
    'not JSON: at character 6 there is "1", where ":" was expected.',
    'not JSON: at character 2 there is "a", where a name in quotes was expected.',
    'not JSON: at character 4 there is "2", where "," or "]" was expected.',
    'not JSON: at character 9 the line ends, where the end of a string was expected.',
    'not JSON: at character 4 there is "]", where the end of the line was expected.',
    'not JSON: at character 1 there is "n", where a value was expected.',
    'not JSON: at character 2 there is "\\t", where a character (control characters must be escaped) was expected.',
    'not JSON: at character 3 there is "x", where an escape was expected.',
    'not JSON: at character 6 there is "g", where a hexadecimal digit was expected.',
    'not JSON: at character 2 the line ends, where a value was expected.',
  ])
  expect(whole(source(Buffer.from('"\xff"\n', 'latin1')))[0]!.error).toBe('not UTF-8.')
})

test('every damaged JSON text gets a place', () => {
  const random = seeded(3)
  const text = '{"a":[1,-2.5e3,{"b":"c\\n\\u0041"}],"d":[true,false,null,[],{}],"e":""}'
  for (let i = 0; i < 3000; i++) {
    const at = random(text.length)
    const char = ',:[]{}"\\x1 -.e\t'[random(16)] ?? ''
    const broken =
      random(2) === 0 ? text.slice(0, at) + text.slice(at + 1) : text.slice(0, at) + char + text.slice(at)
    for (const { error } of whole(source(broken))) {
      if (error !== undefined) expect(error).toMatch(/^not JSON: at character \d+ (there is|the line ends)/)
    }
  }
})
