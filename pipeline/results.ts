/** What a build passes about and comes to: plain JSON, with lists that may be stored elsewhere. */
import type { BlobRef, Digest } from '../store/types.ts'
import type { Lock, LockedFile, LockedSource, ShardsLock } from './lock.ts'
import type { Long } from './stage.ts'

export interface ShardResult {
  readonly tokens: number
  /** Conversations that begin in it. */
  readonly conversations: number
  /** Its files by role. */
  readonly files: Readonly<Record<string, BlobRef>>
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

export interface SftResult {
  readonly kind: ShardsLock['kind']
  readonly vocabularySize: number
  readonly bosId: number | null
  readonly dtype: 'uint16' | 'uint32'
  /** In the order in which they were built. */
  readonly splits: Readonly<Record<string, SplitResult>>
  /** Distinct conversations (after tokenizing) that stand in train and in another split, added up over the others. */
  readonly overlap: number
  /** The same for each of them; only where there are others than val. */
  readonly overlaps?: Readonly<Record<string, number>>
}

export interface TaskResult {
  readonly label: string
  readonly task: string
  /** Rows of the slice, problems in the file, and those left out for their length. */
  readonly rows: number
  readonly examples: number
  readonly skipped: number
  readonly tokens: number
  /** The accuracy of guessing, as a fraction. */
  readonly randomBaseline: number
  readonly file: BlobRef
  readonly taskKey: Digest
  readonly verifyKey: Digest
}

export interface ChatEvalResult {
  readonly kind: 'chat-eval'
  readonly vocabularySize: number
  readonly bosId: number
  readonly maxSeqLen: number
  /** In the recipe's order. */
  readonly tasks: readonly TaskResult[]
}

/** A build's result, by the lock's kind. */
export type BuildResult = SftResult | ChatEvalResult

/** What of a lock everything but the sources depends on. */
export type SettingsOf<L extends Lock> = L extends Lock ? Omit<L, 'splits'> : never
export type Settings = SettingsOf<Lock>

/** A lock whose lists of files may be stored elsewhere. */
export type OutlineOf<L extends Lock> = SettingsOf<L> & {
  readonly splits: Readonly<Record<string, readonly OutlineSource[]>>
}
export type Outline = OutlineOf<Lock>

export type OutlineSource = Omit<LockedSource, 'files'> & { readonly files: Long<LockedFile> }

/** A result with lists that may be stored elsewhere. */
export interface SftOutline extends Omit<SftResult, 'splits'> {
  readonly splits: Readonly<Record<string, SplitOutline>>
}

export interface SplitOutline extends Omit<SplitResult, 'shards' | 'rejects'> {
  readonly shards: Long<ShardResult>
  readonly rejects: Long<Labelled<Reject>>
}

export type BuildOutline = SftOutline | ChatEvalResult

export interface Reject {
  readonly file: string
  readonly rows: number
  readonly blob: BlobRef
}

export type Labelled<T> = T & { readonly label: string }

/** What is told of a finished build, by its kind: plain JSON. */
export type KindReport = SftReport | ChatEvalReport

export interface SftReport {
  readonly kind: ShardsLock['kind']
  readonly vocabularySize: number
  readonly dtype: 'uint16' | 'uint32'
  readonly overlap: number
  readonly overlaps?: Readonly<Record<string, number>>
  readonly splits: Readonly<Record<string, SplitReport>>
}

export interface SplitReport {
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly truncated: number
  readonly shards: number
  readonly sources: readonly SourceResult[]
}

export interface ChatEvalReport {
  readonly kind: 'chat-eval'
  readonly vocabularySize: number
  readonly tasks: readonly Omit<TaskResult, 'file' | 'taskKey' | 'verifyKey'>[]
}
