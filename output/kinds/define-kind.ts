/** A kind of recipe to the output folder: its files, what its manifest and config.json say, how it is checked. */
import type { z } from 'zod'
import type { Lock } from '../../pipeline/lock.ts'
import type { BuildResult, Labelled, Reject } from '../../pipeline/results.ts'
import type { Manifest, ManifestFile, OutputFile } from '../manifest.ts'

export interface OutputKind<L extends Lock, R extends BuildResult> {
  /** What is published from the store, in the manifest's order. */
  files(lock: L, result: R): OutputFile[]
  /** config.json; Maps where names may be whole numbers, whose order an object would not keep. */
  config(lock: L, result: R): unknown
  /** The manifest's fields after `kind`, vocabularySize and bosId among them. */
  facts(lock: L, result: R): { readonly vocabularySize: number; readonly bosId: number | null }
  /** As far as verifying relies on these fields. */
  readonly schema: z.ZodType
  /** The rows that were set aside. */
  rejects(result: R): readonly { readonly split: string; readonly rejects: readonly Labelled<Reject>[] }[]
  /** Checks what is in the kind's own files, and that config.json and manifest agree. */
  check(folder: CheckedFolder): Promise<Checked>
}

/** A folder that is being verified. */
export interface CheckedFolder {
  readonly dir: string
  readonly manifest: Manifest
  readonly signal: AbortSignal
  /** Reports a problem; the check goes on. */
  problem(file: ManifestFile | string, why: string): void
  /** So many bytes more have been read. */
  report(bytes: number): void
  /** Checks a file by its digest alone. */
  digest(file: ManifestFile): Promise<void>
}

/** What was found; `shards` are files with tokens. */
export interface Checked {
  readonly tokens: number
  readonly trained: number
  readonly shards: number
  /** The template whose contract the masks were held against, where that could be done. */
  readonly masks?: string
}
