/** What a build passes about and comes to: plain JSON, with lists that may be stored elsewhere. */
import type { BlobRef, Digest } from '../store/types.ts'
import type { Lock, LockedFile, LockedSource } from './lock.ts'
import type { Long } from './stage.ts'

export interface ShardResult {
  readonly tokens: number
  readonly tokenFile: BlobRef
  readonly maskFile: BlobRef
  readonly shardKey: Digest
  readonly verifyKey: Digest
}

export interface SourceResult {
  readonly label: string
  readonly task: string
  /** Rows of the files, rows set aside, and conversations that the mixture takes (repeats counted). */
  readonly rows: number
  readonly rejected: number
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly truncated: number
  readonly untrained: number
  /** Conversations left out, where the recipe says so for one of the reasons. */
  readonly dropped?: { readonly untrained: number; readonly tooLong: number }
}

export interface SplitResult {
  readonly split: string
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly truncated: number
  readonly shards: readonly ShardResult[]
  readonly sources: readonly SourceResult[]
  /** Blobs with the rows that were set aside, with their source's label. */
  readonly rejects: readonly {
    readonly label: string
    readonly file: string
    readonly rows: number
    readonly blob: BlobRef
  }[]
  readonly fingerprints: Digest | null
}

export interface BuildResult {
  readonly vocabularySize: number
  readonly bosId: number
  readonly dtype: 'uint16' | 'uint32'
  /** In the order in which they were built. */
  readonly splits: Readonly<Record<string, SplitResult>>
  /** Distinct conversations (after tokenizing) that stand in train and in another split, added up over the others. */
  readonly overlap: number
  /** The same for each of them; only where there are others than val. */
  readonly overlaps?: Readonly<Record<string, number>>
}

/** What of a lock everything but the sources depends on. */
export type Settings = Omit<Lock, 'splits'>

/** A lock whose lists of files may be stored elsewhere. */
export interface Outline extends Settings {
  readonly splits: Readonly<Record<string, readonly OutlineSource[]>>
}

export type OutlineSource = Omit<LockedSource, 'files'> & { readonly files: Long<LockedFile> }

/** A build's result with lists that may be stored elsewhere. */
export interface BuildOutline extends Omit<BuildResult, 'splits'> {
  readonly splits: Readonly<Record<string, SplitOutline>>
}

export interface SplitOutline extends Omit<SplitResult, 'shards' | 'rejects'> {
  readonly shards: Long<ShardResult>
  readonly rejects: Long<Labelled<Reject>>
}

export interface Reject {
  readonly file: string
  readonly rows: number
  readonly blob: BlobRef
}

export type Labelled<T> = T & { readonly label: string }
