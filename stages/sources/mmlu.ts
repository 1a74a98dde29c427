/**
 * MMLU: multiple-choice problems of the hub's `cais/mmlu`, the answer a single letter.
 *
 *   {"question": "…", "subject": "anatomy", "choices": ["…", "…", "…", "…"], "answer": 2}
 *
 * The configuration `auxiliary_train` wraps each row in one struct column `train`.
 */
import { z } from 'zod'
import type { ColumnBatch, IntColumn, ListColumn, StringColumn, StructColumn } from '../../parquet/columns.ts'
import { roleOf } from '../conversations.ts'
import { BadRow, defineTableSource } from './define-source.ts'
import { type HubOptions, hubFields, hubOrigin } from './hub-fields.ts'
import { isNull } from './messages-column.ts'
import { appendLetters, appendMultipleChoice, wantsLetters } from './multiple-choice.ts'

const letters = ['A', 'B', 'C', 'D'].map((letter) => Buffer.from(letter))

interface MmluOptions extends HubOptions {
  readonly nested?: boolean
}

const rowColumns = {
  question: { kind: 'string' },
  choices: { kind: 'list', item: { kind: 'string' } },
  answer: { kind: 'int' },
} as const

function isNested(identity: unknown): boolean {
  return (identity as { nested: boolean }).nested
}

export const mmlu = defineTableSource<MmluOptions>({
  task: 'mmlu',
  version: 1,
  about: 'cais/mmlu: multiple-choice problems with four choices',
  fields: {
    ...hubFields,
    nested: z
      .boolean()
      .optional()
      .describe('Rows are wrapped in one struct column `train` (default: only for subset auxiliary_train)'),
  },
  label: () => 'MMLU',
  identity: ({ nested, subset }) => ({ nested: nested ?? subset === 'auxiliary_train' }),
  origin: (options) => hubOrigin(options, 'cais/mmlu', 'all'),
  seed: ({ seed }) => seed,
  lettered: true,
  columns: (identity) =>
    isNested(identity) ? { train: { kind: 'struct', fields: rowColumns } } : rowColumns,
  rows: (identity) => {
    const nested = isNested(identity)
    const lettered = wantsLetters(identity)
    return (batch, i, out) => {
      const wrapper = nested ? (batch.columns['train'] as StructColumn) : undefined
      if (wrapper !== undefined && isNull(wrapper, i)) throw new BadRow('train is null, expected a problem')
      const fields: ColumnBatch['columns'] = wrapper?.fields ?? batch.columns
      const question = fields['question'] as StringColumn
      const choices = fields['choices'] as ListColumn
      const answer = fields['answer'] as IntColumn
      const first = choices.offsets[i]!
      const end = choices.offsets[i + 1]!
      if (isNull(question, i)) throw new BadRow('question is null, expected a string')
      if (isNull(choices, i) || end - first !== 4) {
        throw new BadRow(
          `choices has ${isNull(choices, i) ? 'no value' : `${end - first} entries`}, expected exactly 4`,
        )
      }
      const texts = choices.item as StringColumn
      for (let k = first; k < end; k++)
        if (isNull(texts, k)) throw new BadRow(`choice ${k - first} is null, expected a string`)
      const gold = answer.values[i]!
      if (isNull(answer, i) || gold < 0 || gold > 3)
        throw new BadRow(`answer is ${isNull(answer, i) ? 'null' : gold}, expected 0, 1, 2 or 3`)
      out.beginMessage(roleOf.user)
      appendMultipleChoice(out, question, i, texts, first, end, letters)
      out.beginMessage(roleOf.assistant)
      out.append(letters[gold]!, 0, 1)
      if (lettered) appendLetters(out, letters)
    }
  },
})
