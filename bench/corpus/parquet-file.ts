/**
 * Writes parquet files for the benchmark: snappy, data pages v1, strings PLAIN or by dictionary, the nesting that
 * chat datasets have. Streams a row group at a time, so that gigabytes need no memory.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { snappyCompress } from './snappy.ts'

/** A node of the schema; leaves have a `leaf`. All fields are optional, as pyarrow writes them. */
export interface Node {
  readonly name: string
  readonly repetition?: 'optional' | 'repeated'
  readonly list?: boolean
  readonly leaf?: 'string' | 'int64'
  readonly children?: readonly Node[]
}

/** One leaf column of one row group. */
export interface LeafData {
  readonly path: readonly string[]
  readonly type: 'string' | 'int64'
  readonly maxDef: number
  /** 0 begins a row, 1 goes on in its list; absent for columns without lists. */
  readonly repetition?: Uint8Array
  readonly count: number
  /** PLAIN bytes of all values, and where each begins. */
  readonly plain?: { readonly bytes: Uint8Array; readonly starts: Uint32Array }
  readonly dictionary?: { readonly values: readonly string[]; readonly indices: Uint8Array }
}

interface ChunkFacts {
  readonly leaf: LeafData
  readonly dictionaryAt: number | undefined
  readonly dataAt: number
  readonly compressed: number
  readonly uncompressed: number
}

const pageBytes = 1 << 20

export class ParquetFile {
  private readonly file: number
  private readonly schema: readonly Node[]
  private readonly groups: { rows: number; chunks: ChunkFacts[] }[] = []
  private at = 0

  constructor(path: string, schema: readonly Node[]) {
    this.file = openSync(path, 'w')
    this.schema = schema
    this.put(Buffer.from('PAR1'))
  }

  rowGroup(rows: number, leaves: readonly LeafData[]): void {
    this.groups.push({ rows, chunks: leaves.map((leaf) => this.chunk(leaf)) })
  }

  close(): void {
    const footer = this.footer()
    this.put(footer)
    const tail = Buffer.alloc(8)
    tail.writeUInt32LE(footer.length)
    tail.write('PAR1', 4)
    this.put(tail)
    closeSync(this.file)
  }

  private put(bytes: Uint8Array): void {
    let done = 0
    while (done < bytes.length) done += writeSync(this.file, bytes, done)
    this.at += bytes.length
  }

  private chunk(leaf: LeafData): ChunkFacts {
    const begin = this.at
    let uncompressed = 0
    let dictionaryAt: number | undefined
    const page = (kind: 0 | 2, values: number, body: Uint8Array) => {
      const packed = snappyCompress(body)
      const head = new Thrift()
      head.i32(1, kind)
      head.i32(2, body.length)
      head.i32(3, packed.length)
      if (kind === 2) {
        head.begin(7)
        head.i32(1, values)
        head.i32(2, 0)
      } else {
        head.begin(5)
        head.i32(1, values)
        head.i32(2, leaf.dictionary === undefined ? 0 : 8)
        head.i32(3, 3)
        head.i32(4, 3)
      }
      head.end()
      head.stop()
      const bytes = head.bytes()
      this.put(bytes)
      this.put(packed)
      uncompressed += bytes.length + body.length
    }
    let dataAt = begin
    if (leaf.dictionary !== undefined) {
      const { values, indices } = leaf.dictionary
      dictionaryAt = begin
      page(2, values.length, plainStrings(values))
      dataAt = this.at
      const width = Math.max(1, 32 - Math.clz32(values.length - 1))
      page(
        0,
        leaf.count,
        Buffer.concat([...levels(leaf, 0, leaf.count), Buffer.from([width]), packed(indices, width)]),
      )
    } else {
      const { bytes, starts } = leaf.plain!
      for (let from = 0; from < leaf.count; ) {
        let to = from + 1
        while (
          to < leaf.count &&
          (starts[to]! - starts[from]! < pageBytes || (leaf.repetition?.[to] ?? 0) !== 0)
        )
          to++
        page(
          0,
          to - from,
          Buffer.concat([...levels(leaf, from, to), bytes.subarray(starts[from]!, starts[to]!)]),
        )
        from = to
      }
    }
    return { leaf, dictionaryAt, dataAt, compressed: this.at - begin, uncompressed }
  }

  private footer(): Buffer {
    const out = new Thrift()
    out.i32(1, 1)
    const nodes = flatten({ name: 'schema', children: this.schema })
    out.list(2, 12, nodes.length)
    for (const node of nodes) {
      out.element()
      if (node.leaf !== undefined) out.i32(1, node.leaf === 'string' ? 6 : 2)
      if (node.name !== 'schema') out.i32(3, node.repetition === 'repeated' ? 2 : 1)
      out.text(4, node.name)
      if (node.children !== undefined) out.i32(5, node.children.length)
      if (node.leaf === 'string') out.i32(6, 0)
      if (node.list === true) out.i32(6, 3)
      out.stop()
    }
    out.i64(
      3,
      this.groups.reduce((sum, { rows }) => sum + rows, 0),
    )
    out.list(4, 12, this.groups.length)
    for (const { rows, chunks } of this.groups) {
      out.element()
      out.list(1, 12, chunks.length)
      for (const { leaf, dictionaryAt, dataAt, compressed, uncompressed } of chunks) {
        out.element()
        out.i64(2, 0)
        out.begin(3)
        out.i32(1, leaf.type === 'string' ? 6 : 2)
        const encodings = leaf.dictionary === undefined ? [0, 3] : [0, 3, 8]
        out.list(2, 5, encodings.length)
        for (const encoding of encodings) out.varint(encoding << 1)
        out.list(3, 8, leaf.path.length)
        for (const name of leaf.path) out.bareText(name)
        out.i32(4, 1)
        out.i64(5, leaf.count)
        out.i64(6, uncompressed)
        out.i64(7, compressed)
        out.i64(9, dataAt)
        if (dictionaryAt !== undefined) out.i64(11, dictionaryAt)
        out.end()
        out.stop()
      }
      out.i64(
        2,
        chunks.reduce((sum, chunk) => sum + chunk.uncompressed, 0),
      )
      out.i64(3, rows)
      out.stop()
    }
    out.text(6, 'shardmill benchmark corpus')
    out.stop()
    return out.bytes()
  }
}

function flatten(node: Node): Node[] {
  return [node, ...(node.children ?? []).flatMap(flatten)]
}

function plainStrings(values: readonly string[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const bytes = Buffer.from(value)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}

/** Repetition and definition levels of a v1 page, each with its length before it. Nothing is null here. */
function levels({ maxDef, repetition }: LeafData, from: number, to: number): Buffer[] {
  const sized = (body: Uint8Array) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(body.length)
    return [length, Buffer.from(body)]
  }
  const run = Buffer.from([...varint((to - from) * 2), maxDef])
  return [...(repetition === undefined ? [] : sized(packed(repetition.subarray(from, to), 1))), ...sized(run)]
}

/** One bit-packed run. */
function packed(values: Uint8Array, width: number): Buffer {
  const groups = Math.ceil(values.length / 8)
  const head = varint(groups * 2 + 1)
  const out = Buffer.alloc(head.length + groups * width)
  out.set(head)
  for (let i = 0; i < values.length; i++) {
    for (let b = 0; b < width; b++) {
      const bit = i * width + b
      if ((values[i]! >> b) & 1) out[head.length + (bit >> 3)]! |= 1 << (bit & 7)
    }
  }
  return out
}

function varint(value: number): number[] {
  const bytes: number[] = []
  while (value > 127) {
    bytes.push((value % 128) | 128)
    value = Math.floor(value / 128)
  }
  bytes.push(value)
  return bytes
}

/** Thrift's compact protocol, as much of it as parquet's metadata needs. */
class Thrift {
  private readonly out: number[] = []
  private readonly fields: number[] = [0]

  i32(id: number, value: number): void {
    this.field(id, 5)
    this.varint(value * 2)
  }

  i64(id: number, value: number): void {
    this.field(id, 6)
    this.varint(value * 2)
  }

  text(id: number, value: string): void {
    this.field(id, 8)
    this.bareText(value)
  }

  bareText(value: string): void {
    const bytes = Buffer.from(value)
    this.varint(bytes.length)
    this.out.push(...bytes)
  }

  list(id: number, type: number, size: number): void {
    this.field(id, 9)
    if (size < 15) this.out.push((size << 4) | type)
    else {
      this.out.push(0xf0 | type)
      this.varint(size)
    }
  }

  /** A struct field; ended by `end`. */
  begin(id: number): void {
    this.field(id, 12)
    this.fields.push(0)
  }

  end(): void {
    this.out.push(0)
    this.fields.pop()
  }

  /** A struct in a list; ended by `stop`. */
  element(): void {
    this.fields.push(0)
  }

  stop(): void {
    this.out.push(0)
    this.fields.pop()
  }

  varint(value: number): void {
    this.out.push(...varint(value))
  }

  bytes(): Buffer {
    return Buffer.from(this.out)
  }

  private field(id: number, type: number): void {
    const delta = id - this.fields.at(-1)!
    this.out.push((delta << 4) | type)
    this.fields[this.fields.length - 1] = id
  }
}
