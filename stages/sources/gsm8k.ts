/**
 * GSM8K: school mathematics of the hub's `openai/gsm8k`; calculator calls in the answer become tool calls.
 *
 *   {"question": "…", "answer": "She earns 12/60 = $<<12/60=0.2>>0.2 …\n#### 10"}
 */
import type { StringColumn } from '../../parquet/columns.ts'
import { type ConversationWriter, partTypeOf, roleOf } from '../conversations.ts'
import { BadRow, defineTableSource } from './define-source.ts'
import { type HubOptions, hubFields, hubOrigin } from './hub-fields.ts'
import { isNull } from './messages-column.ts'

const less = 0x3c
const greater = 0x3e
const equals = 0x3d

export const gsm8k = defineTableSource<HubOptions>({
  task: 'gsm8k',
  version: 1,
  about: 'openai/gsm8k: school mathematics with calculator calls',
  fields: hubFields,
  label: () => 'GSM8K',
  identity: () => ({}),
  origin: (options) => hubOrigin(options, 'openai/gsm8k', 'main'),
  seed: ({ seed }) => seed,
  columns: () => ({ question: { kind: 'string' }, answer: { kind: 'string' } }),
  rows: () => (batch, i, out) => {
    const question = batch.columns['question'] as StringColumn
    const answer = batch.columns['answer'] as StringColumn
    if (isNull(question, i)) throw new BadRow('question is null, expected a string')
    if (isNull(answer, i)) throw new BadRow('answer is null, expected a string')
    out.beginMessage(roleOf.user)
    out.append(question.bytes, question.offsets[i]!, question.offsets[i + 1]!)
    out.beginListMessage(roleOf.assistant)
    appendAnswer(out, answer.bytes, answer.offsets[i]!, answer.offsets[i + 1]!)
  },
})

/**
 * Python's `re.split(r'(<<[^>]+>>)', answer)`: text parts, empty ones too, and between them calls, each a python
 * part (before the last `=`) and a python_output part (after it). A text piece that itself begins with `<<` and
 * ends with `>>` is taken for a call as well, as the reference does.
 */
export function appendAnswer(out: ConversationWriter, bytes: Uint8Array, start: number, end: number): void {
  let textStart = start
  let at = start
  for (;;) {
    const call = findCall(bytes, at, end)
    if (call === undefined) break
    appendPiece(out, bytes, textStart, call.start)
    appendPiece(out, bytes, call.start, call.end)
    textStart = call.end
    at = call.end
  }
  appendPiece(out, bytes, textStart, end)
}

/** The leftmost match of `<<[^>]+>>` at or after `from`. */
function findCall(bytes: Uint8Array, from: number, end: number): { start: number; end: number } | undefined {
  // The next '>' serves every '<<' before it, so that a run of '<' costs no quadratic time.
  let k = from
  for (let s = from; s + 5 <= end; s++) {
    if (bytes[s] !== less || bytes[s + 1] !== less) continue
    if (k < s + 2) k = s + 2
    while (k < end && bytes[k] !== greater) k++
    // Nothing further right can match either once no '>' is left.
    if (k >= end) return undefined
    if (k > s + 2 && k + 1 < end && bytes[k + 1] === greater) return { start: s, end: k + 2 }
  }
  return undefined
}

function appendPiece(out: ConversationWriter, bytes: Uint8Array, start: number, end: number): void {
  const isCall =
    end - start >= 4 &&
    bytes[start] === less &&
    bytes[start + 1] === less &&
    bytes[end - 2] === greater &&
    bytes[end - 1] === greater
  if (!isCall) {
    out.beginPart(partTypeOf.text)
    out.append(bytes, start, end)
    return
  }
  const inner = { start: start + 2, end: end - 2 }
  let split = inner.end
  for (let k = inner.end - 1; k >= inner.start; k--) {
    if (bytes[k] === equals) {
      split = k
      break
    }
  }
  out.beginPart(partTypeOf.python)
  out.append(bytes, inner.start, split)
  out.beginPart(partTypeOf.python_output)
  if (split < inner.end) out.append(bytes, split + 1, inner.end)
}
