/**
 * ARC: school science questions of the hub's `allenai/ai2_arc`, easy and challenging, the answer a single letter.
 *
 *   {"question": "…", "choices": {"text": ["…", "…", "…"], "label": ["A", "B", "C"]}, "answerKey": "B"}
 *
 * A problem has three to five choices as a rule, and some number them "1" to "4": labels are what the row says.
 */
import { z } from 'zod'
import type { ListColumn, StringColumn, StructColumn } from '../../parquet/columns.ts'
import { roleOf } from '../conversations.ts'
import { BadRow, defineTableSource } from './define-source.ts'
import { type HubOptions, hubFields, hubOrigin } from './hub-fields.ts'
import { isNull, quoted, textAt } from './messages-column.ts'
import { appendLetters, appendMultipleChoice, wantsLetters } from './multiple-choice.ts'

const subsets = ['ARC-Easy', 'ARC-Challenge'] as const

export interface ArcOptions extends HubOptions {
  readonly subset: (typeof subsets)[number]
}

export const arc = defineTableSource<ArcOptions>({
  task: 'arc',
  version: 1,
  about: 'allenai/ai2_arc: multiple-choice science questions, ARC-Easy or ARC-Challenge',
  fields: { ...hubFields, subset: z.enum(subsets).describe("The dataset's configuration") },
  label: ({ subset }) => subset,
  identity: () => ({}),
  origin: (options) => hubOrigin(options, 'allenai/ai2_arc'),
  seed: ({ seed }) => seed,
  lettered: true,
  columns: () => ({
    question: { kind: 'string' },
    choices: {
      kind: 'struct',
      fields: {
        text: { kind: 'list', item: { kind: 'string' } },
        label: { kind: 'list', item: { kind: 'string' } },
      },
    },
    answerKey: { kind: 'string' },
  }),
  rows: (identity) => (batch, i, out) => {
    const question = batch.columns['question'] as StringColumn
    const choices = batch.columns['choices'] as StructColumn
    const answer = batch.columns['answerKey'] as StringColumn
    const texts = choices.fields['text'] as ListColumn
    if (isNull(question, i)) throw new BadRow('question is null, expected a string')
    if (isNull(choices, i)) throw new BadRow('choices is null, expected texts and labels')
    if (isNull(answer, i)) throw new BadRow('answerKey is null, expected a label')
    const letters = listOf(choices, 'label', i)
    listOf(choices, 'text', i)
    const gold = bytesAt(answer, i)
    if (!letters.some((letter) => letter.equals(gold))) {
      const labels = letters.map((letter) => quoted(letter.toString())).join(', ')
      throw new BadRow(
        `answerKey is ${quoted(textAt(answer, i))}, which is none of the labels: ${labels || 'there are none'}`,
      )
    }
    out.beginMessage(roleOf.user)
    appendMultipleChoice(
      out,
      question,
      i,
      texts.item as StringColumn,
      texts.offsets[i]!,
      texts.offsets[i + 1]!,
      letters,
    )
    out.beginMessage(roleOf.assistant)
    out.append(gold, 0, gold.length)
    if (wantsLetters(identity)) appendLetters(out, letters)
  },
})

/** The strings of a row's list `name`, none of them null. */
function listOf(choices: StructColumn, name: 'text' | 'label', i: number): Buffer[] {
  const list = choices.fields[name] as ListColumn
  if (isNull(list, i)) throw new BadRow(`${name} of choices is null, expected a list of strings`)
  const items = list.item as StringColumn
  const first = list.offsets[i]!
  return Array.from({ length: list.offsets[i + 1]! - first }, (_, k) => {
    if (isNull(items, first + k)) throw new BadRow(`${name} ${k} of choices is null, expected a string`)
    return bytesAt(items, first + k)
  })
}

function bytesAt({ bytes, offsets }: StringColumn, i: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + offsets[i]!, offsets[i + 1]! - offsets[i]!)
}
