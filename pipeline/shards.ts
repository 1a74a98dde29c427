/** A split's shards: each written from its segment, then read again and held against it. */
import type { BlobRef, Digest } from '../store/types.ts'
import { fanOut, number, type ShardContext } from './context.ts'
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
  { dtype, vocabularySize, bosId }: ShardContext,
  run: Runner,
): Promise<ShardResult> {
  const shard = await run.stage({ stage: 'shard', title, params: { dtype }, inputs: { segment } })
  const tokenFile = shard.outputs['tokens']!
  const maskFile = shard.outputs['mask']!
  const verified = await run.stage({
    stage: 'verify',
    title,
    params: { dtype, vocabularySize, bosId },
    inputs: { segment, tokens: tokenFile.digest, mask: maskFile.digest },
  })
  return {
    tokens: number(verified, 'tokens'),
    tokenFile,
    maskFile,
    shardKey: shard.key,
    verifyKey: verified.key,
  }
}

export const shardsPart: Part<ShardsArgs, Long<ShardResult>> = { name: 'buildShards', run: buildShardPage }
