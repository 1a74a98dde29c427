/** The prompt of multiple-choice problems, byte for byte nanochat's render_mc. */
import type { StringColumn } from '../../parquet/columns.ts'
import type { Json } from '../../store/types.ts'
import { type ConversationWriter, partTypeOf, roleOf } from '../conversations.ts'

const head = Buffer.from('Multiple Choice question: ')
const newline = Buffer.from('\n')
const dash = Buffer.from('- ')
const equals = Buffer.from('=')
const tail = Buffer.from('\nRespond only with the letter of the correct answer.')

/**
 * Appends question `i` and the choices `first..end` of `choices`, each with its letter: choice before letter and
 * no space around `=`, so that the letter is the same token as in the answer. Stops at the shorter list.
 */
export function appendMultipleChoice(
  out: ConversationWriter,
  question: StringColumn,
  i: number,
  choices: StringColumn,
  first: number,
  end: number,
  letters: readonly Uint8Array[],
): void {
  out.append(head, 0, head.length)
  out.append(question.bytes, question.offsets[i]!, question.offsets[i + 1]!)
  out.append(newline, 0, 1)
  for (let k = first; k < end && k - first < letters.length; k++) {
    const letter = letters[k - first]!
    out.append(dash, 0, 2)
    out.append(choices.bytes, choices.offsets[k]!, choices.offsets[k + 1]!)
    out.append(equals, 0, 1)
    out.append(letter, 0, letter.length)
    out.append(newline, 0, 1)
  }
  out.append(tail, 0, tail.length)
}

/** Whether a source's rows are to name their letters: in its identity, so that other rows stay as they are. */
export function wantsLetters(identity: Json): boolean {
  return (identity as { readonly letters?: boolean }).letters === true
}

/** After the answer, for those who want them: the letters, each a part of a closing message. */
export function appendLetters(out: ConversationWriter, letters: readonly Uint8Array[]): void {
  out.beginListMessage(roleOf.system)
  for (const letter of letters) {
    out.beginPart(partTypeOf.text)
    out.append(letter, 0, letter.length)
  }
}
