import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'

const STRING = { type: 'BYTE_ARRAY', converted_type: 'UTF8' }
const INT64 = { type: 'INT64' }
const optional = (name, rest) => ({ name, repetition_type: 'OPTIONAL', ...rest })
const list = (name, ...element) => [
  optional(name, { converted_type: 'LIST', num_children: 1 }),
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  ...element,
]

const quizFields = [
  optional('question', STRING),
  optional('subject', STRING),
  ...list('choices', optional('element', STRING)),
  optional('answer', INT64),
]

/** Parquet schemas below the root, as the hub's files have them. */
export const schemas = {
  chat: {
    columns: ['messages', 'source'],
    elements: [
      ...list(
        'messages',
        optional('element', { num_children: 2 }),
        optional('content', STRING),
        optional('role', STRING),
      ),
      optional('source', STRING),
    ],
  },
  quiz: { columns: ['question', 'subject', 'choices', 'answer'], elements: quizFields },
  nestedQuiz: { columns: ['train'], elements: [optional('train', { num_children: 4 }), ...quizFields] },
  sums: {
    columns: ['question', 'answer'],
    elements: [optional('question', STRING), optional('answer', STRING)],
  },
}

/**
 * Writes rows as a snappy parquet file of several row groups.
 *
 * @param {string} file
 * @param {{ columns: string[], elements: object[] }} schema
 * @param {Record<string, unknown>[]} rows
 */
export function writeParquet(file, schema, rows) {
  const buffer = parquetWriteBuffer({
    schema: [{ name: 'schema', num_children: schema.columns.length }, ...schema.elements],
    columnData: schema.columns.map((name) => ({ name, data: rows.map((row) => row[name]) })),
    codec: 'SNAPPY',
    rowGroupSize: 250,
    createdBy: 'shardmill demo data',
  })
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, new Uint8Array(buffer))
}
