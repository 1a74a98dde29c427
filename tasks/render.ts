/** A conversation as a chat template writes it: its tokens, and which of them are trained on. */
import { buildTables, createEncoder } from '../bpe/index.ts'
import { templateOf } from '../stages/templates/index.ts'
import { TokenWriter } from '../stages/token-block.ts'
import { readTokenizer } from '../stages/tokenizers/index.ts'
import type { StoredVocabulary } from '../stages/tokenizers/vocabulary.ts'
import { type Conversation, frameOf } from './conversation.ts'

export interface Rendered {
  readonly ids: Uint32Array
  /** 1 where a token is trained on. */
  readonly mask: Uint8Array
  /** The conversation reached `maxTokens`, and may have been cut. */
  readonly full: boolean
}

export interface Renderer {
  readonly vocabulary: StoredVocabulary
  render(conversation: Conversation): Promise<Rendered>
  /**
   * The prompt that asks for the last message, which must be the assistant's: the conversation without it, cut at
   * `maxTokens`, then what opens an assistant's turn (nanochat's render_for_completion). Nothing is trained on.
   * @throws RangeError when the last message is not the assistant's
   */
  renderForCompletion(conversation: Conversation): Promise<Rendered>
}

export interface RendererOptions {
  /** `nanochat` for a tokenizer.pkl, `tiktoken` for a tiktoken encoding's file. */
  readonly kind: string
  readonly file: Uint8Array
  /** For errors. */
  readonly name: string
  readonly template: string
  readonly maxTokens: number
}

/** Errors: BAD_TOKENIZER for a file that is not what `kind` says. */
export function createRenderer({ kind, file, name, template, maxTokens }: RendererOptions): Renderer {
  const { specials, renderer, opening } = templateOf(template)
  const vocabulary = readTokenizer(kind, file, name, specials)
  const encoder = createEncoder(buildTables(vocabulary))
  const tokens = new TokenWriter(encoder, maxTokens)
  const write = renderer(vocabulary.specials)
  async function render({ messages }: Pick<Conversation, 'messages'>): Promise<Rendered> {
    const frame = await frameOf(messages)
    tokens.begin()
    write(frame, 0, tokens)
    tokens.end()
    return {
      ids: Uint32Array.from(tokens.ids.subarray(0, tokens.length)),
      mask: maskOf(tokens),
      full: tokens.length === maxTokens,
    }
  }
  return {
    vocabulary,
    render,
    async renderForCompletion({ messages }) {
      if (opening === undefined) throw new TypeError(`template ${template} opens no answer`)
      if (messages.at(-1)?.role !== 'assistant')
        throw new RangeError('the last message is not the assistant’s')
      const prompt = await render({ messages: messages.slice(0, -1) })
      const header = new TokenWriter(encoder, maxTokens)
      header.begin()
      opening(vocabulary.specials)(header)
      const ids = Uint32Array.from([...prompt.ids, ...header.ids.subarray(0, header.length)])
      return { ids, mask: new Uint8Array(ids.length), full: prompt.full }
    },
  }
}

/** From lengths of alternating runs, untrained first, to one number a token. */
function maskOf({ runs, runCount, length }: TokenWriter): Uint8Array {
  const mask = new Uint8Array(length)
  let at = 0
  for (let r = 0; r < runCount; r++) {
    const end = at + runs[r]!
    if (r % 2 === 1) mask.fill(1, at, end)
    at = end
  }
  return mask
}
