import type { Json } from '../../store/types.ts'
import type { OutputFormat, OutputOptions } from './define-output.ts'
import { jsonl } from './jsonl.ts'
import { llmcBin } from './llmc-bin.ts'
import { mds } from './mds.ts'
import { megatron } from './megatron.ts'
import { npy } from './npy.ts'
import { packed } from './packed.ts'
import { parquet } from './parquet.ts'
import { pt } from './pt.ts'
import { text } from './text.ts'

/** Every output format a recipe can name; the first one is meant when it names none. */
export const outputFormats: readonly OutputFormat[] = [
  llmcBin,
  jsonl,
  parquet,
  pt,
  npy,
  megatron,
  mds,
  packed,
  text,
]

/** A format and its options, as locks and stage params have them; absent: llm.c pairs. */
export interface ChosenOutput {
  readonly format: string
  readonly version: number
  readonly options?: OutputOptions
}

export function outputFormatOf(chosen: ChosenOutput | Json | undefined): {
  readonly format: OutputFormat
  readonly options: OutputOptions
} {
  const { format: name, options = {} } = (chosen ?? { format: llmcBin.name }) as unknown as ChosenOutput
  const format = outputFormats.find((candidate) => candidate.name === name)
  if (format === undefined) throw new TypeError(`no output format '${name}'`)
  return { format, options }
}

/** The shard that a path names a file of: its stem, and which of its files that is. */
export function shardOf(
  { files, stems, isNamed }: OutputFormat,
  path: string,
  options: OutputOptions = {},
): { readonly stem: string; readonly role: string } | undefined {
  // `_mask.bin` also ends with `.bin`: the longest suffix is meant.
  const bySuffix = [...files].sort((a, b) => b.suffix.length - a.suffix.length)
  const file = bySuffix.find(({ suffix }) => path.endsWith(suffix))
  if (file === undefined) return undefined
  const stem = path.slice(0, -file.suffix.length)
  return stems.test(stem) || isNamed?.(stem, options) === true ? { stem, role: file.role } : undefined
}

/** File names of a shard by role. */
export function shardNames({ files }: OutputFormat, stem: string): Record<string, string> {
  return Object.fromEntries(files.map(({ role, suffix }) => [role, stem + suffix]))
}
