/**
 * Writes parquet files that no well-behaved writer would: every header field can be given, and nothing is checked.
 * Also the plain encodings that such files are made of.
 */
import { crc32 } from 'node:zlib'

/** Thrift values by kind; a struct's fields by number. */
type Thrift =
  | { i: number | bigint }
  | { bytes: Uint8Array | string }
  | { list: Thrift[] }
  | { bool: boolean }
  | Fields
type Fields = { fields: Record<number, Thrift | undefined> }

export function struct(fields: Record<number, Thrift | undefined>): Fields {
  return { fields }
}
export const int = (i: number | bigint): Thrift => ({ i })
export const text = (bytes: string | Uint8Array): Thrift => ({ bytes })
export const list = (items: Thrift[]): Thrift => ({ list: items })

export function varint(value: number | bigint): number[] {
  const out: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
  out.push(Number(rest))
  return out
}

export function zigzag(value: number | bigint): number[] {
  const wide = BigInt(value)
  return varint((wide << 1n) ^ (wide >> 63n))
}

function kindOf(value: Thrift): number {
  if ('i' in value) return 6
  if ('bytes' in value) return 8
  if ('list' in value) return 9
  if ('bool' in value) return value.bool ? 1 : 2
  return 12
}

function write(value: Thrift, out: number[]): void {
  if ('i' in value) push(out, zigzag(value.i))
  else if ('bytes' in value) {
    const bytes = Buffer.from(value.bytes as string)
    push(out, varint(bytes.length))
    push(out, bytes)
  } else if ('list' in value) {
    const kind = value.list.length === 0 ? 12 : kindOf(value.list[0]!)
    if (value.list.length < 15) out.push((value.list.length << 4) | kind)
    else {
      out.push(0xf0 | kind)
      push(out, varint(value.list.length))
    }
    for (const item of value.list) write(item, out)
  } else if ('fields' in value) {
    let last = 0
    for (const [key, field] of Object.entries(value.fields)) {
      if (field === undefined) continue
      const number = Number(key)
      const kind = kindOf(field)
      if (number - last > 0 && number - last < 16) out.push(((number - last) << 4) | kind)
      else {
        out.push(kind)
        push(out, zigzag(number))
      }
      last = number
      if (kind > 2) write(field, out)
    }
    out.push(0)
  }
}

function push(out: number[], bytes: Iterable<number>): void {
  for (const byte of bytes) out.push(byte)
}

export function thrift(value: Thrift): Uint8Array {
  const out: number[] = []
  write(value, out)
  return Uint8Array.from(out)
}

// Schema elements. Repetition: 0 required, 1 optional, 2 repeated.
export const group = (name: string, repetition: number, children: number, converted?: number) =>
  struct({
    3: int(repetition),
    4: text(name),
    5: int(children),
    6: converted === undefined ? undefined : int(converted),
  })
export const string = (name: string, repetition: number) => leaf(name, repetition, 6, 0)
export const leaf = (name: string, repetition: number, physical: number, converted?: number) =>
  struct({
    1: int(physical),
    3: int(repetition),
    4: text(name),
    6: converted === undefined ? undefined : int(converted),
  })

export interface CraftedColumn {
  readonly pages: readonly Uint8Array[]
  readonly values: number
  readonly physical?: number
  readonly codec?: number
  /** The first page is a dictionary, and the footer says so. */
  readonly dictionary?: boolean
  readonly meta?: Record<number, Thrift>
  readonly chunk?: Record<number, Thrift>
}

/** A file of one schema (without its root) and some row groups. */
export function craft(
  schema: Fields[],
  rootChildren: number,
  groups: readonly { readonly rows: number; readonly columns: readonly CraftedColumn[] }[],
  footer: Record<number, Thrift> = {},
): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('PAR1')]
  let position = 4
  const rowGroups = groups.map(({ rows, columns }) => {
    const chunks = columns.map((column) => {
      const start = position
      for (const page of column.pages) {
        parts.push(page)
        position += page.length
      }
      const size = position - start
      const dataStart = column.dictionary ? start + column.pages[0]!.length : start
      return struct({
        2: int(start),
        3: struct({
          1: int(column.physical ?? 6),
          2: list([int(0)]),
          3: list([text('x')]),
          4: int(column.codec ?? 0),
          5: int(column.values),
          6: int(size),
          7: int(size),
          9: int(dataStart),
          11: column.dictionary ? int(start) : undefined,
          ...column.meta,
        }),
        ...column.chunk,
      })
    })
    return struct({ 1: list(chunks), 2: int(0), 3: int(rows) })
  })
  const rows = groups.reduce((sum, { rows }) => sum + rows, 0)
  const metadata = thrift(
    struct({
      1: int(1),
      2: list([group('schema', 0, rootChildren), ...schema]),
      3: int(rows),
      4: list(rowGroups),
      ...footer,
    }),
  )
  return Buffer.concat([...parts, metadata, u32(metadata.length), Buffer.from('PAR1')])
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** PLAIN strings. */
export function plain(...values: (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    values.flatMap((value) => {
      const bytes = Buffer.from(value as string)
      return [u32(bytes.length), bytes]
    }),
  )
}

/** Levels or indices as one bit-packed run. */
export function packed(values: readonly number[], width: number): Uint8Array {
  const groups = Math.ceil(values.length / 8)
  const bytes = Buffer.alloc(groups * width)
  values.forEach((value, i) => {
    for (let bit = 0; bit < width; bit++) {
      const at = i * width + bit
      if ((value >> bit) & 1) bytes[at >> 3]! |= 1 << (at & 7)
    }
  })
  return Buffer.concat([Uint8Array.from(varint((groups << 1) | 1)), bytes])
}

/** A run of one value. */
export function run(value: number, count: number, width: number): Uint8Array {
  return Uint8Array.from([
    ...varint(count * 2),
    ...Array.from({ length: (width + 7) >> 3 }, (_, i) => (value >> (8 * i)) & 255),
  ])
}

/** Levels of a version 1 page: with their length in front. */
export function sized(levels: Uint8Array): Uint8Array {
  return Buffer.concat([u32(levels.length), levels])
}

interface PageOptions {
  readonly encoding?: number
  readonly size?: number
  readonly stored?: number
  readonly crc?: boolean | number
  readonly header?: Record<number, Thrift>
  readonly levelEncoding?: number
  /** The page's header as it would be with statistics of so many bytes. */
  readonly statistics?: number
}

export function dataPage(values: number, body: Uint8Array, options: PageOptions = {}): Uint8Array {
  const level = int(options.levelEncoding ?? 3)
  const statistics =
    options.statistics === undefined ? undefined : struct({ 5: text('x'.repeat(options.statistics)) })
  return page(0, body, options, {
    5: struct({ 1: int(values), 2: int(options.encoding ?? 0), 3: level, 4: level, 5: statistics }),
  })
}

export function dictionaryPage(values: number, body: Uint8Array, options: PageOptions = {}): Uint8Array {
  return page(2, body, options, { 7: struct({ 1: int(values), 2: int(options.encoding ?? 0) }) })
}

export function dataPageV2(
  entries: number,
  rows: number,
  repetition: Uint8Array,
  definition: Uint8Array,
  body: Uint8Array,
  options: PageOptions & { compressed?: boolean } = {},
): Uint8Array {
  return page(3, Buffer.concat([repetition, definition, body]), options, {
    8: struct({
      1: int(entries),
      2: int(0),
      3: int(rows),
      4: int(options.encoding ?? 0),
      5: int(definition.length),
      6: int(repetition.length),
      7: options.compressed === undefined ? undefined : { bool: options.compressed },
    }),
  })
}

export function page(
  type: number,
  body: Uint8Array,
  options: PageOptions,
  header: Record<number, Thrift>,
): Uint8Array {
  const crc = options.crc === true ? crc32(body) | 0 : options.crc
  return Buffer.concat([
    thrift(
      struct({
        1: int(type),
        2: int(options.size ?? body.length),
        3: int(options.stored ?? body.length),
        4: typeof crc === 'number' ? int(crc) : undefined,
        ...header,
        ...options.header,
      }),
    ),
    body,
  ])
}
