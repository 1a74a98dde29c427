import type { EncoderTables } from '../bpe/index.ts'
import type { StageCall, StageName } from '../pipeline/stage.ts'
import type { BlobRef, Digest, Json, Store } from '../store/types.ts'

/** How far a running stage is. Numbers only, so that they can live in shared memory; cheap enough for every batch. */
export interface Progress {
  /** Units done and expected (bytes for download, rows or tokens for the others); total 0 when unknown. */
  done(units: number, total?: number): void
  rows(count: number): void
  tokens(count: number): void
  bytes(count: number): void
}

export const noProgress: Progress = { done() {}, rows() {}, tokens() {}, bytes() {} }

/** A sentence for the user while a stage waits (a retry, say). */
export type Notice = (text: string) => void

/** What a stage gets beside its question. It knows neither Temporal nor the command line. */
export interface StageContext {
  readonly store: Store
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly notice: Notice
  /** Identity of an input that this process wrote and hashed (ReadOptions.hashedAs). */
  readonly hashedAs?: (input: Digest) => string | undefined
  /** Says that the work is done and what is left only waits for the disk: the thread may begin another task. */
  readonly settling?: () => void
  /** Encoder tables for a vocabulary blob, built once a process and shared between its threads. */
  readonly encoderTables: (vocabulary: Digest) => Promise<EncoderTables>
}

export interface StageOutput {
  readonly outputs: Readonly<Record<string, BlobRef>>
  readonly stats: Readonly<Record<string, Json>>
}

/** A stage: a pure function of params and inputs. Whatever can change its bytes is in the call's key. */
export interface Stage {
  readonly name: StageName
  run(call: StageCall, context: StageContext): Promise<StageOutput>
}

export function defineStage(stage: Stage): Stage {
  return stage
}

/** Writes that share the wait for the disk. When one fails, the others are waited for: their files are tidied. */
export async function together<T extends readonly unknown[]>(
  ...writes: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  await Promise.allSettled(writes)
  return (await Promise.all(writes)) as unknown as T
}

/** An input of the call by name; a stage called without it is our mistake, not the user's. */
export function input(call: StageCall, name: string): Digest {
  const digest = call.inputs[name]
  if (digest === undefined) throw new TypeError(`${call.stage} takes an input '${name}'`)
  return digest
}

/** The params as the stage knows them. They come from pipeline/build.ts and are part of the key. */
export function paramsOf<P>(call: StageCall): P {
  return call.params as unknown as P
}

/** The file's name for error messages; from the hints, since names are no part of a key. */
export function fileName(call: StageCall): string {
  const hints = call.hints as { file?: string } | undefined
  return hints?.file ?? call.title
}
