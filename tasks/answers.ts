/** How answers are judged that need no program to run: letters and numbers. */
import { ShardmillError } from '../errors/index.ts'
import type { Conversation, Part } from './conversation.ts'

/**
 * ARC, MMLU: whether `letter` is the answer.
 *
 * Errors: USAGE for a response that is none of the conversation's letters: whoever asks narrows the model's choice to
 * them first.
 */
export function evaluateLetter({ letters = [], messages }: Conversation, letter: string): boolean {
  if (!letters.includes(letter)) {
    throw new ShardmillError(
      'USAGE',
      `response ${JSON.stringify(letter)} is none of the letters ${letters.join(', ')}`,
      {
        hint: 'Narrow the answer to the conversation’s letters before it is judged.',
      },
    )
  }
  return letter === messages.at(-1)?.content
}

/** The number after the first `#### `, without thousands separators; null where there is none. */
export function extractAnswer(text: string): string | null {
  const found = /#### (-?[0-9.,]+)/.exec(text)
  return found === null ? null : found[1]!.replaceAll(',', '')
}

/**
 * GSM8K, SpellingBee: 1 when the response's number is the one in the last part of the assistant's message, compared as
 * text (`4` is not `4.0`), else 0. Two texts without a number count as equal, as in the reference.
 *
 * Errors: USAGE for a conversation that does not end with an assistant's message of parts.
 */
export function evaluateAnswer({ messages }: Conversation, response: string): 0 | 1 {
  const last = messages.at(-1)
  const part: Part | undefined = typeof last?.content === 'string' ? undefined : last?.content.at(-1)
  if (last?.role !== 'assistant' || part === undefined) {
    throw new ShardmillError(
      'USAGE',
      'the conversation must end with an assistant’s message of parts, whose last one holds `#### answer`',
    )
  }
  return extractAnswer(part.text) === extractAnswer(response) ? 1 : 0
}
