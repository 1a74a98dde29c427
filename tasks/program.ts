/** HumanEval: from a model's completion to the program that is run against the tests. */
import { strip } from '../stages/sources/spelling/words.ts'
import type { Conversation } from './conversation.ts'

/**
 * The import lines that a prompt begins with, one a line. Blank lines and comments between them are left out; anything
 * else ends them.
 */
export function extractImports(prompt: string): string {
  const imports: string[] = []
  for (const line of prompt.split('\n')) {
    const statement = strip(line)
    if (statement.startsWith('import ') || statement.startsWith('from ')) imports.push(statement)
    else if (statement !== '' && !statement.startsWith('#')) break
  }
  return imports.join('\n')
}

const fence = '```'
const closing = `\n${fence}`
/** Python's `\s`: unlike JavaScript's it takes U+001C to U+001F and U+0085, and not U+FEFF. */
const whitespace = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*/y

/**
 * The code of a completion, stripped: what stands in the first fenced block, or all of it when there is none. As the
 * reference's pattern finds it: the fence is plain or says `python`, and the closing one begins a line. By hand and in
 * linear time, since a model may write anything.
 */
export function extractProgram(completion: string): string {
  // Past the last closing fence no block can end: then only the shortest form is left, a fence of blank lines.
  const lastClosing = completion.lastIndexOf(closing)
  for (let open = completion.indexOf(fence); open >= 0; open = completion.indexOf(fence, open + 1)) {
    let from = open + fence.length
    if (completion.startsWith('python', from)) from += 'python'.length
    whitespace.lastIndex = from
    whitespace.test(completion)
    const run = completion.slice(from, whitespace.lastIndex)
    const newline = from + run.lastIndexOf('\n')
    if (newline < from) continue
    if (lastClosing > newline)
      return strip(completion.slice(newline + 1, completion.indexOf(closing, newline + 1)))
    // The newline before the fence is the block's last one; an earlier one must open it.
    const isBlank = completion.startsWith(closing, newline) && run.indexOf('\n') < newline - from
    if (isBlank) return ''
  }
  return strip(completion)
}

/** The whole program: the prompt's imports, the completion's code, the tests, and the call that runs them. */
export function humanEvalProgram(
  { messages, test, entry_point: entryPoint }: Conversation,
  completion: string,
): string {
  const prompt = messages[0]?.content
  if (typeof prompt !== 'string' || test === undefined || entryPoint === undefined) {
    throw new TypeError('a HumanEval conversation has a prompt, test and entry_point')
  }
  return `${extractImports(prompt)}\n\n${extractProgram(completion)}\n\n${test}\ncheck(${entryPoint})`
}
