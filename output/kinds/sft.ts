/** kinds sft and mix. Shards in the recipe's output format, numbered over all splits. */
import { z } from 'zod'
import { type LockedSource, type ShardsLock, splitNames } from '../../pipeline/lock.ts'
import type { SftResult, SplitResult } from '../../pipeline/results.ts'
import type { FinishedShard } from '../../stages/outputs/define-output.ts'
import { outputFormatOf, shardNames } from '../../stages/outputs/index.ts'
import { sha256 } from '../../store/digest.ts'
import type { BlobRef } from '../../store/types.ts'
import type { OutputFile } from '../manifest.ts'
import { checkSft } from '../verify-sft.ts'
import type { OutputKind } from './define-kind.ts'

/** What a manifest of this kind says beside what all say. */
export interface SftFacts {
  readonly dtype: 'uint16' | 'uint32'
  readonly splits: Readonly<Record<string, unknown>>
  /** Distinct conversations that stand in train and in another split, added up over the others. */
  readonly overlap: number
  /** For each of them, where there are others than val. */
  readonly overlaps?: Readonly<Record<string, number>>
}

export const sft: OutputKind<ShardsLock, SftResult> = {
  files: filesOf,
  config: configOf,
  facts: (_lock, { dtype, vocabularySize, bosId, splits, overlap, overlaps }) => ({
    ...{ dtype, vocabularySize, bosId },
    splits: Object.fromEntries(Object.entries(splits).map(([name, split]) => [name, splitFacts(split)])),
    overlap,
    ...(overlaps === undefined ? {} : { overlaps }),
  }),
  schema: z.looseObject({ dtype: z.enum(['uint16', 'uint32']) }),
  rejects: ({ splits }) => Object.entries(splits).map(([split, { rejects }]) => ({ split, rejects })),
  check: checkSft,
}

function filesOf(lock: ShardsLock, result: SftResult): OutputFile[] {
  const { format, options } = outputFormatOf(lock.output)
  const files: OutputFile[] = []
  let number = 0
  for (const [split, { shards }] of Object.entries(result.splits)) {
    const finished: FinishedShard[] = []
    for (const shard of shards) {
      const names = shardNames(format, format.stem(split, number++, finished.length, options))
      for (const { role } of format.files) {
        const common = { split, tokens: shard.tokens, stage: shard.shardKey }
        files.push({ path: names[role]!, ...facts(shard.files[role]!), role, ...common })
      }
      const { tokens, conversations } = shard
      const bytes = Object.fromEntries(Object.entries(shard.files).map(([role, ref]) => [role, ref.bytes]))
      finished.push({ names, bytes, tokens, conversations })
    }
    const of = { dtype: result.dtype, bosId: result.bosId ?? 0, options }
    for (const { path, role, content } of format.splitFiles?.(split, finished, of) ?? [])
      files.push({ path, bytes: content.length, sha256: sha256(content), role, split, content })
  }
  return files
}

function facts({ digest, bytes }: BlobRef) {
  return { bytes, sha256: digest, blob: digest }
}

function splitFacts({
  conversations,
  tokens,
  trainedTokens,
  truncated,
  shards,
  sources,
  rejects,
}: SplitResult) {
  return {
    conversations,
    tokens,
    trainedTokens,
    truncated,
    shards: shards.length,
    sources,
    rejects: rejects.map(({ label, file, rows }) => ({ label, file, rows })),
  }
}

/** config.json of the reference: its fields, in its order; splits of other names in the places of val and train. */
function configOf(lock: ShardsLock, { splits, vocabularySize, bosId }: SftResult) {
  const names = splitNames(lock)
  const figures = names.map((name) => {
    const { conversations, tokens, shards, truncated } = splits[name]!
    return {
      [`${name}_conversations`]: conversations,
      [`${name}_tokens`]: tokens,
      [`${name}_shards`]: shards.length,
      [`${name}_truncated`]: truncated,
    }
  })
  const counts = names.map((name) => ({
    [`${name}_source_counts`]: sourceCounts(lock.splits[name]!, splits[name]!),
  }))
  return {
    max_seq_len: lock.maxSeqLen,
    shard_size: lock.shardTokens,
    bos_id: bosId,
    vocab_size: vocabularySize,
    ...Object.assign({}, ...figures, ...counts.reverse()),
  }
}

/** Conversations by label, repeats counted; sources with one label are added up. */
function sourceCounts(sources: readonly LockedSource[], split: SplitResult): Map<string, number> {
  const counts = new Map<string, number>()
  sources.forEach(({ label }, i) => {
    counts.set(label, (counts.get(label) ?? 0) + (split.sources[i]?.conversations ?? 0))
  })
  return counts
}
