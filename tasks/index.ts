/**
 * The task library: nanochat's tasks as objects with the same conversations, in the same order, judged in the same way.
 *
 *   import { openGsm8k, TaskMixture } from 'shardmill/tasks'
 *
 *   const task = await openGsm8k({ subset: 'main', split: 'test', stop: 420 }, { store: '.shardmill' })
 *   task.length                       // 420
 *   const problem = await task.conversation(0)
 *   task.evaluate(problem, '#### 18') // 0 or 1
 */
export { evaluateAnswer, evaluateLetter, extractAnswer } from './answers.ts'
export type { Conversation, Message, Part } from './conversation.ts'
export type { TaskContext } from './files.ts'
export { evaluateProgram } from './humaneval.ts'
export {
  AnswerTask,
  type HubTaskOptions,
  LetterTask,
  openArc,
  openCustomJson,
  openGsm8k,
  openHumanEval,
  openMmlu,
  openSimpleSpelling,
  openSmolTalk,
  openSpellingBee,
  openTask,
  ProgramTask,
  SourceTask,
  type SpellingOptions,
  type TaskOptions,
} from './open.ts'
export { extractImports, extractProgram, humanEvalProgram } from './program.ts'
export { type ProgramResult, type RunOptions, runPython, runsApart } from './sandbox.ts'
export { type EvalType, type Origin, type Slice, Task, TaskMixture, TaskSequence } from './task.ts'
