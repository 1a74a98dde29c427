/**
 * Parquet, a conversation a row, of three columns of list<int32>: `input_ids`, `labels` (the id where the token is
 * trained on, else -100) and `attention_mask` (1 for every token; nothing is padded). Snappy, with dictionaries; a row
 * group holds about a million tokens. Hugging Face `datasets`, pandas, DuckDB and Polars read it as it is.
 */
import { isShardmillError } from '../../errors/index.ts'
import {
  type ColumnType,
  type ListColumn,
  openByteSource,
  openParquet,
  readParquet,
} from '../../parquet/index.ts'
import { conversationsOf, PieceFiller } from './conversation-rows.ts'
import { type ByteFile, defineOutput, usualStem, verifyError } from './define-output.ts'
import { GroupWriter } from './parquet-groups.ts'

const groupTokens = 1 << 20
const columns = ['input_ids', 'labels', 'attention_mask'] as const
const list: ColumnType = { kind: 'list', item: { kind: 'int' } }

export const parquet = defineOutput({
  name: 'parquet',
  version: 1,
  about: 'Parquet, a conversation a row: input_ids, labels (-100 where not trained on), attention_mask',
  hasDtype: false,
  fields: {},
  cut: () => 'conversations',
  ...usualStem,
  files: [{ role: 'rows', suffix: '.parquet' }],
  async write(content, files) {
    const out = new GroupWriter(files['rows']!, columns)
    for (const { tokens, mask } of conversationsOf(content)) {
      out.add(tokens, mask)
      if (out.tokens >= groupTokens) await out.flush()
    }
    await out.finish()
  },
  async open(files, { dtype }) {
    const file = files['rows']!
    await checkColumns(file)
    async function* pieces() {
      const source = openByteSource(await file.localPath(), file.name)
      try {
        const opened = await openParquet(source)
        const filler = new PieceFiller(dtype)
        const batches = readParquet(opened, { from: 0, to: opened.rowGroups.length }, columnTypes)
        for await (const { firstRow, rows, columns: found } of batches) {
          const [ids, labels, attention] = columns.map((name) => listOf(found[name] as ListColumn))
          for (let row = 0; row < rows; row++) {
            readRow(ids!.row(row), labels!.row(row), attention!.row(row), filler, file, firstRow + row)
            if (filler.full) yield filler.take()
          }
        }
        if (!filler.empty) yield filler.take()
      } catch (error) {
        throw asVerify(error, file)
      } finally {
        source.close()
      }
    }
    return { pieces }
  },
})

const columnTypes = Object.fromEntries(columns.map((name) => [name, list]))

/** Opens the file once, so that what is no such file is known at once. */
async function checkColumns(file: ByteFile): Promise<void> {
  const source = openByteSource(await file.localPath(), file.name)
  try {
    const { schema: found } = await openParquet(source)
    const names = found.map(({ name }) => name).join(', ')
    if (names !== columns.join(', '))
      throw verifyError(file.name, `has the columns ${names}, expected ${columns.join(', ')}`)
  } catch (error) {
    throw asVerify(error, file)
  } finally {
    source.close()
  }
}

function asVerify(error: unknown, file: ByteFile): unknown {
  if (isShardmillError(error, 'BAD_FILE') || isShardmillError(error, 'NOT_FOUND'))
    return verifyError(file.name, error.why)
  return error
}

function listOf({ offsets, item, valid }: ListColumn) {
  const values = item.kind === 'int' ? item.values : new Float64Array(0)
  const whole = valid === undefined && item.valid === undefined
  return { row: (row: number) => (whole ? values.subarray(offsets[row]!, offsets[row + 1]!) : undefined) }
}

function readRow(
  ids: Float64Array | undefined,
  labels: Float64Array | undefined,
  attention: Float64Array | undefined,
  filler: PieceFiller,
  file: ByteFile,
  row: number,
): void {
  const wrong = (why: string) => verifyError(file.name, `row ${row} ${why}`)
  if (ids === undefined || labels === undefined || attention === undefined) throw wrong('has nulls')
  if (labels.length !== ids.length || attention.length !== ids.length)
    throw wrong('has lists of different lengths')
  const into = filler.add(ids.length)
  for (let i = 0; i < ids.length; i++) {
    into.ids[i] = ids[i]!
    if (into.ids[i] !== ids[i]) throw wrong(`has id ${ids[i]} at place ${i}, which does not fit`)
    if (labels[i] !== ids[i] && labels[i] !== -100)
      throw wrong(`has a label that is neither -100 nor the id at place ${i}`)
    into.mask[i] = labels[i] === -100 ? 0 : 1
    if (attention[i] !== 1) throw wrong(`does not attend to place ${i}`)
  }
}
