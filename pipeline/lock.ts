/**
 * The lock: a recipe with every moving reference pinned. Plain JSON; what a build is made from, and what a user
 * commits to reproduce it. Two builds with equal locks have equal outputs.
 */
import type { Digest, Json } from '../store/types.ts'
import { canonicalJson, digestOfText } from './keys.ts'

/** A file whose content is pinned: by its sha256, or (small files of the hub) by git's blob hash and its size. */
export interface LockedFile {
  /** Path in the repository, or as the recipe writes it; POSIX separators. For people and errors. */
  readonly path: string
  readonly bytes: number
  readonly sha256?: Digest
  readonly gitOid?: string
  /** Of a shard's main file that is mixed in: conversations that begin in the shard. */
  readonly conversations?: number
  /** Where to get it; absent for files that were imported into the store when the recipe was resolved. */
  readonly hub?: {
    readonly repo: string
    readonly revision: string
    readonly commit: string
    /** Absent: a dataset. */
    readonly type?: 'model'
  }
}

export type Origin =
  | {
      readonly kind: 'hub'
      readonly repo: string
      readonly revision: string
      readonly commit: string
      readonly subset: string
      readonly split: string
      /** The glob the recipe asked for, when it named one. */
      readonly files?: string
    }
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'generated'; readonly items: number }
  /** A split of an output folder: the digest of the lock it was built from. */
  | { readonly kind: 'built'; readonly path: string; readonly split: string; readonly lockDigest: Digest }
  | { readonly kind: 'absent'; readonly path: string }

export interface LockedSource {
  readonly task: string
  /** The name under which config.json and the report count it. */
  readonly label: string
  readonly origin: Origin
  /** How the files are read: parquet tables, JSON lines, or not at all (generated). */
  readonly reader: 'parquet' | 'jsonl' | 'none'
  readonly files: readonly LockedFile[]
  /** Files that shape every row (word list, phrasebook), by their role. */
  readonly aux: Readonly<Record<string, LockedFile>>
  /** What goes to the format stage beside the rows: source name, version, options. */
  readonly format: Json
  /** Seed of the source's own NumPy permutation, or null for the file's order. */
  readonly seed: number | null
  readonly start: number
  readonly stop: number | null
  readonly step: number
  readonly repeat: number
  /** What is done with rows without a trained token, and with rows of more than maxSeqLen tokens; absent: kept, cut. */
  readonly onUntrained?: 'drop' | 'fail'
  readonly tooLong?: 'drop' | 'fail'
}

/** An output format: what the shard stage needs to know of it, and how it wants its shards cut. */
export interface LockedOutput {
  readonly format: string
  readonly version: number
  readonly options?: { readonly [name: string]: Json }
  /** Absent: after every shardTokens tokens, where a conversation may go on in the next shard. */
  readonly cut?: Cut
}

/** How a split is cut into shards: between conversations, or between rows that are packed from them. */
export type Cut = 'conversations' | { readonly rowTokens: number; readonly buffer: number }

/** What the locks of all kinds have. */
export interface CommonLock {
  readonly schema: 1
  readonly kind: string
  readonly name: string
  readonly tokenizer: {
    readonly kind: string
    readonly name: string
    readonly file: LockedFile
    /** Added tokens inside a text become their ids; absent: they are ordinary text. */
    readonly addedTokens?: 'recognise'
  }
  readonly template: {
    readonly name: string
    readonly version: number
    readonly specials: readonly string[]
    /** Of templates that have any. */
    readonly options?: {
      readonly maskAssistantHeader?: boolean
      readonly variables?: Readonly<Record<string, Json>>
    }
    /** Of a template that is a file, or two: by role. */
    readonly files?: Readonly<Record<string, LockedFile>>
  }
  readonly maxSeqLen: number
  readonly onBadRow: { readonly policy: 'fail' | 'quarantine'; readonly limit: number }
  /** The splits' names as they are built and numbered; absent: val, train. JSON objects have no order to rely on. */
  readonly splitOrder?: readonly string[]
  readonly splits: Readonly<Record<string, readonly LockedSource[]>>
}

/** Chat conversations → token and mask shards. */
export interface SftLock extends CommonLock {
  readonly kind: 'sft'
  readonly shardTokens: number
  /** Of all files; absent: llm.c pairs. */
  readonly output?: LockedOutput
  readonly dtype: 'auto' | 'uint16' | 'uint32'
  readonly shuffle: { readonly kind: 'python' | 'numpy' | 'seedrandom' | 'none'; readonly seed: number }
}

/** Shards that were built before → new ones, mixed anew. Tokenizer and template are those of the first folder. */
export interface MixLock extends Omit<SftLock, 'kind'> {
  readonly kind: 'mix'
  /** What all of them were made with. */
  readonly vocabulary: {
    readonly digest: Digest
    readonly bytes: number
    readonly size: number
    readonly bosId: number | null
  }
}

/** Kinds whose output is shards. */
export type ShardsLock = SftLock | MixLock

/** How the import stage reads the shards of a source, its `format`: whichever of these a shard's key depends on. */
export interface ShardSource {
  readonly dtype: 'uint16' | 'uint32'
  readonly vocabularySize: number
  /** Absent where conversations need not begin with a certain token. */
  readonly bosId?: number
  /** Absent: llm.c pairs. */
  readonly output?: Omit<LockedOutput, 'cut'>
}

/** Of a source that is built shards: `files` holds a shard's files one after the other, in the order of `roles`. */
export interface ShardSourceFormat {
  readonly shard: ShardSource
  readonly roles: readonly string[]
  /** So many shards more may hold the rest of a conversation. */
  readonly following: number
}

/** The one split of a chat evaluation. */
export const evalSplit = 'eval'

/** Multiple-choice tasks → problems as prompts of tokens, a file each. Its one split is called eval. */
export interface ChatEvalLock extends CommonLock {
  readonly kind: 'chat-eval'
  /** The files' format. */
  readonly output: { readonly name: string; readonly version: number }
}

/** What is built, and how, is chosen by `kind`: pipeline/kinds/index.ts and output/kinds/index.ts are the tables. */
export type Lock = SftLock | MixLock | ChatEvalLock
export type Kind = Lock['kind']

/** The splits of a lock that says nothing of their order. */
export const usualSplits = ['val', 'train']

/** The splits in the order in which they are built: train comes last, since all others are verified before it. */
export function splitNames({ splitOrder }: Pick<Lock, 'splitOrder'>): readonly string[] {
  return splitOrder ?? usualSplits
}

/** The sources of all splits. */
export function sourcesOf(lock: Pick<Lock, 'splitOrder' | 'splits'>): LockedSource[] {
  return splitNames(lock).flatMap((name) => lock.splits[name] ?? [])
}

/** Every file that a build of the lock reads; those of a mix were tokenized before. */
export function filesOf(
  lock: Pick<Lock, 'kind' | 'tokenizer' | 'template' | 'splitOrder' | 'splits'>,
): LockedFile[] {
  return [
    ...(lock.kind === 'mix' ? [] : [lock.tokenizer.file, ...Object.values(lock.template.files ?? {})]),
    ...sourcesOf(lock).flatMap(({ files, aux }) => [...files, ...Object.values(aux)]),
  ]
}

/** The build's id: equal locks, equal id. */
export function lockDigest(lock: Lock): Digest {
  return digestOfText(canonicalJson(lock as unknown as Json))
}
