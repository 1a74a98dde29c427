/** One file of as many partitions as wanted: row groups whose unread column is long and compresses to nothing. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { goldenRecipe, type RecipeObject, temporaryFolder } from '../e2e/cli.ts'

/** A partition ends with the row group that fills 16 MiB (stages/scan.ts). */
const fillerBytes = 16 << 20

export function manyPartitionsHub(count: number): string {
  const folder = temporaryFolder()
  const data = join(folder, 'datasets', 'synthetic', 'instructions', 'data')
  mkdirSync(data, { recursive: true })
  writeFileSync(join(data, 'test-00000-of-00001.parquet'), table(1))
  writeFileSync(join(data, 'train-00000-of-00001.parquet'), table(count))
  return folder
}

function table(groups: number): Uint8Array {
  // A filler at the end of each row group, written without dictionary, makes it a partition; all are the same page.
  const filler = 'x'.repeat(fillerBytes)
  let compressed: { readonly of: number; readonly bytes: Uint8Array } | undefined
  const gzip = (bytes: Uint8Array): Uint8Array => {
    if (bytes.length < fillerBytes) return gzipSync(bytes)
    if (compressed?.of !== bytes.length)
      compressed = { of: bytes.length, bytes: gzipSync(bytes, { level: 1 }) }
    return compressed.bytes
  }
  const numbers = Array.from({ length: groups }, (_, i) => i)
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'instruction', data: numbers.map((i) => `What is ${i}?`), type: 'STRING' },
      { name: 'output', data: numbers.map((i) => `A number, ${i}.`), type: 'STRING' },
      {
        name: 'filler',
        data: numbers.map(() => filler),
        type: 'STRING',
        encoding: 'PLAIN',
        statistics: false,
      },
    ],
    codec: 'GZIP',
    compressors: { GZIP: gzip },
    rowGroupSize: 1,
  })
  return new Uint8Array(buffer)
}

export function manyPartitionsRecipe(name: string): RecipeObject {
  const source = (split: string) => ({
    task: 'messages',
    repo: 'synthetic/instructions',
    split,
    shape: 'alpaca',
    columns: { instruction: 'instruction', output: 'output' },
  })
  return {
    ...goldenRecipe({ name, shardTokens: 500 }),
    splits: { val: [source('test')], train: [source('train')] },
  }
}
