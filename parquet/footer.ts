import { ShardmillError } from '../errors/index.ts'
import type { ByteSource } from './byte-source.ts'
import { refuseCompressed } from './compressed.ts'
import { asBadFile, Damage } from './damage.ts'
import { type LeafShape, readSchema, type StructShape } from './schema.ts'
import { ThriftReader, type ThriftStruct } from './thrift.ts'

/** One column of one row group: where its pages are. */
export interface Chunk {
  readonly codec: number
  /** Entries: values, nulls and empty lists. */
  readonly values: number
  readonly start: number
  /** No page of it goes beyond. */
  readonly end: number
  readonly uncompressed: number
}

export interface RowGroup {
  readonly firstRow: number
  readonly rows: number
  readonly bytes: number
  /** By the leaf's index in the schema. */
  readonly chunks: readonly Chunk[]
}

export interface Footer {
  readonly rows: number
  readonly root: StructShape
  readonly leaves: readonly LeafShape[]
  readonly rowGroups: readonly RowGroup[]
}

const tailBytes = 64 * 1024

/** Reads and checks the footer. Every way in which the file is not a readable parquet file is a BAD_FILE error. */
export function readFooter(source: ByteSource): Footer {
  try {
    return parse(source)
  } catch (error) {
    throw asBadFile(error, { file: source.name })
  }
}

function parse(source: ByteSource): Footer {
  const { size } = source
  if (size === 0) throw refusal(source, 'the file is empty (0 bytes).')
  if (size < 12) throw refusal(source, `the file is no parquet file: it has only ${size} bytes.`)
  const head = magic(source.read(0, 4))
  if (head !== 'PAR1') refuseCompressed(source)
  let tail = source.read(size - Math.min(size, tailBytes), Math.min(size, tailBytes))
  const end = magic(tail.subarray(tail.length - 4))
  if (end === 'PARE' || head === 'PARE') {
    throw refusal(source, 'the parquet file is encrypted, which is not supported.', 'Use a decrypted copy.')
  }
  if (end !== 'PAR1') {
    throw head === 'PAR1'
      ? refusal(source, 'the parquet file is cut off: it does not end with "PAR1".')
      : refusal(
          source,
          'the file is no parquet file: it does not end with "PAR1".',
          'Check the file’s format.',
        )
  }
  if (head !== 'PAR1') throw refusal(source, 'the file is no parquet file: it does not begin with "PAR1".')
  const length = new DataView(tail.buffer, tail.byteOffset + tail.length - 8, 4).getUint32(0, true)
  if (length > size - 12) {
    throw new Damage(`the footer says it is ${length} bytes long, but the file has ${size}`)
  }
  if (length + 8 > tail.length) tail = source.read(size - 8 - length, length + 8)
  const metadata = new ThriftReader(tail.subarray(tail.length - 8 - length, tail.length - 8)).readStruct()
  return fromThrift(metadata, size - 8 - length)
}

function fromThrift(metadata: ThriftStruct, dataEnd: number): Footer {
  const { root, leaves } = readSchema(metadata.structs(2))
  let firstRow = 0
  const rowGroups = metadata.structs(4).map((group, index): RowGroup => {
    try {
      const rows = group.size(3)
      const columns = group.structs(1)
      if (columns.length !== leaves.length) {
        throw new Damage(`it has ${columns.length} columns, the schema ${leaves.length}`)
      }
      const chunks = columns.map((column, leaf) => readChunk(column, leaves[leaf]!, dataEnd))
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.uncompressed, 0)
      const read: RowGroup = { firstRow, rows, bytes, chunks }
      firstRow += rows
      if (!Number.isSafeInteger(firstRow)) throw new Damage('its row counts are beyond 2^53')
      return read
    } catch (error) {
      if (error instanceof Damage) throw new Damage(`row group ${index}: ${error.message}`)
      throw error
    }
  })
  // A count of 0 has been seen in files that hold rows; any other must be right.
  const rows = metadata.size(3) || firstRow
  if (rows !== firstRow) throw new Damage(`the footer counts ${rows} rows, its row groups ${firstRow}`)
  return { rows, root, leaves, rowGroups }
}

function readChunk(column: ThriftStruct, leaf: LeafShape, dataEnd: number): Chunk {
  const meta = column.struct(3)
  // An encrypted or broken column matters only to who asks for it: `codec` -1 and -2 say so when it is read.
  if (column.fields[8] !== undefined || meta === undefined) {
    return { codec: encryptedCodec, values: 0, start: 0, end: 0, uncompressed: 0 }
  }
  if (column.fields[1] !== undefined && (column.text(1) ?? '') !== '') {
    return { codec: elsewhereCodec, values: 0, start: 0, end: 0, uncompressed: 0 }
  }
  if (meta.number(1) !== leaf.physical) throw new Damage(`column "${leaf.path}" has two physical types`)
  const dataStart = meta.size(9)
  const dictionaryStart = meta.number(11) ?? 0
  const start = dictionaryStart > 0 && dictionaryStart < dataStart ? dictionaryStart : dataStart
  const size = meta.size(7)
  const values = meta.size(5)
  if (values > 0 && (start < 4 || start + size > dataEnd)) {
    throw new Damage(
      `column "${leaf.path}" lies at bytes ${start} to ${start + size}, outside the file’s data (4 to ${dataEnd})`,
    )
  }
  return {
    codec: meta.size(4),
    values,
    start,
    // Early parquet-mr left the dictionary page's header out of the size: pages end where their values do.
    end: Math.min(start + size + 100, dataEnd),
    uncompressed: meta.size(6),
  }
}

export const encryptedCodec = -1
export const elsewhereCodec = -2

function magic(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function refusal(
  source: ByteSource,
  why: string,
  hint = 'Download or write the file again.',
): ShardmillError {
  return new ShardmillError('BAD_FILE', why, { at: { file: source.name }, hint })
}
