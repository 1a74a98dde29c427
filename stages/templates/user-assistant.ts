/**
 * A question and its answer as the line of JSON that SlamKit's prepare_arc_data writes, for tokenizer `bytes`:
 *
 *   {"user_text": "…", "assistant_text": "…"}
 *
 * byte for byte as Python's json.dumps. Mask contract: all of it is trained, since a text has no mask.
 */
import { ShardmillError } from '../../errors/index.ts'
import { type ConversationFrame, roleOf } from '../conversations.ts'
import { defineTemplate, type TokenSink } from './define-template.ts'

const roleMask = 3

export const userAssistant = defineTemplate({
  name: 'user_assistant',
  version: 1,
  contract: {
    trained: 'everything',
    untrained: 'nothing',
    ends: ['line'],
    rules: () => [
      ['begin', 'text', 1, 'line'],
      ['line', 'text', 1, 'line'],
    ],
  },
  specials: [],
  tokenizer: 'bytes',
  renderer: () => (frame: ConversationFrame, row: number, out: TokenSink) => {
    const { rowMessages, messageKind, messageParts, partText, partType, text } = frame
    const first = rowMessages[row]!
    const [user, assistant] = [first, first + 1].map((m) => {
      const [from, to] = [messageParts[m]!, messageParts[m + 1]!]
      const isText = partType.subarray(from, to).every((type) => type === 0)
      const bytes = text.subarray(partText[from]!, partText[to]!)
      return isText ? Buffer.from(bytes).toString() : undefined
    })
    const isPair =
      rowMessages[row + 1]! - first === 2 &&
      (messageKind[first]! & roleMask) === roleOf.user &&
      (messageKind[first + 1]! & roleMask) === roleOf.assistant
    if (!isPair || user === undefined || assistant === undefined)
      throw new ShardmillError(
        'RECIPE',
        'template user_assistant writes one question and its answer, and this row is something else',
        { hint: 'Use it for sources like arc, mmlu or shape: alpaca.' },
      )
    const line = Buffer.from(`{"user_text": ${json(user)}, "assistant_text": ${json(assistant)}}\n`, 'latin1')
    out.tokens(line, 0, line.length, 1)
  },
})

/** As Python: everything outside of ASCII's printable characters is escaped. */
function json(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
