import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Problem {
  readonly tokens: readonly number[]
  readonly answer_pos: number
  readonly letter_token_ids: readonly number[]
  readonly gold: number
  readonly example_idx: number
}

export interface ProblemFile {
  readonly task_type: 'categorical'
  readonly label: string
  readonly num_examples: number
  readonly random_baseline: number
  readonly sequences: readonly Problem[]
}

interface VectorFile {
  readonly bytes: number
  readonly sha256: string
  readonly hex?: string
  readonly content?: ProblemFile
  readonly text?: string
}

interface Vectors {
  readonly sources: Readonly<Record<'mmlu_all_test' | 'arc_easy_test' | 'arc_challenge_test', object[]>>
  readonly runs: readonly {
    readonly max_seq_len: number
    readonly files: Readonly<Record<string, VectorFile>>
  }[]
}

/** What the original pre-tokenizer wrote for tiny tables; see the file's `note`. */
export const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/vectors/chat-eval.json'), 'utf8'),
) as Vectors
