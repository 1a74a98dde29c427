/** A source of kind mix: the shards of an output folder's split, each imported as a token block. */
import type { Digest } from '../store/types.ts'
import { fanOut, pageOfShards, pagesAtOnce, pagesOf } from './context.ts'
import type { LockedFile, ShardSourceFormat } from './lock.ts'
import type { OutlineSource } from './results.ts'
import { type Long, lengthOf, type Part, type Runner } from './stage.ts'

type Block = {
  readonly tokens: Digest
  readonly index: Digest
}

/** Digest of the list of the source's token blocks, in the order of its shards. */
export async function importSource(split: string, source: OutlineSource, run: Runner): Promise<Digest> {
  const format = source.format as unknown as ShardSourceFormat
  const width = format.roles.length
  const of = lengthOf(source.files) / width
  run.note({ kind: 'expect', split, stage: 'import', count: of })
  const pages = await run.each(pagesOf(of, pageOfShards), pagesAtOnce, async ({ first, end }) => {
    const last = Math.min(of, end + format.following)
    const files = await run.slice(source.files, first * width, last * width)
    return run.part(
      importsPart,
      { format, title: `${split} ${source.label}`, files, first, end, of },
      {
        id: `imports-${first}`,
        title: `${split} ${source.label} shards ${first + 1}-${end} of ${of}`,
        large: of > pageOfShards,
      },
    )
  })
  return run.list([await run.pack(pages)])
}

interface ImportsArgs {
  readonly format: ShardSourceFormat
  readonly title: string
  /** Of the page's shards, and of those that follow. */
  readonly files: readonly LockedFile[]
  readonly first: number
  readonly end: number
  readonly of: number
}

async function importPage(
  { format, title, files, first, end, of }: ImportsArgs,
  run: Runner,
): Promise<Long<Block>> {
  const { shard, roles, following } = format
  const width = roles.length
  const numbers = Array.from({ length: end - first }, (_, i) => i)
  const blocks = await run.each(numbers, fanOut, async (i) => {
    const own = files.slice(i * width, (i + 1 + following) * width)
    const named = own.map((file, f) => [`${roles[f % width]}.${Math.floor(f / width)}`, file] as const)
    const { outputs } = await run.stage({
      stage: 'import',
      title: `${title} shard ${first + i + 1}/${of}`,
      params: { ...shard, conversations: own[0]!.conversations! },
      inputs: Object.fromEntries(named.map(([name, { sha256 }]) => [name, sha256!])),
      hints: { files: Object.fromEntries(named.map(([name, { path }]) => [name, path])) },
    })
    return { tokens: outputs['tokens']!.digest, index: outputs['index']!.digest }
  })
  return run.pack([blocks])
}

export const importsPart: Part<ImportsArgs, Long<Block>> = { name: 'importShards', run: importPage }
