/**
 * problems: conversations of multiple-choice tasks → prompts as tokens, with their letters and the right one.
 *
 * In:  one conversations blob (format with `letters`: the question, the answer, and the letters in a message of their
 *      own), the vocabulary.   Out: one problem block and its index (problem-block.ts).
 * A prompt is nanochat's render_for_completion: the conversation without its answer, cut at 2048 tokens, then what
 * opens the assistant's turn; so one that was cut has 2049 tokens.
 */
import { type ConversationFrame, readConversations } from './conversations.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { ProblemBlockWriter } from './problem-block.ts'
import { templateOf } from './templates/index.ts'
import { TokenWriter } from './token-block.ts'
import { encoderOf, inRow } from './vocabulary-encoder.ts'

interface Params {
  readonly template: { readonly name: string; readonly version: number }
}

/** render_conversation's own limit, whatever the recipe's maxSeqLen is. */
const cutAt = 2048

export const problems = defineStage({
  name: 'problems',
  async run(call, { store, signal, progress, encoderTables }) {
    const { template } = paramsOf<Params>(call)
    const { encoder, specials } = await encoderOf(input(call, 'vocabulary'), store, encoderTables)
    const { renderer, opening } = templateOf(template.name)
    if (opening === undefined) throw new TypeError(`template ${template.name} has no opening`)
    const render = renderer(specials)
    const open = opening(specials)
    const tokens = new TokenWriter(encoder, cutAt)
    const header = new TokenWriter(encoder, cutAt)
    const writer = await store.createBlob()
    try {
      const block = new ProblemBlockWriter(writer, (letter) => encoder.encodeString(letter))
      let total = 0
      for await (const frame of readConversations(store, input(call, 'conversations'))) {
        signal.throwIfAborted()
        for (let row = 0; row < frame.rows; row++) {
          const { letters, gold } = choicesOf(frame, row)
          const sourceRow = frame.sourceRow[row]!
          try {
            tokens.begin()
            render(promptOf(frame, row), 0, tokens)
            header.begin()
            open(header)
            const prompt = new Int32Array(tokens.length + header.length)
            prompt.set(tokens.ids.subarray(0, tokens.length))
            prompt.set(header.ids.subarray(0, header.length), tokens.length)
            block.add(sourceRow, prompt, prompt.length, letters, gold)
            total += prompt.length
            progress.tokens(prompt.length)
          } catch (error) {
            throw inRow(error, call, sourceRow)
          }
          if ((row & 255) === 255) await block.flushIfFull()
        }
        await block.flushIfFull()
        progress.rows(frame.rows)
        progress.bytes(frame.text.length)
        progress.done(block.rows)
      }
      const output = await block.commit()
      const index = await store.putBlob(block.index())
      return { outputs: { tokens: output, index }, stats: { rows: block.rows, tokens: total } }
    } finally {
      await writer.abort()
    }
  },
})

/** The row without its last two messages (answer and letters), as a frame of one row. */
function promptOf(frame: ConversationFrame, row: number): ConversationFrame {
  const { rowMessages } = frame
  return {
    ...frame,
    rows: 1,
    sourceRow: frame.sourceRow.subarray(row, row + 1),
    rowMessages: Uint32Array.of(rowMessages[row]!, rowMessages[row + 1]! - 2),
  }
}

function choicesOf(frame: ConversationFrame, row: number): { letters: string[]; gold: number } {
  const { rowMessages, messageParts } = frame
  const last = rowMessages[row + 1]! - 1
  const letters: string[] = []
  for (let p = messageParts[last]!; p < messageParts[last + 1]!; p++) letters.push(textOf(frame, p))
  return { letters, gold: letters.indexOf(textOf(frame, messageParts[last - 1]!)) }
}

function textOf({ text, partText }: ConversationFrame, part: number): string {
  const start = partText[part]!
  return Buffer.from(text.buffer, text.byteOffset + start, partText[part + 1]! - start).toString('utf8')
}
