/** A good recipe to spoil, and the error that parsing then gives. */
import { expect } from 'vitest'
import { isShardmillError, type ShardmillError } from '../../errors/index.ts'
import { parseRecipe } from '../../recipe/parse.ts'

/** A recipe that is good, one field a line. */
export const good = `kind: sft
name: t
tokenizer: { kind: tiktoken, encoding: gpt2 }
template: nanochat
maxSeqLen: 64
shardTokens: 100
splits:
  train:
    - { task: custom_json, path: a.jsonl }
`
/** It with one thing replaced. */
export const change = (from: string | RegExp, to: string) => {
  const text = good.replace(from, to)
  expect(text).not.toBe(good)
  return text
}

/** What parsing it fails with. */
export function refusal(text: string, settings: readonly string[] = []): ShardmillError {
  try {
    parseRecipe(text, 'r.yaml', settings)
  } catch (error) {
    if (isShardmillError(error)) return error
    throw error
  }
  throw new Error('taken')
}
