/** JSON lines, one a problem, as Python's json.dumps writes it; label and baseline are in config.json. */
import type { ProblemFormat } from './define-format.ts'

const fullChars = 1 << 20

export const jsonl: ProblemFormat = {
  name: 'jsonl',
  version: 1,
  extension: 'jsonl',
  about: 'one JSON object a problem, for anything that reads lines',
  async write({ examples }, problem, sink) {
    let text = ''
    for (let i = 0; i < examples; i++) {
      const { tokens, letterTokenIds, gold, exampleIdx } = problem(i)
      const letters = letterTokenIds.join(', ')
      text += `{"tokens": [${Array.from(tokens).join(', ')}], "answer_pos": ${tokens.length - 1}, "letter_token_ids": [${letters}], "gold": ${gold}, "example_idx": ${exampleIdx}}\n`
      if (text.length < fullChars) continue
      await sink(Buffer.from(text))
      text = ''
    }
    if (text !== '') await sink(Buffer.from(text))
  },
  read: function* (file, head) {
    let count = 0
    for (let line = file.line(); line !== undefined; line = file.line()) {
      count++
      let value: Record<string, unknown>
      try {
        value = JSON.parse(line) as Record<string, unknown>
      } catch {
        return file.fail(`line ${count} is not JSON`)
      }
      const { tokens, letter_token_ids: letters, answer_pos: answer, gold, example_idx: index } = value ?? {}
      if (!isInts(tokens) || !isInts(letters) || !isInts([answer, gold, index]))
        return file.fail(`line ${count} is no problem`)
      if (answer !== tokens.length - 1)
        return file.fail(`line ${count} has answer_pos ${answer} for a prompt of ${tokens.length} tokens`)
      yield { tokens, letterTokenIds: letters, gold: gold as number, exampleIdx: index as number }
    }
    if (head !== undefined && count !== head.examples)
      file.fail(`has ${count} problems, expected ${head.examples}`)
  },
}

function isInts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0)
}
