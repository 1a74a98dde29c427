/** kind: chat-eval. A file a task, and the config.json that nanochat's evaluation goes by. */
import { z } from 'zod'
import type { ChatEvalLock } from '../../pipeline/lock.ts'
import type { ChatEvalResult, TaskResult } from '../../pipeline/results.ts'
import { problemFormatOf } from '../../stages/outputs/problem-files/index.ts'
import { checkChatEval } from '../verify-chat-eval.ts'
import type { OutputKind } from './define-kind.ts'

/** What a manifest of this kind says beside what all say. */
export interface ChatEvalFacts {
  readonly tasks: readonly {
    readonly label: string
    readonly file: string
    readonly rows: number
    readonly examples: number
    readonly skipped: number
    readonly tokens: number
    readonly randomBaseline: number
  }[]
}

export const chatEval: OutputKind<ChatEvalLock, ChatEvalResult> = {
  files: (lock, { tasks }) =>
    tasks.map(({ label, file, tokens, taskKey }) => ({
      path: fileName(lock, label),
      bytes: file.bytes,
      sha256: file.digest,
      blob: file.digest,
      role: 'problems',
      split: label,
      tokens,
      stage: taskKey,
    })),
  config: (lock, { bosId, maxSeqLen, tasks }) => ({
    max_seq_len: maxSeqLen,
    bos_id: bosId,
    tasks: tasks.map(({ label, examples, randomBaseline }) => ({
      label,
      file: fileName(lock, label),
      task_type: 'categorical',
      num_examples: examples,
      random_baseline: randomBaseline,
    })),
  }),
  facts: (lock, { vocabularySize, bosId, tasks }) => ({
    vocabularySize,
    bosId,
    tasks: tasks.map((task) => taskFacts(lock, task)),
  }),
  schema: z.looseObject({
    tasks: z.array(
      z.looseObject({
        label: z.string(),
        file: z.string(),
        examples: z.int().nonnegative(),
        randomBaseline: z.number(),
      }),
    ),
  }),
  rejects: () => [],
  check: checkChatEval,
}

function fileName({ output }: ChatEvalLock, label: string): string {
  return `${label}.${problemFormatOf(output.name).extension}`
}

function taskFacts(lock: ChatEvalLock, task: TaskResult): ChatEvalFacts['tasks'][number] {
  const { label, rows, examples, skipped, tokens, randomBaseline } = task
  return { label, file: fileName(lock, label), rows, examples, skipped, tokens, randomBaseline }
}
