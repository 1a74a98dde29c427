/**
 * nanochat's render_conversation: how a conversation becomes tokens, and which of them are trained on.
 *
 * Mask contract: trained are the assistant's text, python calls with their markers, and the end token; not trained
 * are BOS, user turns, role markers, and tool output with its markers. A leading system message is merged into the
 * first user message, two newlines between. Each content or part is tokenized by itself.
 */
import { type ConversationFrame, listContent } from '../conversations.ts'
import { defineTemplate, type TokenSink } from './define-template.ts'

const specials = [
  '<|bos|>',
  '<|user_start|>',
  '<|user_end|>',
  '<|assistant_start|>',
  '<|assistant_end|>',
  '<|python_start|>',
  '<|python_end|>',
  '<|output_start|>',
  '<|output_end|>',
] as const

const blankLine = Buffer.from('\n\n')
const roleMask = 3
const system = 0
const user = 1

export const nanochat = defineTemplate({
  name: 'nanochat',
  version: 1,
  contract: {
    trained: 'the assistant’s text, python calls with their markers, and <|assistant_end|>',
    untrained: 'BOS, user turns, role markers, or tool output with its markers',
    ends: ['between'],
    rules: () => [
      ['begin', '<|bos|>', 0, 'between'],
      ['between', '<|user_start|>', 0, 'user'],
      ['user', 'text', 0, 'user'],
      ['user', '<|user_end|>', 0, 'between'],
      ['between', '<|assistant_start|>', 0, 'assistant'],
      ['assistant', 'text', 1, 'assistant'],
      ['assistant', '<|python_start|>', 1, 'call'],
      ['call', 'text', 1, 'call'],
      ['call', '<|python_end|>', 1, 'assistant'],
      ['assistant', '<|output_start|>', 0, 'output'],
      ['output', 'text', 0, 'output'],
      ['output', '<|output_end|>', 0, 'assistant'],
      ['assistant', '<|assistant_end|>', 1, 'between'],
    ],
  },
  specials,
  opening: (ids) => (out) => out.special(ids.get('<|assistant_start|>')!, 0),
  renderer: (ids) => {
    const [
      bos,
      userStart,
      userEnd,
      assistantStart,
      assistantEnd,
      pythonStart,
      pythonEnd,
      outputStart,
      outputEnd,
    ] = specials.map((name) => ids.get(name)!) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]

    return (frame: ConversationFrame, row: number, out: TokenSink) => {
      const { messageKind, messageParts, partType, partText, text } = frame
      out.special(bos, 0)
      let m = frame.rowMessages[row]!
      const end = frame.rowMessages[row + 1]!
      let systemPart = -1
      if ((messageKind[m]! & roleMask) === system) systemPart = messageParts[m++]!
      for (; m < end && !out.full; m++) {
        const kind = messageKind[m]!
        const first = messageParts[m]!
        if ((kind & roleMask) === user) {
          out.special(userStart, 0)
          if (systemPart >= 0) {
            out.joined(
              text,
              partText[systemPart]!,
              partText[systemPart + 1]!,
              blankLine,
              partText[first]!,
              partText[first + 1]!,
              0,
            )
            systemPart = -1
          } else {
            out.text(text, partText[first]!, partText[first + 1]!, 0)
          }
          out.special(userEnd, 0)
          continue
        }
        out.special(assistantStart, 0)
        if ((kind & listContent) === 0) {
          out.text(text, partText[first]!, partText[first + 1]!, 1)
        } else {
          for (let p = first; p < messageParts[m + 1]!; p++) {
            const start = partText[p]!
            const stop = partText[p + 1]!
            if (partType[p] === 0) {
              out.text(text, start, stop, 1)
            } else if (partType[p] === 1) {
              out.special(pythonStart, 1)
              out.text(text, start, stop, 1)
              out.special(pythonEnd, 1)
            } else {
              out.special(outputStart, 0)
              out.text(text, start, stop, 0)
              out.special(outputEnd, 0)
            }
          }
        }
        out.special(assistantEnd, 1)
      }
    }
  },
})
