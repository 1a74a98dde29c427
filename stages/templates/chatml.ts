/**
 * ChatML: `<|im_start|>role`, a newline, the content and `<|im_end|>`, turns one newline apart; nothing follows the
 * last one. Role, newline and content are tokenized each by itself, as SlamKit's prepare_arc_tokens does.
 *
 * Mask contract: trained are the assistant's content and its `<|im_end|>`, and, unless maskAssistantHeader is set, the
 * header before it too (SlamKit leaves it in); not trained are system and user turns and the newlines between turns.
 * A list of text parts is their concatenation. Tool calls and their output have no form in ChatML.
 */
import { ShardmillError } from '../../errors/index.ts'
import { type ConversationFrame, partTypes, roleOf, roles } from '../conversations.ts'
import { defineTemplate, type TokenSink } from './define-template.ts'
import type { MaskRule } from './mask-contract.ts'

const specials = ['<|im_start|>', '<|im_end|>'] as const
const newline = Buffer.from('\n')
const roleNames = roles.map((role) => Buffer.from(role))
const roleMask = 3

export const chatml = defineTemplate({
  name: 'chatml',
  version: 1,
  contract: {
    trained: 'the assistant’s content and its <|im_end|>, and its header unless maskAssistantHeader is set',
    untrained: 'system and user turns, the newlines between turns, or headers that are masked',
    ends: ['afterFirst', 'afterUser', 'afterAssistant'],
    // Roles are text, but they alternate: user first, after a system turn or none.
    rules: ({ maskAssistantHeader = false }) => [
      ['begin', '<|im_start|>', 0, 'first'],
      ['first', 'text', 0, 'first'],
      ['first', '<|im_end|>', 0, 'afterFirst'],
      ['afterFirst', 'text', 0, 'afterFirst'],
      ['afterFirst', '<|im_start|>', 0, 'user'],
      ...opening('afterFirst', maskAssistantHeader),
      ['user', 'text', 0, 'user'],
      ['user', '<|im_end|>', 0, 'afterUser'],
      ['afterUser', 'text', 0, 'afterUser'],
      ...opening('afterUser', maskAssistantHeader),
      ['header', 'text', 0, 'header'],
      ['header', 'text', 1, 'assistant'],
      ['header', '<|im_end|>', 1, 'afterAssistant'],
      ['assistant', 'text', 1, 'assistant'],
      ['assistant', '<|im_end|>', 1, 'afterAssistant'],
      ['afterAssistant', 'text', 0, 'afterAssistant'],
      ['afterAssistant', '<|im_start|>', 0, 'user'],
    ],
  },
  specials,
  options: { maskAssistantHeader: false },
  opening: (ids) => (out) => {
    const role = roleNames[roleOf.assistant]!
    out.text(newline, 0, 1, 0)
    out.special(ids.get('<|im_start|>')!, 0)
    out.text(role, 0, role.length, 0)
    out.text(newline, 0, 1, 0)
  },
  renderer: (ids, { maskAssistantHeader = false } = {}) => {
    const [start, end] = specials.map((name) => ids.get(name)!) as [number, number]

    return (frame: ConversationFrame, row: number, out: TokenSink) => {
      const { messageKind, messageParts, partText, text } = frame
      const first = frame.rowMessages[row]!
      const last = frame.rowMessages[row + 1]!
      for (let m = first; m < last && !out.full; m++) {
        const role = messageKind[m]! & roleMask
        const trained = role === roleOf.assistant ? 1 : 0
        const header = trained === 1 && !maskAssistantHeader ? 1 : 0
        refuseTools(frame, m)
        if (m > first) out.text(newline, 0, 1, 0)
        out.special(start, header)
        out.text(roleNames[role]!, 0, roleNames[role]!.length, header)
        out.text(newline, 0, 1, header)
        // The parts of a message lie one after the other.
        out.text(text, partText[messageParts[m]!]!, partText[messageParts[m + 1]!]!, trained)
        out.special(end, trained)
      }
    }
  },
})

function opening(from: string, maskAssistantHeader: boolean): MaskRule[] {
  return maskAssistantHeader
    ? [[from, '<|im_start|>', 0, 'header']]
    : [[from, '<|im_start|>', 1, 'assistant']]
}

function refuseTools({ messageParts, partType }: ConversationFrame, message: number): void {
  for (let p = messageParts[message]!; p < messageParts[message + 1]!; p++) {
    if (partType[p] === 0) continue
    throw new ShardmillError(
      'RECIPE',
      `template chatml has no form for a part of type ${partTypes[partType[p]!]}, which this row has`,
      {
        hint: 'Use template: nanochat for sources with tool calls (gsm8k, spelling_bee), or leave them out.',
      },
    )
  }
}
