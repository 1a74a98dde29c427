/**
 * The file that `torch.save` writes (torch 2.13) and `torch.load(…, weights_only=True)` reads: a ZIP of stored members
 * whose data begins at multiples of 64 bytes. docs/formats.md has it to the byte. Written front to back in one pass:
 * sizes and checksums follow each member's data.
 *
 *   await writeTorchFile('MMLU', sink, async (pickle) => { await pickle.dict([…]) })
 */
import { crc32 } from 'node:zlib'
import { ShardmillError } from '../../errors/index.ts'
import { PickleWriter, type Sink } from './pickle-writer.ts'

const alignment = 64
/** Data descriptor follows, names are UTF-8. */
const flags = 0x0808
const mostBytes = 0xffff_fffe

interface Member {
  readonly name: Buffer
  readonly offset: number
  readonly crc: number
  readonly size: number
}

/** Writes the ZIP's members one after the other. */
export class TorchArchive {
  private readonly archive: string
  private readonly sink: Sink
  private readonly members: Member[] = []
  private at = 0

  /** `archive`: the file's name without its last extension. */
  constructor(archive: string, sink: Sink) {
    this.archive = archive
    this.sink = sink
  }

  /** A member whose bytes `write` hands to the sink it gets. @throws OUTPUT past 4 GiB, which this layout cannot say */
  async member(name: string, write: (sink: Sink) => Promise<void>): Promise<void> {
    const path = Buffer.from(`${this.archive}/${name}`)
    const offset = this.at
    const dataFrom = offset + 30 + path.length + 4
    const pad = (alignment - (dataFrom % alignment)) % alignment
    const head = Buffer.alloc(30 + path.length + 4 + pad)
    head.writeUInt32LE(0x04034b50, 0)
    head.writeUInt16LE(flags, 6)
    head.writeUInt16LE(path.length, 26)
    head.writeUInt16LE(4 + pad, 28)
    path.copy(head, 30)
    head.write('FB', 30 + path.length, 'latin1')
    head.writeUInt16LE(pad, 32 + path.length)
    head.fill('Z', 34 + path.length, undefined, 'latin1')
    await this.put(head)
    let crc = 0
    let size = 0
    await write(async (bytes) => {
      crc = crc32(bytes, crc)
      size += bytes.length
      await this.put(bytes)
    })
    const descriptor = Buffer.alloc(16)
    descriptor.writeUInt32LE(0x08074b50, 0)
    descriptor.writeUInt32LE(crc, 4)
    descriptor.writeUInt32LE(size, 8)
    descriptor.writeUInt32LE(size, 12)
    await this.put(descriptor)
    this.members.push({ name: path, offset, crc, size })
  }

  /** The serialization id and the directory: nothing can follow. */
  async end(): Promise<void> {
    const id = this.serializationId()
    await this.member('.data/serialization_id', (sink) => sink(Buffer.from(id)))
    const from = this.at
    for (const { name, offset, crc, size } of this.members) {
      const entry = Buffer.alloc(46 + name.length)
      entry.writeUInt32LE(0x02014b50, 0)
      entry.writeUInt16LE(flags, 8)
      entry.writeUInt32LE(crc, 16)
      entry.writeUInt32LE(size, 20)
      entry.writeUInt32LE(size, 24)
      entry.writeUInt16LE(name.length, 28)
      entry.writeUInt32LE(offset, 42)
      name.copy(entry, 46)
      await this.put(entry)
    }
    const bytes = this.at - from
    const count = this.members.length
    const end = Buffer.alloc(56 + 20 + 22)
    end.writeUInt32LE(0x06064b50, 0)
    end.writeUInt32LE(44, 4)
    end.writeUInt16LE(0x031e, 12)
    end.writeUInt16LE(0x002d, 14)
    end.writeBigUInt64LE(BigInt(count), 24)
    end.writeBigUInt64LE(BigInt(count), 32)
    end.writeBigUInt64LE(BigInt(bytes), 40)
    end.writeBigUInt64LE(BigInt(from), 48)
    end.writeUInt32LE(0x07064b50, 56)
    end.writeBigUInt64LE(BigInt(this.at), 64)
    end.writeUInt32LE(1, 72)
    end.writeUInt32LE(0x06054b50, 76)
    end.writeUInt16LE(count, 84)
    end.writeUInt16LE(count, 86)
    end.writeUInt32LE(bytes, 88)
    end.writeUInt32LE(from, 92)
    await this.put(end)
  }

  /** Twenty digits that torch hashes from the set of record names, then twenty from the records' checksums. */
  private serializationId(): string {
    let sum = 0n
    for (const { crc } of this.members) {
      const value = BigInt(crc) + 0x9e3779b9n + (sum << 6n) + (sum >> 2n)
      sum = BigInt.asUintN(64, sum ^ BigInt.asUintN(64, value))
    }
    const names = this.members.map(({ name }) => name.toString().slice(this.archive.length + 1))
    const tensorless = names.join() === 'data.pkl,.format_version,.storage_alignment,byteorder,version'
    return (tensorless ? namesOfTensorless : '0'.repeat(20)) + String(sum).padStart(20, '0')
  }

  private async put(bytes: Uint8Array): Promise<void> {
    if (this.at + bytes.length > mostBytes)
      throw new ShardmillError('OUTPUT', `${this.archive}.pt would be larger than 4 GiB`, {
        hint: 'Make smaller shards (shardTokens), or choose another output format.',
      })
    this.at += bytes.length
    await this.sink(bytes)
  }
}

/** What torch's hash of the five names is; with tensors the hash depends on a C++ library, and readers ignore it. */
const namesOfTensorless = '02908468677762923104'

/** The bytes of a tensor storage; its persistent id in the pickle is ('storage', class, key, 'cpu', elements). */
export interface TorchStorage {
  readonly key: string
  readonly write: (sink: Sink) => Promise<void>
}

/**
 * A whole file: the pickle that `object` writes, and the storages it refers to.
 * @throws OUTPUT past 4 GiB
 */
export async function writeTorchFile(
  archive: string,
  sink: Sink,
  object: (pickle: PickleWriter) => Promise<void>,
  storages: readonly TorchStorage[] = [],
): Promise<void> {
  const zip = new TorchArchive(archive, sink)
  await zip.member('data.pkl', async (bytes) => {
    const pickle = new PickleWriter(bytes)
    await object(pickle)
    await pickle.end()
  })
  const small = (name: string, text: string) => zip.member(name, (bytes) => bytes(Buffer.from(text)))
  await small('.format_version', '1')
  await small('.storage_alignment', String(alignment))
  await small('byteorder', 'little')
  for (const { key, write } of storages) await zip.member(`data/${key}`, write)
  await small('version', '3\n')
  await zip.end()
}
