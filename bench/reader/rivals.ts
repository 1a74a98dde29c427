import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rival } from '../rival.ts'

/** Another reader: reads the column of conversations of a file, and counts the text it holds. */
export interface Rival {
  readonly name: string
  read(bytes: Uint8Array): Promise<number>
}

/** Vectors of apache-arrow and DuckDB, as far as they are needed here. */
interface ArrowVector {
  getChild(name: string): ArrowVector
  getChildAt(index: number): ArrowVector
  readonly data: ReadonlyArray<{ readonly valueOffsets: Int32Array; readonly length: number }>
}

interface ParquetWasm {
  readParquet(bytes: Uint8Array): { intoIPCStream(): Uint8Array }
}

interface Arrow {
  tableFromIPC(stream: Uint8Array): ArrowVector
}

interface DuckDb {
  readonly DuckDBInstance: {
    create(
      path: string,
      options: object,
    ): Promise<{
      connect(): Promise<{
        run(query: string): Promise<{
          fetchChunk(): Promise<{ rowCount: number; getColumnVector(index: number): DuckVector } | null>
        }>
      }>
    }>
  }
}

interface DuckVector {
  readonly itemCount: number
  getItem(index: number): {
    readonly items: ReadonlyArray<{ readonly entries: { readonly content: string } }>
  }
}

/** Those of bench/package.json that are installed. The text is counted in bytes by the first, in characters by the other. */
export async function rivals(say: (line: string) => void): Promise<Rival[]> {
  const found: Rival[] = []
  const wasm = rival<ParquetWasm>('parquet-wasm', say)
  const arrow = rival<Arrow>('apache-arrow', say)
  if (wasm !== undefined && arrow !== undefined) {
    found.push({
      name: 'parquet-wasm',
      async read(bytes) {
        const table = arrow.tableFromIPC(wasm.readParquet(bytes).intoIPCStream())
        const content = table.getChild('messages').getChildAt(0).getChild('content')
        let sum = 0
        for (const { valueOffsets, length } of content.data) sum += valueOffsets[length]! - valueOffsets[0]!
        return sum
      },
    })
  }
  const duck = rival<DuckDb>('@duckdb/node-api', say)
  if (duck !== undefined) {
    const instance = await duck.DuckDBInstance.create(':memory:', { threads: '1' })
    const connection = await instance.connect()
    const path = join(tmpdir(), `bench-reader-${process.pid}.parquet`)
    process.once('exit', () => rmSync(path, { force: true }))
    let written: Uint8Array | undefined
    found.push({
      name: '@duckdb/node-api',
      async read(bytes) {
        if (written !== bytes) writeFileSync(path, bytes)
        written = bytes
        const result = await connection.run(`select messages from read_parquet('${path}')`)
        let sum = 0
        for (;;) {
          const chunk = await result.fetchChunk()
          if (chunk === null || chunk.rowCount === 0) return sum
          const column = chunk.getColumnVector(0)
          for (let i = 0; i < column.itemCount; i++) {
            for (const { entries } of column.getItem(i).items) sum += entries.content.length
          }
        }
      },
    })
  }
  return found
}
