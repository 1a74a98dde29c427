/**
 * scan: a source file → its partitions, the units of parallel and of resumable work.
 *
 * In:  one parquet or JSON-lines file.   Out: the list of its partitions, under the file's digest (so that two files
 * cut alike have two lists, and a trace cannot mistake one for the other).
 * A parquet partition is a run of whole row groups, a JSON-lines partition a run of whole lines; either ends once
 * it holds about partitionBytes.
 */
import { openByteSource, openParquet, scanJsonLines } from '../parquet/index.ts'
import { defineStage, fileName, input, paramsOf } from './define-stage.ts'

/** Uncompressed. Small enough that a machine with many cores has work for all, large enough to be worth a record. */
const partitionBytes = 16 << 20

export interface ParquetPartition {
  readonly from: number
  readonly to: number
}

export interface LinesPartition {
  readonly start: number
  readonly end: number
  readonly firstLine: number
  readonly firstRow: number
}

export const scan = defineStage({
  name: 'scan',
  async run(call, { store }) {
    const { reader } = paramsOf<{ reader: 'parquet' | 'jsonl' }>(call)
    const source = openByteSource(await store.localFile(input(call, 'file')), fileName(call))
    try {
      const { rows, partitions } = reader === 'parquet' ? await scanParquet(source) : scanLines(source)
      const list = await store.putBlob(Buffer.from(JSON.stringify({ file: input(call, 'file'), partitions })))
      return { outputs: { partitions: list }, stats: { rows, partitions: partitions.length } }
    } finally {
      source.close()
    }
  },
})

async function scanParquet(source: Parameters<typeof openParquet>[0]) {
  const { rows, rowGroups } = await openParquet(source)
  const partitions: ParquetPartition[] = []
  let from = 0
  let bytes = 0
  rowGroups.forEach((group, i) => {
    bytes += group.bytes
    if (bytes >= partitionBytes || i === rowGroups.length - 1) {
      partitions.push({ from, to: i + 1 })
      from = i + 1
      bytes = 0
    }
  })
  return { rows, partitions }
}

function scanLines(source: Parameters<typeof scanJsonLines>[0]) {
  const { rows, partitions } = scanJsonLines(source, partitionBytes)
  return {
    rows,
    partitions: partitions.map(
      ({ start, end, firstLine, firstRow }): LinesPartition => ({ start, end, firstLine, firstRow }),
    ),
  }
}
