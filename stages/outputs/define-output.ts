/**
 * What an output format is: how a shard's tokens and masks become files, and how they are read back. To add one, write
 * a file beside this one and name it in index.ts; recipe, verify, inspect, trace and the manifest follow.
 */
import type { z } from 'zod'
import { ShardmillError } from '../../errors/index.ts'
import type { Cut } from '../../pipeline/lock.ts'
import type { BlobWriter, Json } from '../../store/types.ts'

export type Dtype = 'uint16' | 'uint32'
export type Values = Uint16Array | Uint32Array

/** By their names in the recipe. `names` says what files are called, so it is in the lock, but in no stage key. */
export type OutputOptions = Readonly<Record<string, Json>>

/** A run of a shard: as many masks (0 or 1) as ids. */
export interface Window {
  readonly tokens: Values
  readonly mask: Values
}

/** Tokens that formats without rows read at a time. */
export const windowTokens = 128 << 10

/** A shard to be written. */
export interface ShardContent {
  /** Of the ids, as the recipe and the vocabulary have it. */
  readonly dtype: Dtype
  /** 0 where the template has none. */
  readonly bosId: number
  /** Tokens in all, known before any is read. */
  readonly tokens: number
  /** Tokens of each conversation, in order; they add up to `tokens` where the format holds whole conversations. */
  readonly lengths: Uint32Array
  /** Everything in order; a window is good until the next but one is asked for. May be asked for more than once. */
  windows(): Iterable<Window>
}

/** A file that is read in parts; from front to back is cheapest. */
export interface ByteFile {
  /** For errors. */
  readonly name: string
  readonly size: number
  /** Exactly `length` bytes from `offset`, 8-byte aligned in memory, good until the next read of this file. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  /** Path of a local file with these bytes, for readers that open files themselves. */
  localPath(): Promise<string>
}

/** A run of a shard that was read; good until the next one. */
export interface Piece {
  readonly ids: Values
  readonly mask: Values | Uint8Array
  /** Tokens of each conversation, all of them whole; only from formats that keep conversations apart. */
  readonly lengths?: readonly number[]
}

/** A shard that was opened: its heads are right. */
export interface ShardReader {
  /** Absent where the files' heads do not say. */
  readonly tokens?: number
  /** All of it, in order. Throws VERIFY errors that name the file. */
  pieces(): AsyncIterable<Piece>
  /** Tokens `from` to `to` (exclusive), of formats that let a conversation go on in the next shard. */
  range?(from: number, to: number): Promise<Piece>
}

/** What a reader has to know beforehand. */
export interface ShardFacts {
  readonly dtype: Dtype
  readonly bosId: number
  readonly options: OutputOptions
}

/** One file of every shard. */
export interface ShardFile {
  /** Its name as the stage's output and in the manifest: `tokens`, `mask`, … */
  readonly role: string
  /** What its name ends with, after the shard's stem. */
  readonly suffix: string
}

/** A shard as a split's own files tell of it. */
export interface FinishedShard {
  /** File names by role. */
  readonly names: Readonly<Record<string, string>>
  readonly bytes: Readonly<Record<string, number>>
  readonly tokens: number
  readonly conversations: number
}

export interface OutputFormat {
  readonly name: string
  /** Raise when the same tokens would become other bytes. */
  readonly version: number
  /** For the recipe's schema: what the files are. */
  readonly about: string
  /** Whether the recipe's dtype decides about bytes; where it does not, recipes may not set it. */
  readonly hasDtype: boolean
  /** The one template whose conversations it can hold; absent: those of any. */
  readonly template?: string
  /** The options' schemas, by their names in the recipe. */
  readonly fields: Readonly<Record<string, z.ZodType>>
  /** Fills in options that depend on the recipe. Throws RECIPE errors for what cannot be. */
  readonly settle?: (options: OutputOptions, recipe: { readonly maxSeqLen: number }) => OutputOptions
  /** How the format wants its shards cut; absent: after every `shardTokens` tokens. */
  readonly cut?: (options: OutputOptions) => Cut
  /** The files of a shard; the first one is the shard to people. */
  readonly files: readonly ShardFile[]
  /** What a shard's files are named before their suffix; `number` counts in the output, `inSplit` in its split. */
  readonly stem: (split: string, number: number, inSplit: number, options: OutputOptions) => string
  /** Matches every stem of shards without names of the recipe's own, and nothing else. */
  readonly stems: RegExp
  /** Whether such names give this stem. */
  readonly isNamed?: (stem: string, options: OutputOptions) => boolean
  /** Writes a shard; memory may grow with its number of conversations, not with its tokens. */
  readonly write: (
    content: ShardContent,
    files: Readonly<Record<string, BlobWriter>>,
    options: OutputOptions,
  ) => Promise<void>
  /** Opens a shard. Throws VERIFY errors that name the file. */
  readonly open: (files: Readonly<Record<string, ByteFile>>, facts: ShardFacts) => Promise<ShardReader>
  /** Files that a split has once, made from the figures of its shards. */
  readonly splitFiles?: (
    split: string,
    shards: readonly FinishedShard[],
    facts: ShardFacts,
  ) => readonly { readonly path: string; readonly role: string; readonly content: Uint8Array }[]
}

export function defineOutput(format: OutputFormat): OutputFormat {
  return format
}

/** `sft_val_000000`: the stem of most formats. */
export const usualStem: Pick<OutputFormat, 'stem' | 'stems'> = {
  stem: (split, number) => `sft_${split}_${String(number).padStart(6, '0')}`,
  stems: /^sft_[A-Za-z][A-Za-z0-9_-]*_\d{6,}$/,
}

export function tokenWidth(dtype: Dtype): 2 | 4 {
  return dtype === 'uint16' ? 2 : 4
}

export function valuesArray(
  dtype: Dtype,
  length: number,
): Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  return dtype === 'uint16' ? new Uint16Array(length) : new Uint32Array(length)
}

export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** What is wrong with a file that is read back. */
export function verifyError(file: string, why: string): ShardmillError {
  return new ShardmillError('VERIFY', why, { at: { file } })
}
