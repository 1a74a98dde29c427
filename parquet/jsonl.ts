import { isUtf8 } from 'node:buffer'
import type { ByteSource } from './byte-source.ts'
import { refuseCompressed } from './compressed.ts'
import { jsonFault } from './json-fault.ts'
import { LineReader, maxLineBytes } from './lines.ts'

/** One line that is not blank: its value, or why it has none. */
export interface JsonLine {
  /** From 1, blank lines counted. */
  readonly line: number
  /** From 0, blank lines not counted. */
  readonly row: number
  readonly value?: unknown
  readonly error?: string
}

export type JsonLineBatch = readonly JsonLine[]

export interface LineRange {
  readonly start: number
  readonly end: number
  /** Number of the line at `start`, from 1. */
  readonly firstLine: number
  /** Number of the first row at or after `start`, from 0. */
  readonly firstRow: number
}

export interface JsonLinesOptions {
  /** A batch ends once it holds so many bytes of lines (default 4 MiB) … */
  readonly batchBytes?: number
  /** … or so many rows (default 8,192). */
  readonly batchRows?: number
}

/**
 * Reads JSON lines as Python does with `for line in open(path, encoding='utf-8')`, `line.strip()` and `json.loads`:
 * `\n`, `\r\n` and `\r` end a line and nothing else does (not U+0085 or U+2028); each line is stripped of what
 * Python calls whitespace; blank lines are skipped; escaped lone surrogates are kept as they are. Unlike Python,
 * which refuses it, a byte order mark at the start of the file is skipped; and `NaN` and `Infinity`, which Python
 * takes, are no JSON. A line that is not UTF-8, not JSON or longer than 256 MiB comes out as an `error`.
 */
export function* readJsonLines(
  source: ByteSource,
  range: LineRange,
  options: JsonLinesOptions = {},
): Generator<JsonLineBatch, void, void> {
  const { batchBytes = 4 * 1024 * 1024, batchRows = 8192 } = options
  const lines = openLines(source, range.start, range.end)
  let { firstLine: line, firstRow: row } = range
  let batch: JsonLine[] = []
  let bytes = 0
  for (; lines.next(); line++) {
    if (!lines.tooLong && isBlank(lines.line)) continue
    batch.push({ line, row, ...parse(lines) })
    row++
    bytes += lines.line.length
    if (bytes >= batchBytes || batch.length >= batchRows) {
      yield batch
      batch = []
      bytes = 0
    }
  }
  if (batch.length > 0) yield batch
}

/**
 * One pass over the file that counts its rows and finds where to cut it: at line ends, each part about
 * `partitionBytes` long. A file without rows has no parts, also one of zero bytes. BAD_FILE for a compressed file.
 */
export function scanJsonLines(
  source: ByteSource,
  partitionBytes: number,
): { rows: number; partitions: (LineRange & { readonly rows: number })[] } {
  refuseCompressed(source)
  const partitions: (LineRange & { readonly rows: number })[] = []
  const lines = openLines(source, 0, source.size)
  let line = 1
  let rows = 0
  let first = { start: 0, firstLine: 1, firstRow: 0 }
  while (lines.next()) {
    line++
    if (lines.tooLong || !isBlank(lines.line)) rows++
    const end = lines.position
    if (end - first.start < partitionBytes && end < source.size) continue
    if (rows > first.firstRow) partitions.push({ ...first, end, rows: rows - first.firstRow })
    first = { start: end, firstLine: line, firstRow: rows }
  }
  return { rows, partitions }
}

function openLines(source: ByteSource, start: number, end: number): LineReader {
  const hasMark =
    start === 0 && end >= 3 && Buffer.from(source.read(0, 3)).equals(Buffer.from([0xef, 0xbb, 0xbf]))
  return new LineReader(source, hasMark ? 3 : start, end)
}

function parse(lines: LineReader): { value: unknown } | { error: string } {
  if (lines.tooLong) return { error: `the line is longer than ${maxLineBytes / 2 ** 20} MiB.` }
  const { line } = lines
  if (!isUtf8(line)) return { error: 'not UTF-8.' }
  const text = strip(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8'))
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { error: jsonFault(text) }
  }
}

function isBlank(line: Uint8Array): boolean {
  for (const byte of line) {
    if (byte >= 0x80) {
      // Whitespace beyond ASCII begins with one of these bytes; no row of JSON does.
      return byte >= 0xc2 && byte <= 0xe3 && strip(Buffer.from(line).toString('utf8')) === ''
    }
    if (!isSpace(byte)) return false
  }
  return true
}

/** Python's `str.strip()`. */
function strip(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

/** Python's `str.isspace()`. */
function isSpace(code: number): boolean {
  if (code <= 32) return code === 32 || (code >= 9 && code <= 13) || (code >= 28 && code <= 31)
  if (code < 0x1680) return code === 0x85 || code === 0xa0
  return (
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  )
}
