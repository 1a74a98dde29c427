/** A split's shards: each written from its segment, then read again and held against it. */
import type { BlobRef, Digest } from '../store/types.ts'
import { fanOut, number, present, type ShardContext } from './context.ts'
import type { ShardResult } from './results.ts'
import type { Long, Part, Runner } from './stage.ts'

interface ShardsArgs {
  readonly context: ShardContext
  readonly split: string
  readonly segments: readonly BlobRef[]
  readonly first: number
  readonly of: number
}

async function buildShardPage(
  { context, split, segments, first, of }: ShardsArgs,
  run: Runner,
): Promise<Long<ShardResult>> {
  const shards = await run.each(segments, fanOut, ({ digest }, i) =>
    buildShard(digest, `${split} shard ${first + i + 1}/${of}`, context, run),
  )
  return run.pack([shards])
}

async function buildShard(
  segment: Digest,
  title: string,
  { dtype, vocabularySize, bosId, output }: ShardContext,
  run: Runner,
): Promise<ShardResult> {
  const format = present('output', output)
  const shard = await run.stage({
    stage: 'shard',
    title,
    params: { dtype, ...(output === undefined || bosId === null ? {} : { bosId }), ...format },
    inputs: { segment },
  })
  const digests = Object.entries(shard.outputs).map(([role, { digest }]) => [role, digest] as const)
  const verified = await run.stage({
    stage: 'verify',
    title,
    params: { dtype, vocabularySize, ...(bosId === null ? {} : { bosId }), ...format },
    inputs: { segment, ...Object.fromEntries(digests) },
  })
  return {
    tokens: number(verified, 'tokens'),
    conversations: number(verified, 'conversations'),
    files: shard.outputs,
    shardKey: shard.key,
    verifyKey: verified.key,
  }
}

export const shardsPart: Part<ShardsArgs, Long<ShardResult>> = { name: 'buildShards', run: buildShardPage }
