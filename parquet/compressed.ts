/** Says so when a file that cannot be read is a compressed one, by its first bytes. */
import { ShardmillError } from '../errors/index.ts'
import type { ByteSource } from './byte-source.ts'

const kinds: readonly { readonly name: string; readonly unpack: string; readonly begins: RegExp }[] = [
  { name: 'gzip-compressed', unpack: 'gunzip', begins: /^\x1f\x8b/ },
  { name: 'zstd-compressed', unpack: 'unzstd', begins: /^\x28\xb5\x2f\xfd/ },
  { name: 'a zip archive', unpack: 'unzip', begins: /^PK\x03\x04/ },
  // What follows is a block of data, or the end of an empty file: three letters alone could be a line's.
  { name: 'bzip2-compressed', unpack: 'bunzip2', begins: /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/ },
]

/** Throws BAD_FILE for a compressed file. None of them begins as JSON lines or a parquet file do. */
export function refuseCompressed(source: ByteSource): void {
  const head = Buffer.from(source.read(0, Math.min(source.size, 10))).toString('latin1')
  const kind = kinds.find(({ begins }) => begins.test(head))
  if (kind === undefined) return
  throw new ShardmillError('BAD_FILE', `the file is ${kind.name}, which is not supported.`, {
    at: { file: source.name },
    hint: `Unpack it (\`${kind.unpack}\`; a file of the hub has to be downloaded for that) and name the unpacked file.`,
  })
}
