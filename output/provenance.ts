/**
 * provenance.jsonl: who ran each stage, when and where; the one file of an output folder that differs between equal
 * builds. JSON lines: what the published files looked like on disk, a line per stage, and last the sha256 of all
 * lines before. It may be deleted (it names machines and users); damaged, it counts for nothing.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Circumstances, Digest } from '../store/types.ts'
import { provenanceName } from './manifest.ts'

export interface Provenance {
  /** Size, inode and times of each published file: what no longer matches has been touched. */
  readonly published: Readonly<Record<string, string>>
  readonly circumstances: ReadonlyMap<Digest, Circumstances>
}

export function encodeProvenance(
  published: Readonly<Record<string, string>>,
  stages: readonly { readonly key: Digest; readonly circumstances: Circumstances }[],
): Uint8Array {
  const lines = [{ published }, ...stages].map((line) => `${JSON.stringify(line)}\n`).join('')
  return Buffer.from(`${lines}${lastLine(Buffer.from(lines))}`)
}

/** Undefined when the file is not there, not whole or not ours. */
export async function readProvenanceFile(dir: string): Promise<Provenance | undefined> {
  try {
    const bytes = await readFile(join(dir, provenanceName))
    const end = bytes.lastIndexOf('\n', bytes.length - 2) + 1
    const lines = bytes.subarray(0, end)
    if (bytes.subarray(end).toString('latin1') !== lastLine(lines)) return undefined
    const [first, ...stages] = lines
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as unknown)
    const { published } = first as { published: Record<string, string> }
    const known = stages as { key: Digest; circumstances: Circumstances }[]
    return { published, circumstances: new Map(known.map(({ key, circumstances }) => [key, circumstances])) }
  } catch {
    return undefined
  }
}

function lastLine(lines: Uint8Array): string {
  return `${JSON.stringify({ sha256: createHash('sha256').update(lines).digest('hex') })}\n`
}
