/** What the conversations of some tasks hold beside their messages. */
import type {
  Column,
  ColumnBatch,
  ColumnType,
  ListColumn,
  StringColumn,
  StructColumn,
} from '../parquet/columns.ts'
import { BadRow } from '../stages/sources/define-source.ts'
import { isNull, textAt } from '../stages/sources/messages-column.ts'
import type { Json } from '../store/types.ts'
import type { Extras } from './rows.ts'

const string: ColumnType = { kind: 'string' }
const mmluLetters = ['A', 'B', 'C', 'D']

/** Of a table source, given what its rows look like; undefined for those that have none. */
export function extrasOf(task: string, identity: Json): Extras | undefined {
  if (task === 'arc') return arc
  if (task === 'mmlu') return mmlu((identity as { nested: boolean }).nested)
  return task === 'humaneval' ? humaneval : undefined
}

const arc: Extras = {
  columns: (columns) => columns,
  of: ({ columns }, i) => ({
    letters: stringsAt((columns['choices'] as StructColumn).fields['label'] as ListColumn, i),
  }),
}

function mmlu(nested: boolean): Extras {
  return {
    columns: (columns) => {
      if (!nested) return { ...columns, subject: string }
      const { fields } = columns['train'] as { fields: Readonly<Record<string, ColumnType>> }
      return { train: { kind: 'struct', fields: { ...fields, subject: string } } }
    },
    of: ({ columns }, i) => {
      const fields: ColumnBatch['columns'] = nested ? (columns['train'] as StructColumn).fields : columns
      return { subject: stringAt(fields['subject'], i), letters: mmluLetters }
    },
  }
}

const humaneval: Extras = {
  columns: (columns) => ({ ...columns, entry_point: string, test: string }),
  of: ({ columns }, i) => {
    const [entryPoint, test] = (['entry_point', 'test'] as const).map((name) => {
      if (isNull(columns[name]!, i)) throw new BadRow(`${name} is null, expected a string`)
      return stringAt(columns[name], i)
    })
    return { entry_point: entryPoint!, test: test! }
  },
}

function stringsAt({ offsets, item }: ListColumn, i: number): string[] {
  const first = offsets[i]!
  return Array.from({ length: offsets[i + 1]! - first }, (_, k) => textAt(item as StringColumn, first + k))
}

function stringAt(column: Column | undefined, i: number): string {
  return textAt(column as StringColumn, i)
}
