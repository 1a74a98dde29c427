/** Every format of problem files that a recipe can name. */
import type { ProblemFormat } from './define-format.ts'
import { jsonl } from './jsonl.ts'
import { parquet } from './parquet.ts'
import { pt } from './pt.ts'

export const problemFormats: readonly ProblemFormat[] = [pt, jsonl, parquet]

export function problemFormatOf(name: string): ProblemFormat {
  const format = problemFormats.find((candidate) => candidate.name === name)
  if (format === undefined) throw new TypeError(`no format of problem files '${name}'`)
  return format
}
