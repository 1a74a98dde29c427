import type { Conversation } from './conversation.ts'
import { humanEvalProgram } from './program.ts'
import { type RunOptions, runPython } from './sandbox.ts'

/**
 * Whether a completion passes a HumanEval problem's tests. As in the reference a program that ends itself with exit code
 * 0 before they run passes as well.
 *
 * Errors: NOT_FOUND where there is no Python 3.
 */
export async function evaluateProgram(
  conversation: Conversation,
  completion: string,
  options: RunOptions = {},
): Promise<boolean> {
  return (await runPython(humanEvalProgram(conversation, completion), options)).success
}
