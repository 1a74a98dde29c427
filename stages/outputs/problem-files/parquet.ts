/**
 * Parquet, a problem a row: `tokens` list<int32>, `answer_pos` int32, `letter_token_ids` list<int32>, `gold` int32,
 * `example_idx` int32, none of them nullable; label and baseline are in config.json. Snappy, with dictionaries; a row
 * group holds about a million tokens. Hugging Face `datasets`, pandas, DuckDB and Polars read it as it is.
 */
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer'
import { isShardmillError } from '../../../errors/index.ts'
import {
  type Column,
  type ColumnType,
  openByteSource,
  openParquet,
  readParquet,
} from '../../../parquet/index.ts'
import type { FileReader } from '../file-reader.ts'
import { intListSchema } from '../parquet-groups.ts'
import type { Problem, ProblemFormat } from './define-format.ts'

const groupTokens = 1 << 20
const int: ColumnType = { kind: 'int' }
const list: ColumnType = { kind: 'list', item: int }
const columns = {
  tokens: list,
  answer_pos: int,
  letter_token_ids: list,
  gold: int,
  example_idx: int,
} as const satisfies Record<string, ColumnType>
const names = Object.keys(columns) as (keyof typeof columns)[]

const schema: SchemaElement[] = [
  { name: 'schema', num_children: names.length },
  ...names.flatMap((name): SchemaElement[] =>
    columns[name] === int ? [{ name, type: 'INT32', repetition_type: 'REQUIRED' }] : intListSchema(name),
  ),
]

export const parquet: ProblemFormat = {
  name: 'parquet',
  version: 1,
  extension: 'parquet',
  about: 'a row a problem, for datasets, pandas, DuckDB and Polars',
  async write({ examples }, problem, sink) {
    const bytes = new ByteWriter()
    const out = new ParquetWriter({
      writer: bytes,
      schema,
      codec: 'SNAPPY',
      createdBy: 'shardmill',
      statistics: false,
    })
    const send = async () => {
      await sink(bytes.getBytes())
      bytes.index = 0
    }
    let rows: Readonly<Record<keyof typeof columns, number | number[]>>[] = []
    let tokens = 0
    const group = async () => {
      const columnData = names.map((name) => ({ name, data: rows.map((row) => row[name]) }))
      await out.write({ columnData, rowGroupSize: rows.length })
      await send()
      rows = []
      tokens = 0
    }
    for (let i = 0; i < examples; i++) {
      const { tokens: ids, letterTokenIds, gold, exampleIdx } = problem(i)
      rows.push({
        tokens: Array.from(ids),
        answer_pos: ids.length - 1,
        letter_token_ids: [...letterTokenIds],
        gold,
        example_idx: exampleIdx,
      })
      tokens += ids.length
      if (tokens >= groupTokens) await group()
    }
    if (rows.length > 0) await group()
    await out.finish()
    await send()
  },
  async *read(file, head) {
    const source = openByteSource(file.path, file.name)
    try {
      const opened = await openParquet(source)
      const found = opened.schema.map(({ name }) => name).join(', ')
      if (found !== names.join(', ')) file.fail(`has the columns ${found}, expected ${names.join(', ')}`)
      let count = 0
      const groups = { from: 0, to: opened.rowGroups.length }
      for await (const { rows, columns: of } of readParquet(opened, groups, columns)) {
        for (let row = 0; row < rows; row++) yield problemAt(of, row, count++, file)
      }
      if (head !== undefined && count !== head.examples)
        file.fail(`has ${count} problems, expected ${head.examples}`)
    } catch (error) {
      if (isShardmillError(error, 'BAD_FILE')) file.fail(error.why)
      throw error
    } finally {
      source.close()
    }
  },
}

function problemAt(
  of: Readonly<Record<string, Column>>,
  row: number,
  number: number,
  file: FileReader,
): Problem {
  const refuse = (why: string) => file.fail(`row ${number} ${why}`)
  const intsOf = (column: Column | undefined, from: number, to: number): number[] => {
    if (column?.kind !== 'int') return refuse('is no problem')
    const values = Array.from(column.values.subarray(from, to))
    const whole = column.valid === undefined || column.valid.subarray(from, to).every((bit) => bit === 1)
    if (!whole || values.some((value) => value < 0)) return refuse('has nulls or negative numbers')
    return values
  }
  const one = (name: keyof typeof columns) => intsOf(of[name], row, row + 1)[0]!
  const many = (name: keyof typeof columns) => {
    const column = of[name]
    if (column?.kind !== 'list' || column.valid?.[row] === 0) return refuse('is no problem')
    return intsOf(column.item, column.offsets[row]!, column.offsets[row + 1]!)
  }
  const tokens = many('tokens')
  const answer = one('answer_pos')
  if (answer !== tokens.length - 1)
    return refuse(`has answer_pos ${answer} for a prompt of ${tokens.length} tokens`)
  return {
    tokens,
    letterTokenIds: many('letter_token_ids'),
    gold: one('gold'),
    exampleIdx: one('example_idx'),
  }
}
