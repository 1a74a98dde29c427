/**
 * torch.save of one dict of tensors, read with torch.load(…, weights_only=True), also with mmap=True:
 *
 *   input_ids  int32[tokens]     all conversations, one after the other
 *   mask       uint8[tokens]     1 where the token is trained on
 *   offsets    int64[rows + 1]   conversation i is input_ids[offsets[i]:offsets[i + 1]]
 */
import { ShardmillError } from '../../errors/index.ts'
import {
  type ByteFile,
  bytesOf,
  defineOutput,
  type ShardContent,
  usualStem,
  verifyError,
} from './define-output.ts'
import { maskBytes } from './npy.ts'
import { PickleWriter, type Sink } from './pickle-writer.ts'
import { idsOfInt32, raggedPieces } from './ragged.ts'
import { writeTorchFile } from './torch-file.ts'

/** The name in the archive that torch.save gives what it writes to no named file. */
const archive = 'archive'
const flushTokens = 1 << 18
const mostBytes = 2 ** 32 - 1

const tensors = [
  { name: 'input_ids', storage: 'IntStorage', width: 4 },
  { name: 'mask', storage: 'ByteStorage', width: 1 },
  { name: 'offsets', storage: 'LongStorage', width: 8 },
] as const

export const pt = defineOutput({
  name: 'pt',
  version: 1,
  about: 'PyTorch: a dict of the tensors input_ids, mask and offsets (.pt)',
  hasDtype: false,
  fields: {},
  cut: () => 'conversations',
  ...usualStem,
  files: [{ role: 'tensors', suffix: '.pt' }],
  async write(content, files) {
    const file = files['tensors']!
    const { tokens, lengths } = content
    // Known beforehand; torch-file.ts would only say so after 4 GiB were written.
    if (tokens * 5 + lengths.length * 8 > mostBytes)
      throw new ShardmillError(
        'OUTPUT',
        `a shard of ${tokens} tokens would be larger than 4 GiB, the most of a .pt`,
        {
          hint: 'Make smaller shards (shardTokens), or choose another output format.',
        },
      )
    await writeTorchFile(
      archive,
      (bytes) => file.write(bytes),
      (pickle) => writeDict(pickle, tokens, lengths.length),
      [
        { key: '0', write: (sink) => writeIds(content, sink) },
        { key: '1', write: (sink) => writeMasks(content, sink) },
        { key: '2', write: (sink) => sink(bytesOf(offsetsOf(lengths))) },
      ],
    )
  },
  async open(files) {
    const file = files['tensors']!
    const members = await membersOf(file)
    const member = (name: string) => {
      const found = members.get(`${archive}/${name}`)
      if (found === undefined) throw verifyError(file.name, `has no member ${name}`)
      return found
    }
    const [ids, mask, offsetsAt] = [member('data/0'), member('data/1'), member('data/2')]
    const tokens = mask.size
    const rows = offsetsAt.size / 8 - 1
    if (ids.size !== tokens * 4 || !Number.isInteger(rows) || rows < 1)
      throw verifyError(file.name, 'has tensors that do not belong together')
    const pickle = member('data.pkl')
    const expected = await pickled(tokens, rows)
    if (pickle.size !== expected.length || !expected.equals(await file.read(pickle.from, pickle.size)))
      throw verifyError(file.name, 'does not hold a dict of the tensors input_ids, mask and offsets')
    const offsets = new BigInt64Array((await file.read(offsetsAt.from, offsetsAt.size)).slice().buffer)
    const lengths = new Uint32Array(rows)
    for (let row = 0; row < rows; row++) {
      const length = Number(offsets[row + 1]! - offsets[row]!)
      if (length < 0 || length > tokens) throw verifyError(file.name, `has a row ${row} of ${length} tokens`)
      lengths[row] = length
    }
    if (offsets[0] !== 0n || offsets[rows] !== BigInt(tokens))
      throw verifyError(file.name, `has ${tokens} tokens, but offsets up to ${offsets[rows]}`)
    const idsOf = async (from: number, to: number) =>
      idsOfInt32(await file.read(ids.from + 4 * from, 4 * (to - from)), file.name)
    // Ids and masks are read in turns from one file, which has one buffer for what it reads.
    const masksOf = async (from: number, to: number) => (await file.read(mask.from + from, to - from)).slice()
    async function* pieces() {
      for await (const piece of raggedPieces(
        lengths,
        async (from, to) => (await idsOf(from, to)).slice(),
        masksOf,
      ))
        yield piece
    }
    return { tokens, pieces }
  },
})

async function writeDict(pickle: PickleWriter, tokens: number, rows: number): Promise<void> {
  const sizes = { input_ids: tokens, mask: tokens, offsets: rows + 1 }
  await pickle.dict(
    tensors.map(({ name, storage }, key) => [
      name,
      () => writeTensor(pickle, storage, String(key), sizes[name]),
    ]),
  )
}

/** A tensor of one axis, as torch's pickler writes it. */
function writeTensor(pickle: PickleWriter, storage: string, key: string, elements: number): void {
  pickle.global('torch._utils', '_rebuild_tensor_v2')
  pickle.mark()
  pickle.mark()
  pickle.text('storage', 'shared')
  pickle.global('torch', storage)
  pickle.text(key)
  pickle.text('cpu', 'shared')
  pickle.int(elements)
  pickle.tuple()
  pickle.persistentId()
  pickle.int(0) // where it begins in its storage
  pickle.int(elements)
  pickle.tuple(1)
  pickle.int(1) // stride
  pickle.tuple(1)
  pickle.bool(false) // requires_grad
  pickle.global('collections', 'OrderedDict') // backward hooks
  pickle.tuple(0)
  pickle.reduce()
  pickle.tuple()
  pickle.reduce()
}

async function pickled(tokens: number, rows: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  const pickle = new PickleWriter(async (bytes) => {
    chunks.push(Buffer.from(bytes))
  })
  await writeDict(pickle, tokens, rows)
  await pickle.end()
  return Buffer.concat(chunks)
}

async function writeIds({ windows }: ShardContent, sink: Sink): Promise<void> {
  for (const { tokens } of windows())
    for (let at = 0; at < tokens.length; at += flushTokens)
      await sink(bytesOf(Int32Array.from(tokens.subarray(at, at + flushTokens))))
}

async function writeMasks({ windows }: ShardContent, sink: Sink): Promise<void> {
  for (const { mask } of windows()) await sink(maskBytes(mask))
}

function offsetsOf(lengths: Uint32Array): BigInt64Array {
  const offsets = new BigInt64Array(lengths.length + 1)
  for (let i = 0, at = 0; i < lengths.length; i++) {
    at += lengths[i]!
    offsets[i + 1] = BigInt(at)
  }
  return offsets
}

/** Where the members of the archive lie: its directory, as torch-file.ts writes it. */
async function membersOf(
  file: ByteFile,
): Promise<Map<string, { readonly from: number; readonly size: number }>> {
  const damaged = () => verifyError(file.name, 'is no archive that torch.save would write')
  if (file.size < 22) throw damaged()
  const end = Buffer.from(await file.read(file.size - 22, 22))
  const [bytes, from] = [end.readUInt32LE(12), end.readUInt32LE(16)]
  if (end.readUInt32LE(0) !== 0x06054b50 || from + bytes > file.size) throw damaged()
  const directory = Buffer.from(await file.read(from, bytes))
  const members = new Map<string, { readonly from: number; readonly size: number }>()
  for (let at = 0; at < directory.length; ) {
    if (directory.length - at < 46 || directory.readUInt32LE(at) !== 0x02014b50) throw damaged()
    const name = directory.toString('utf8', at + 46, at + 46 + directory.readUInt16LE(at + 28))
    const local = directory.readUInt32LE(at + 42)
    const size = directory.readUInt32LE(at + 24)
    if (local + 30 > file.size) throw damaged()
    const head = Buffer.from(await file.read(local, 30))
    const data = local + 30 + head.readUInt16LE(26) + head.readUInt16LE(28)
    if (head.readUInt32LE(0) !== 0x04034b50 || data + size > file.size) throw damaged()
    members.set(name, { from: data, size })
    at += 46 + name.length
  }
  return members
}
