/**
 * What the formats' own readers in Python found in the golden recipe's files: test/fixtures/output-formats.jsonl, made by
 * bench/reference/read_formats.py on folders that Bench.build wrote. The same files here, so the same is found in them.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readManifest } from '../../output/manifest.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import { encodeNpyHead } from '../../stages/outputs/npy-file.ts'
import { Bench, type ReadSplit, readSplit } from './support.ts'

interface Line {
  readonly format: string
  readonly files?: Readonly<Record<string, string>>
  readonly reader?: string
  readonly split?: string
  readonly conversations?: number
  readonly tokens?: number
  readonly trained?: number
  readonly sha256?: string
}

/** `text` has no reader but ours, and no tokens. */
const formatsOfTokens = outputFormats.map(({ name }) => name).filter((name) => name !== 'text')
const lines = readFileSync(join(import.meta.dirname, '../fixtures/output-formats.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Line)

const bench = new Bench()
afterAll(() => bench.close())

/** As read_formats.py digests a split. */
function digestOf({ ids, mask, lengths }: ReadSplit, ordered: boolean): Omit<Line, 'format'> {
  const rows: Buffer[] = []
  let at = 0
  for (const length of lengths.length === 0 ? [ids.length] : lengths) {
    const values = [length, ...ids.slice(at, at + length), ...mask.slice(at, at + length)]
    rows.push(Buffer.from(Uint32Array.from(values).buffer))
    at += length
  }
  if (!ordered) rows.sort((a, b) => idsOf(a).compare(idsOf(b)) || a.compare(b))
  const hash = createHash('sha256')
  for (const row of rows) hash.update(row)
  const trained = mask.reduce((sum, value) => sum + value, 0)
  return { conversations: rows.length, tokens: ids.length, trained, sha256: hash.digest('hex') }
}

function idsOf(row: Buffer): Buffer {
  return row.subarray(4, 4 + 4 * row.readUInt32LE(0))
}

test('every format has been read by its own reader', () => {
  const read = new Set(lines.filter(({ reader }) => reader !== undefined).map(({ format }) => format))
  expect([...read].sort()).toEqual(formatsOfTokens.sort())
})

describe.each(formatsOfTokens)('%s', (name) => {
  const own = lines.filter(({ format }) => format === name)

  test('the files that were read there', async () => {
    const { out } = await bench.build(name, `output: { format: ${name} }`)
    const { files } = (await readManifest(out))!
    const data = files.filter(({ role }) => role !== 'config').map(({ path, sha256 }) => [path, sha256])
    expect(Object.fromEntries(data)).toEqual(own.find((line) => line.files !== undefined)!.files)
  })

  test('ids and masks as they were found there', async () => {
    const found = own.filter((line) => line.reader !== undefined)
    expect(found.length).toBeGreaterThanOrEqual(2)
    for (const { format: _, reader, split, ...figures } of found) {
      const read = await readSplit(join(bench.dir, name), split!)
      expect(digestOf(read, name !== 'packed'), `${reader} ${split}`).toEqual(figures)
    }
  })
})

test('the head of a .npy file, as numpy.save writes it', () => {
  // numpy.lib.format.header_data_from_array_1_0 and _write_array_header of NumPy 2
  const head = Buffer.from(encodeNpyHead('<u2', [939])).toString('latin1')
  expect(head).toHaveLength(128)
  expect(head.slice(0, 10)).toBe('\x93NUMPY\x01\x00v\x00')
  expect(head.slice(10)).toBe(
    `{'descr': '<u2', 'fortran_order': False, 'shape': (939,), }${' '.repeat(58)}\n`,
  )
})
