/**
 * A model's own chat template: a `chat_template.jinja`, or the one in a `tokenizer_config.json`. The text it writes is
 * tokenized whole, as transformers' apply_chat_template does, and not in parts.
 *
 * Mask contract: trained are the assistant's content, as the template writes it, and the token that ends it; where the
 * template has `{% generation %}` blocks, all that is in them, and nothing may be in them but this and white space and
 * added tokens around it. A token is trained when any of its bytes are (a space before the answer may be in its first
 * token). Everything else is not. See jinja-spans.ts for how the parts are found, and what is an error.
 */
import { ShardmillError } from '../../errors/index.ts'
import { type ConversationFrame, partTypes, roles } from '../conversations.ts'
import { BadConversation, defineTemplate, type TemplateTools, type TokenSink } from './define-template.ts'
import { type ChatMessage, compileTemplate, TemplateFault } from './jinja-engine.ts'
import { readTemplateFiles } from './jinja-file.ts'
import { createSpanFinder, type Rendered, type SpanFinder } from './jinja-spans.ts'

const roleMask = 3

export const jinja = defineTemplate({
  name: 'jinja',
  version: 1,
  // Held where the text is rendered (jinja-spans.ts): ids do not tell which part of a text a template wrote.
  contract: {
    trained: 'the assistant’s content and the token that ends it',
    untrained: 'everything else',
  },
  specials: [],
  isFile: true,
  renderer: (_ids, { variables = {} } = {}, tools) => {
    if (tools === undefined) throw new TypeError('template jinja needs its file')
    const finder = openTemplate(tools, variables)
    const encoder = tools.wholeText()

    return (frame: ConversationFrame, row: number, out: TokenSink) => {
      const { text, spans } = bad(() => finder.find(messagesOf(frame, row)))
      const { ids, from, to } = bad(() => encoder.encode(text, spans.flat()))
      let at = 0
      for (let i = 0; i < from.length; i += 2) {
        // Spans that meet in one token are one.
        const start = Math.max(at, from[i]!)
        out.tokens(ids, at, start, 0)
        at = Math.max(start, to[i + 1]!)
        out.tokens(ids, start, at, 1)
      }
      out.tokens(ids, at, ids.length, 0)
    }
  },
})

function openTemplate(tools: TemplateTools, variables: Readonly<Record<string, unknown>>): SpanFinder {
  const { source, tokens, file } = readTemplateFiles(tools)
  try {
    return createSpanFinder(compileTemplate(source, { ...tokens, ...variables }), tools.added)
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error
    throw new ShardmillError('BAD_FILE', `the chat template: ${error.message}`, {
      at: { file },
      hint: 'Name another template, give what it asks for as `variables`, or use template: chatml.',
      cause: error,
    })
  }
}

/** What is wrong with one conversation. */
function bad<T extends Rendered | object>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateFault) throw new BadConversation(`chat template: ${error.message}`)
    if (error instanceof RangeError) throw new BadConversation(error.message)
    throw error
  }
}

function messagesOf(frame: ConversationFrame, row: number): ChatMessage[] {
  const { rowMessages, messageKind, messageParts, partType, partText, text } = frame
  const messages: ChatMessage[] = []
  for (let m = rowMessages[row]!; m < rowMessages[row + 1]!; m++) {
    const first = messageParts[m]!
    const last = messageParts[m + 1]!
    for (let p = first; p < last; p++) {
      if (partType[p] !== 0)
        throw new TemplateFault(
          `a part of type ${partTypes[partType[p]!]} is no text; use template: nanochat for sources with tool calls`,
        )
    }
    // The parts of a message lie one after the other.
    const [start, end] = [partText[first]!, partText[last]!]
    const content = Buffer.from(text.buffer, text.byteOffset + start, end - start).toString()
    messages.push({ role: roles[messageKind[m]! & roleMask]!, content })
  }
  return messages
}
