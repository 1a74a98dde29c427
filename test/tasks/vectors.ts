import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Conversation } from '../../tasks/index.ts'

interface Outcome {
  readonly success: boolean
  readonly stdout: string
  readonly error: string | null
  readonly timeout: boolean
  readonly memory_exceeded: boolean
}

/** What the original task classes gave on tiny tables; see the file's `note`. */
export interface Vectors {
  readonly arc: readonly Conversation[]
  readonly mmlu: readonly Conversation[]
  readonly gsm8k: readonly Conversation[]
  readonly smoltalk: readonly Conversation[]
  readonly humaneval: readonly Conversation[]
  readonly customjson: readonly Conversation[]
  readonly slices: readonly [
    { start?: number; stop?: number; step?: number },
    number | string,
    readonly string[] | string,
  ][]
  readonly mixture_index_map_4_4_2: readonly (readonly [number, number])[]
  readonly mixture_first_user: readonly string[]
  readonly sequence_first_user: readonly string[]
  readonly mixture_maps: Readonly<
    Record<string, { n: number; first10: [number, number][]; sha256_i64le_pairs: string }>
  >
  readonly extract_answer: readonly [string, string | null][]
  readonly gsm8k_eval: {
    readonly conversation: Conversation
    readonly cases: readonly [string, 0 | 1, number][]
    readonly no_gold_none_equals_none: readonly [0 | 1, 0 | 1]
  }
  readonly extract_imports: readonly [string, string][]
  readonly extract_program: readonly [string, string][]
  readonly humaneval_eval: {
    readonly conversation: Conversation
    readonly cases: readonly [string, boolean][]
  }
  readonly execute_code: readonly [string, Outcome][]
}

export const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/vectors/nanochat.json'), 'utf8'),
) as Vectors
