/**
 * Segments: what shuffle decides about one shard. Each place names a row of a token block by its byte range, so a
 * shard is written from its segment and the blocks alone.
 *
 *   segment = "SMSEGM01", u32 LE length of JSON, JSON {blocks: [{tokens, index}], width, tokens, skip, places},
 *             padded with spaces to 4 bytes, then columns u32[places] each:
 *             block, row, offsetWords (offset in the block / 4), tokens, runs, fingerprintLow, fingerprintHigh
 *
 * `skip` tokens of the first place stand in the shard before; the last place is cut where the shard is full.
 */
import type { Digest } from '../store/types.ts'

const magic = 'SMSEGM01'
const columnNames = [
  'block',
  'row',
  'offsetWords',
  'tokens',
  'runs',
  'fingerprintLow',
  'fingerprintHigh',
] as const

export type SegmentColumns = Readonly<Record<(typeof columnNames)[number], Uint32Array>>

export interface Segment extends SegmentColumns {
  readonly blocks: readonly { readonly tokens: Digest; readonly index: Digest }[]
  /** Bytes a token has in the blocks. */
  readonly width: 2 | 4
  /** Tokens in the shard. */
  readonly total: number
  readonly skip: number
  readonly places: number
}

export function encodeSegment(segment: Segment): Uint8Array {
  const { blocks, width, total, skip, places } = segment
  const json = Buffer.from(JSON.stringify({ blocks, width, total, skip, places }))
  const padded = (json.length + 3) & ~3
  const out = Buffer.allocUnsafe(12 + padded + 4 * columnNames.length * places)
  out.write(magic, 0, 'latin1')
  out.writeUInt32LE(padded, 8)
  out.set(json, 12)
  out.fill(0x20, 12 + json.length, 12 + padded)
  columnNames.forEach((name, c) => {
    const column = segment[name]
    out.set(new Uint8Array(column.buffer, column.byteOffset, 4 * places), 12 + padded + 4 * c * places)
  })
  return out
}

export function decodeSegment(data: Uint8Array): Segment {
  const bytes = new Uint8Array(data)
  if (Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== magic) throw new TypeError('not a segment')
  const padded = new DataView(bytes.buffer).getUint32(8, true)
  const { blocks, width, total, skip, places } = JSON.parse(
    Buffer.from(bytes.subarray(12, 12 + padded)).toString('utf8'),
  ) as Omit<Segment, keyof SegmentColumns>
  const column = (name: keyof SegmentColumns) =>
    new Uint32Array(bytes.buffer, 12 + padded + 4 * places * columnNames.indexOf(name), places)
  // Spelt out: V8 gives every object that is put together by spreading others a shape of its own in the end, and what
  // reads them is then compiled anew for each.
  return {
    blocks,
    width,
    total,
    skip,
    places,
    block: column('block'),
    row: column('row'),
    offsetWords: column('offsetWords'),
    tokens: column('tokens'),
    runs: column('runs'),
    fingerprintLow: column('fingerprintLow'),
    fingerprintHigh: column('fingerprintHigh'),
  }
}
