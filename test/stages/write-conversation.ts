import { type ConversationWriter, partTypes, roles } from '../../stages/conversations.ts'

export interface Message {
  role: string
  content: string | { type: string; text: string }[]
}

/** Begins row `row` and writes its messages; the caller ends or drops it. */
export function write(out: ConversationWriter, messages: readonly Message[], row: number): void {
  out.beginRow(row)
  for (const { role, content } of messages) {
    const code = roles.indexOf(role as (typeof roles)[number])
    if (typeof content === 'string') {
      out.beginMessage(code)
      out.appendString(content)
    } else {
      out.beginListMessage(code)
      for (const part of content) {
        out.beginPart(partTypes.indexOf(part.type as (typeof partTypes)[number]))
        out.appendString(part.text)
      }
    }
  }
}
