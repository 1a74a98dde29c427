/** Conversations out of a shard, for people to look at. */
import { join } from 'node:path'
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import { DiskFile } from '../stages/outputs/byte-files.ts'
import type { Dtype, Piece, ShardReader, Values } from '../stages/outputs/define-output.ts'
import { findFolder } from './find-folder.ts'
import { asSft, beginsWithBos, formatOf, mainFiles, namesOfShard, type SftManifest } from './find-shard.ts'

export interface ShardConversation {
  /** Position of its first token in the shard. */
  readonly start: number
  readonly ids: Values
  readonly mask: Piece['mask']
  /** False when it begins before or ends after this shard; null when the next shard, which would tell, is not there. */
  readonly whole: boolean | null
}

interface Wanted {
  /** A token's position in the shard. */
  readonly at: number
  readonly conversations: number
  /** Absent: the split's first token is taken for the one that conversations, or turns, begin with. */
  readonly bosId: number | undefined
}

export interface ReadShard {
  readonly format: string
  readonly dtype: Dtype
  readonly tokens: number
  /**
   * What `conversations` are. Where a format does not keep conversations apart and a template begins turns with its
   * first token too, the folder does not tell where a conversation begins.
   */
  readonly unit: 'conversation' | 'turn' | 'unknown'
  /** The token that each of them begins with; absent where the format keeps conversations apart. */
  readonly opener?: number
  readonly conversations: readonly ShardConversation[]
}

const stepTokens = 1 << 16

/** `conversations` conversations from the one that holds token `at`; reads no more of the files than that needs. */
export async function readShard(path: string, wanted: Wanted): Promise<ReadShard> {
  const folder = await findFolder(path)
  if (folder === undefined)
    throw new ShardmillError('OUTPUT', `${path} lies in no folder with a manifest.json`, {
      hint: 'Name a shard in a folder that `shardmill build --out` has written.',
    })
  const { dir, name } = folder
  const manifest = asSft(folder.manifest, dir)
  const { format, facts } = formatOf(manifest)
  const names = namesOfShard(dir, name, manifest)
  const files: Record<string, DiskFile> = {}
  try {
    for (const [role, file] of Object.entries(names)) files[role] = await openFile(join(dir, file))
    const reader = await format.open(files, facts)
    const tokens = reader.tokens ?? manifest.files.find((file) => file.path === name)?.tokens ?? 0
    if (wanted.at >= tokens)
      throw new ShardmillError('USAGE', `--at ${wanted.at} is past the end: ${path} has ${tokens} tokens`)
    const shard = { format: format.name, dtype: facts.dtype, tokens }
    if (reader.range === undefined)
      return { ...shard, unit: 'conversation', conversations: await wholeConversations(reader, wanted) }
    const opener =
      wanted.bosId ?? (await firstTokenOfSplit(dir, name, manifest)) ?? (await reader.range(0, 1)).ids[0] ?? 0
    const after = () => firstTokenAfter(dir, name, manifest)
    const conversations = await conversationsFrom(opener, reader.range, tokens, wanted, after)
    return { ...shard, unit: beginsWithBos(manifest), opener, conversations }
  } finally {
    for (const file of Object.values(files)) await file.close()
  }
}

async function openFile(path: string): Promise<DiskFile> {
  try {
    return await DiskFile.open(path, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ShardmillError(
      'OUTPUT',
      `${path}: ${code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`}`,
      { hint: 'Name a shard in a folder that `shardmill build --out` has written.' },
    )
  }
}

/** The token that the split goes on with after this shard; null where that is not there or damaged. */
async function firstTokenAfter(
  dir: string,
  name: string,
  manifest: SftManifest,
): Promise<number | null | 'end'> {
  const shards = shardsBeside(name, manifest)
  const place = shards.indexOf(name)
  if (place < 0) return null
  const next = shards[place + 1]
  return next === undefined ? 'end' : firstTokenOf(dir, next, manifest)
}

async function firstTokenOfSplit(dir: string, name: string, manifest: SftManifest): Promise<number | null> {
  const [first] = shardsBeside(name, manifest)
  return first === undefined ? null : firstTokenOf(dir, first, manifest)
}

/** The main files of the split that a shard is of, in order. */
function shardsBeside(name: string, manifest: SftManifest): string[] {
  const split = manifest.files.find(({ path }) => path === name)?.split
  return split === undefined ? [] : mainFiles(manifest, split).map(({ path }) => path)
}

/** Reads the files' heads and one token. */
async function firstTokenOf(dir: string, name: string, manifest: SftManifest): Promise<number | null> {
  const { format, facts } = formatOf(manifest)
  const files: Record<string, DiskFile> = {}
  try {
    for (const [role, file] of Object.entries(namesOfShard(dir, name, manifest)))
      files[role] = await openFile(join(dir, file))
    const { range } = await format.open(files, facts)
    return (await range?.(0, 1))?.ids[0] ?? null
  } catch (error) {
    // Whatever is wrong with it, the shard that was asked for is not.
    if (isShardmillError(error) || (error as NodeJS.ErrnoException).code !== undefined) return null
    throw error
  } finally {
    for (const file of Object.values(files)) await file.close()
  }
}

/** From a format that keeps conversations apart. */
async function wholeConversations(
  reader: ShardReader,
  { at, conversations }: Wanted,
): Promise<ShardConversation[]> {
  const found: ShardConversation[] = []
  let start = 0
  for await (const { ids, mask, lengths = [] } of reader.pieces()) {
    let from = 0
    for (const length of lengths) {
      if (start + length > at) {
        const part = { ids: ids.slice(from, from + length), mask: mask.slice(from, from + length) }
        found.push({ start, ...part, whole: true })
        if (found.length === conversations) return found
      }
      from += length
      start += length
    }
  }
  return found
}

/** From a run of tokens: whatever begins with `opener`. */
async function conversationsFrom(
  opener: number,
  range: NonNullable<ShardReader['range']>,
  tokens: number,
  { at, conversations: count }: Wanted,
  after: () => Promise<number | null | 'end'>,
): Promise<ShardConversation[]> {
  /** Whether one that goes up to the shard's end ends there. */
  const endsThere = async () => {
    const next = await after()
    return next === null ? null : next === 'end' || next === opener
  }
  const conversations: ShardConversation[] = []
  let start = await lastBefore(range, at, opener)
  while (conversations.length < count && start < tokens) {
    const end = await next(range, start + 1, tokens, opener)
    const { ids, mask } = await range(start, end)
    const own = { ids: ids.slice(), mask: mask.slice() }
    const whole = own.ids[0] === opener && (end < tokens || (await endsThere()))
    conversations.push({ start, ...own, whole })
    start = end
  }
  return conversations
}

/** The last `id` at or before `at`, or 0. */
async function lastBefore(range: NonNullable<ShardReader['range']>, at: number, id: number): Promise<number> {
  for (let end = at + 1; end > 0; end -= stepTokens) {
    const from = Math.max(0, end - stepTokens)
    const found = (await range(from, end)).ids.lastIndexOf(id)
    if (found >= 0) return from + found
  }
  return 0
}

/** The first `id` at or after `from`, or the end. */
async function next(
  range: NonNullable<ShardReader['range']>,
  from: number,
  tokens: number,
  id: number,
): Promise<number> {
  for (let at = from; at < tokens; at += stepTokens) {
    const found = (await range(at, Math.min(tokens, at + stepTokens))).ids.indexOf(id)
    if (found >= 0) return at + found
  }
  return tokens
}
