/**
 * MosaicML Streaming's MDS, as its MDSWriter writes it without compression: a folder a split with shards and the index
 * that StreamingDataset(local=…, split=…) looks for. A conversation is a sample of two columns, `input_ids`
 * (ndarray:uint16 or uint32) and `mask` (ndarray:uint8).
 *
 *   shard  = u32 samples, u32[samples + 1] offsets of the samples and the end, JSON of the columns, sample*
 *   sample = u32 bytes of input_ids, u32 bytes of mask, input_ids, mask
 *   column = u8 (1 axis << 2 | 0, 1, 2 for a length of 1, 2, 4 bytes), length, values
 */
import { ShardmillError } from '../../errors/index.ts'
import type { BlobWriter } from '../../store/types.ts'
import { conversationsOf, PieceFiller } from './conversation-rows.ts'
import { bytesOf, type Dtype, defineOutput, tokenWidth, verifyError } from './define-output.ts'

const flushBytes = 1 << 20
const mostBytes = 2 ** 32 - 1

export const mds = defineOutput({
  name: 'mds',
  version: 1,
  about: 'MosaicML Streaming: a folder a split with shard.NNNNN.mds and index.json; columns input_ids, mask',
  hasDtype: true,
  fields: {},
  cut: () => 'conversations',
  stem: (split, _number, inSplit) => `${split}/shard.${String(inSplit).padStart(5, '0')}`,
  stems: /^[A-Za-z][A-Za-z0-9_-]*\/shard\.\d{5,}$/,
  files: [{ role: 'samples', suffix: '.mds' }],
  async write(content, files) {
    const { dtype, lengths } = content
    const width = tokenWidth(dtype)
    const config = configOf(dtype)
    const offsets = new Uint32Array(lengths.length + 1)
    let end = 4 + 4 * offsets.length + config.length
    for (let i = 0; i <= lengths.length; i++) {
      if (end > mostBytes)
        throw new ShardmillError('OUTPUT', 'a shard would be larger than 4 GiB, the most that MDS can say', {
          hint: 'Make smaller shards (shardTokens).',
        })
      offsets[i] = end
      if (i < lengths.length) end += 8 + columnBytes(lengths[i]!, width) + columnBytes(lengths[i]!, 1)
    }
    const out = new SampleWriter(files['samples']!)
    await out.words([lengths.length])
    await out.words(offsets)
    await out.bytes(config)
    for (const { tokens, mask } of conversationsOf(content)) {
      await out.words([columnBytes(tokens.length, width), columnBytes(mask.length, 1)])
      await out.column(tokens, width)
      await out.column(mask, 1)
    }
    await out.flush()
  },
  async open(files, { dtype }) {
    const file = files['samples']!
    const fail = (why: string) => verifyError(file.name, why)
    const width = tokenWidth(dtype)
    const config = configOf(dtype)
    const rows = file.size < 4 ? 0 : Buffer.from(await file.read(0, 4)).readUInt32LE(0)
    const headBytes = 4 + 4 * (rows + 1) + config.length
    if (rows === 0 || file.size < headBytes) throw fail(`is ${file.size} bytes long, shorter than its head`)
    const offsets = new Uint32Array((await file.read(4, 4 * (rows + 1))).slice().buffer)
    if (!config.equals(await file.read(4 + 4 * (rows + 1), config.length)))
      throw fail(`does not say that it has the columns ${config.toString()}`)
    if (offsets[0] !== headBytes || offsets[rows] !== file.size)
      throw fail(`is ${file.size} bytes long, but its head says ${offsets[rows]}`)
    async function* pieces() {
      const filler = new PieceFiller(dtype)
      for (let row = 0; row < rows; row++) {
        const [from, to] = [offsets[row]!, offsets[row + 1]!]
        const bytes = await file.read(from, to - from)
        const sample = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
        const wrong = () => fail(`has a sample ${row} that is not one of these columns`)
        const length = (to - from < 10 ? 0 : sample.readUInt32LE(4) - 1) - lengthBytesOf(sample, 8)
        if (length < 1 || to - from !== 8 + columnBytes(length, width) + columnBytes(length, 1)) throw wrong()
        if (sample.readUInt32LE(0) !== columnBytes(length, width)) throw wrong()
        const into = filler.add(length)
        const maskAt = 8 + columnBytes(length, width)
        const [idsHead, maskHead] = [headOf(length), sample.subarray(maskAt, maskAt + headOf(length).length)]
        if (!sample.subarray(8, 8 + idsHead.length).equals(idsHead) || !maskHead.equals(idsHead))
          throw wrong()
        const idsAt = 8 + idsHead.length
        bytesOf(into.ids).set(sample.subarray(idsAt, maskAt))
        into.mask.set(sample.subarray(maskAt + idsHead.length))
        if (filler.full) yield filler.take()
      }
      if (!filler.empty) yield filler.take()
    }
    return { pieces }
  },
  splitFiles(split, shards, { dtype }) {
    if (shards.length === 0) return []
    const facts = JSON.parse(configOf(dtype).toString()) as Record<string, unknown>
    const index = {
      shards: shards.map(({ names, bytes, conversations }) => ({
        ...facts,
        raw_data: {
          basename: names['samples']!.slice(split.length + 1),
          bytes: bytes['samples']!,
          hashes: {},
        },
        samples: conversations,
        zip_data: null,
      })),
      version: 2,
    }
    return [{ path: `${split}/index.json`, role: 'index', content: Buffer.from(sortedJson(index)) }]
  },
})

function configOf(dtype: Dtype): Buffer {
  const config = {
    column_encodings: [`ndarray:${dtype}`, 'ndarray:uint8'],
    column_names: ['input_ids', 'mask'],
    column_sizes: [null, null],
    compression: null,
    format: 'mds',
    hashes: [],
    size_limit: null,
    version: 2,
  }
  return Buffer.from(sortedJson(config))
}

/** As Python's json.dumps(…, sort_keys=True), of ASCII text. */
function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([name, of]) => `${JSON.stringify(name)}: ${sortedJson(of)}`).join(', ')}}`
}

function lengthBytes(length: number): 1 | 2 | 4 {
  return length < 1 << 8 ? 1 : length < 1 << 16 ? 2 : 4
}

/** Of the column that begins there. */
function lengthBytesOf(sample: Buffer, at: number): number {
  return sample.length <= at ? 0 : 1 << (sample[at]! & 3)
}

function columnBytes(length: number, width: number): number {
  return 1 + lengthBytes(length) + length * width
}

/** What stands before the values of a column. */
function headOf(length: number): Buffer {
  const bytes = lengthBytes(length)
  const head = Buffer.alloc(1 + bytes)
  head[0] = (1 << 2) | Math.log2(bytes)
  head.writeUIntLE(length, 1, bytes)
  return head
}

class SampleWriter {
  private readonly file: BlobWriter
  private buffer = Buffer.alloc(flushBytes * 2)
  private used = 0

  constructor(file: BlobWriter) {
    this.file = file
  }

  async words(values: ArrayLike<number>): Promise<void> {
    for (let i = 0; i < values.length; i++) {
      await this.room(4)
      this.used = this.buffer.writeUInt32LE(values[i]!, this.used)
    }
  }

  async bytes(bytes: Uint8Array): Promise<void> {
    await this.room(bytes.length)
    this.buffer.set(bytes, this.used)
    this.used += bytes.length
  }

  async column(values: Uint16Array | Uint32Array, width: 1 | 2 | 4): Promise<void> {
    await this.room(columnBytes(values.length, width))
    const head = headOf(values.length)
    this.buffer.set(head, this.used)
    this.used += head.length
    if (width === 1) for (let i = 0; i < values.length; i++) this.buffer[this.used++] = values[i]!
    else {
      this.buffer.set(bytesOf(values), this.used)
      this.used += values.byteLength
    }
  }

  async flush(): Promise<void> {
    await this.file.write(this.buffer.subarray(0, this.used))
    this.used = 0
  }

  private async room(bytes: number): Promise<void> {
    if (this.used + bytes <= this.buffer.length) return
    await this.flush()
    if (bytes > this.buffer.length) this.buffer = Buffer.alloc(bytes)
  }
}
