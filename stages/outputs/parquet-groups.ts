/**
 * Row groups of lists of int32, written with hyparquet-writer's own column encoder: what ParquetWriter.write would make of
 * an array a row, byte for byte, but from typed arrays that are used again for every group.
 */
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer'
import { writeColumn } from 'hyparquet-writer/src/column.js'
import { snappyCompress } from 'hyparquet-writer/src/snappy.js'
import type { BlobWriter } from '../../store/types.ts'
import type { Values } from './define-output.ts'

/** hyparquet-writer's own choice, which decides about bytes. */
const pageBytes = 1 << 20
/** Tokens that a group begins with room for; it grows where a conversation needs more. */
const firstRoom = 1 << 16

/** The schema of a column of lists of int32, none of them null. */
export const intListSchema = (name: string): SchemaElement[] => [
  {
    name,
    repetition_type: 'REQUIRED',
    num_children: 1,
    converted_type: 'LIST',
    logical_type: { type: 'LIST' },
  },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', type: 'INT32', repetition_type: 'REQUIRED' },
]

const schemaOf = (columns: readonly string[]): SchemaElement[] => [
  { name: 'schema', num_children: columns.length },
  ...columns.flatMap(intListSchema),
]

/** A file of the columns input_ids, labels and attention_mask, a list a row. */
export class GroupWriter {
  /** Tokens of the group so far. */
  tokens = 0
  private rows = 0
  /** Levels and values of the group: a row without tokens has one, which stands for no value. */
  private filled = 0
  private ids = new Int32Array(firstRoom)
  private labels = new Int32Array(firstRoom)
  private ones = new Int32Array(firstRoom).fill(1)
  /** 0 where a row begins. */
  private repetition = new Uint8Array(firstRoom)
  /** 0 where a row has no tokens. */
  private definition = new Uint8Array(firstRoom)
  private readonly file: BlobWriter
  private readonly bytes = new ByteWriter()
  private readonly out: ParquetWriter
  private readonly schema: SchemaElement[]

  constructor(file: BlobWriter, columns: readonly [ids: string, labels: string, attention: string]) {
    this.file = file
    this.schema = schemaOf(columns)
    this.out = new ParquetWriter({
      writer: this.bytes,
      schema: this.schema,
      codec: 'SNAPPY',
      createdBy: 'shardmill',
      statistics: false,
    })
  }

  add(ids: Values, mask: Values): void {
    const from = this.filled
    const end = from + Math.max(1, ids.length)
    this.reserve(end)
    this.ids.set(ids, from)
    for (let i = 0; i < ids.length; i++) this.labels[from + i] = mask[i] === 1 ? ids[i]! : -100
    this.repetition.fill(1, from, end)
    this.repetition[from] = 0
    this.definition.fill(ids.length === 0 ? 0 : 1, from, end)
    this.filled = end
    this.tokens += ids.length
    this.rows++
  }

  /** Ends the group; nothing when it has no rows. */
  async flush(): Promise<void> {
    if (this.rows === 0) return
    const from = this.bytes.offset
    const columns = [this.ids, this.labels, this.ones].map((values, i) => this.column(values, i))
    this.out.num_rows += BigInt(this.rows)
    this.out.row_groups.push({
      columns,
      total_byte_size: columns.reduce((sum, of) => sum + (of.meta_data?.total_uncompressed_size ?? 0n), 0n),
      num_rows: BigInt(this.rows),
      total_compressed_size: BigInt(this.bytes.offset - from),
    })
    this.tokens = 0
    this.rows = 0
    this.filled = 0
    await this.send()
  }

  /** The last group, and what follows all of them. */
  async finish(): Promise<void> {
    await this.flush()
    await this.out.finish()
    await this.send()
  }

  private column(values: Int32Array, i: number) {
    const path = [this.schema[0]!, ...this.schema.slice(1 + 3 * i, 4 + 3 * i)]
    const { filled } = this
    const definition = this.definition.subarray(0, filled)
    const own = values.subarray(0, filled)
    const written = writeColumn({
      writer: this.bytes,
      column: {
        columnName: path
          .slice(1)
          .map(({ name }) => name)
          .join('.'),
        element: path.at(-1)!,
        schemaPath: path,
        codec: 'SNAPPY',
        compressors: { SNAPPY: snappyCompress },
        stats: false,
        pageSize: pageBytes,
        columnIndex: false,
        offsetIndex: true,
      },
      pageData: {
        values: definition.includes(0) ? withGaps(own, definition) : own,
        // Declared as arrays, but only sliced and read by index.
        definitionLevels: definition as unknown as number[],
        repetitionLevels: this.repetition.subarray(0, filled) as unknown as number[],
        maxDefinitionLevel: 1,
      },
    })
    this.out.pendingIndexes.push(written)
    return written.chunk
  }

  private async send(): Promise<void> {
    await this.file.write(this.bytes.getBytes())
    this.bytes.index = 0
  }

  private reserve(room: number): void {
    if (room <= this.ids.length) return
    const length = Math.max(room, 2 * this.ids.length)
    this.ids = grown(this.ids, new Int32Array(length))
    this.labels = grown(this.labels, new Int32Array(length))
    this.ones = new Int32Array(length).fill(1)
    this.repetition = grown(this.repetition, new Uint8Array(length))
    this.definition = grown(this.definition, new Uint8Array(length))
  }
}

function grown<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** The values with nothing where a row has none, which the encoder leaves out. */
function withGaps(values: Int32Array, definition: Uint8Array): (number | undefined)[] {
  return Array.from(values, (value, i) => (definition[i] === 0 ? undefined : value))
}
