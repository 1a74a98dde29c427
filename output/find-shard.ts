/** Shards among the files of an output folder, by the output format that the manifest's lock names. */
import { join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import type { OutputFormat, OutputOptions, ShardFacts } from '../stages/outputs/define-output.ts'
import { outputFormatOf, shardNames, shardOf } from '../stages/outputs/index.ts'
import type { TemplateOptions } from '../stages/templates/define-template.ts'
import { templates } from '../stages/templates/index.ts'
import { openerOf } from '../stages/templates/mask-contract.ts'
import type { Digest } from '../store/types.ts'
import type { SftFacts } from './kinds/sft.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import { manifestName } from './names.ts'

export type SftManifest = Manifest & SftFacts

/** The manifest of a folder with shards. Throws an OUTPUT error for other kinds. */
export function asSft(manifest: Manifest, dir: string): SftManifest {
  const kind: string = manifest.kind
  if (kind === 'sft' || kind === 'mix') return manifest as SftManifest
  throw new ShardmillError('OUTPUT', `${dir} is of kind ${kind}, which has no shards`)
}

/** The format of a folder's shards, and what its readers need to know. */
export function formatOf({ lock, dtype, bosId }: SftManifest): {
  readonly format: OutputFormat
  readonly facts: ShardFacts
} {
  const { format, options }: { format: OutputFormat; options: OutputOptions } = outputFormatOf(lock.output)
  return { format, facts: { dtype, bosId: bosId ?? 0, options } }
}

/** What begins with a shard's BOS where the format does not keep conversations apart; `unknown` to templates that are files. */
export function beginsWithBos({ lock, bosId }: SftManifest): 'conversation' | 'turn' | 'unknown' {
  const { name, options = {} } = lock.template
  const rules = templates.find((known) => known.name === name)?.contract.rules?.(options as TemplateOptions)
  if (rules === undefined || bosId === null) return 'unknown'
  return openerOf(rules) === undefined ? 'turn' : 'conversation'
}

/** Names by role of the shard that `name` is the main file of. Throws USAGE or OUTPUT errors for other files. */
export function namesOfShard(dir: string, name: string, manifest: SftManifest): Record<string, string> {
  const { format, facts } = formatOf(manifest)
  const shard = shardOf(format, name, facts.options)
  const main = format.files[0]!
  if (shard === undefined)
    throw new ShardmillError('OUTPUT', `${join(dir, name)} is no shard of this folder (${format.name})`, {
      hint: `Name a file whose name ends with ${main.suffix}; ${manifestName} lists them.`,
    })
  const names = shardNames(format, shard.stem)
  if (shard.role !== main.role)
    throw new ShardmillError('USAGE', `${join(dir, name)} is a ${shard.role} file`, {
      hint: `Name the shard it belongs to: ${join(dir, names[main.role]!)}`,
    })
  return names
}

/** The main files of a split's shards, in order. */
export function mainFiles(manifest: SftManifest, split: string): ManifestFile[] {
  const { role } = formatOf(manifest).format.files[0]!
  return manifest.files.filter((file) => file.role === role && file.split === split)
}

/** The vocabulary that a folder's tokens are ids of, as the tokenizer stage stored it. */
export function vocabularyOf({
  lock,
  stages,
}: Manifest): { readonly digest: Digest; readonly bytes: number } | undefined {
  if (lock.kind === 'mix') return lock.vocabulary
  return stages.find(({ stage }) => stage === 'tokenizer')?.outputs['vocabulary']
}
