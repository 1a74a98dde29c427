/**
 * The store: two maps. Blobs are immutable bytes under their sha256; records are what a stage made, under the
 * hash of what it was asked. Build records are the roots that garbage collection keeps.
 *
 * What every store promises: a blob or a record is visible whole or not at all; a record is visible only after
 * every blob it names is durable; several processes and machines may use one store at once.
 */

/** 64 lower-case hex digits: the sha256 of the bytes. */
export type Digest = string & { readonly __digest: unique symbol }

export interface BlobRef {
  readonly digest: Digest
  readonly bytes: number
}

/** Who ran a stage, when and how. Never part of a key. */
export interface Circumstances {
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly finishedAt: string
  readonly host: string
  readonly pid: number
  readonly user: string
  /** `in-process`, or Temporal's ids. */
  readonly engine: string
  readonly tool: string
  readonly node: string
  /** Engine-specific facts: workflow id, run id, activity id, attempt, worker identity. */
  readonly [extra: string]: string | number
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** What is stored under a stage key once the stage has succeeded. */
export interface StageRecord {
  readonly schema: 1
  readonly key: Digest
  /** The key's pre-image: `key` = sha256 of the canonical JSON of {stage, version, params, inputs}. */
  readonly stage: string
  readonly version: number
  readonly params: Json
  readonly inputs: Readonly<Record<string, Digest>>
  readonly outputs: Readonly<Record<string, BlobRef>>
  /** Deterministic figures (rows, tokens, …): the same whoever runs the stage. */
  readonly stats: Readonly<Record<string, Json>>
  readonly circumstances: Circumstances
}

/** The root of a finished (or unfinished) build: everything reachable from it is kept by `gc`. */
export interface BuildRecord {
  readonly schema: 1
  /** Digest of the lock: the same recipe and inputs give the same id. */
  readonly id: Digest
  readonly name: string
  readonly finishedAt: string
  readonly lock: BlobRef
  /** Keys of every stage record the build used. */
  readonly records: readonly Digest[]
  /** Blobs that belong to the build beside the records' outputs (imported files, lists). */
  readonly blobs: readonly Digest[]
}

export interface BlobWriter {
  /** Appends; hashed while it is written. The caller may reuse `chunk` once the promise resolves. */
  write(chunk: Uint8Array): Promise<void>
  /** Bytes written so far. */
  readonly bytes: number
  /** Makes the blob durable, then visible. After a failure nothing is left behind, and the writer is of no more use. */
  commit(): Promise<BlobRef>
  /** Throws away what was written. Safe to call after commit (does nothing) and twice. */
  abort(): Promise<void>
}

export interface ReadOptions {
  /** A chunk is good only until the next one is asked for: its memory is used again. */
  readonly reuse?: boolean
  /**
   * What `identity` said when this process had written and hashed the blob. While the file is that one still, whoever
   * reads it need not hash it again.
   */
  readonly hashedAs?: string | undefined
  /** Nobody will read it again soon: a local file need not stay in the page cache. */
  readonly last?: boolean
}

export interface Store {
  /** How to name the store to a user: a folder or a URL; never a secret. */
  readonly name: string

  /** Starts a blob. Several writers may write the same bytes at once; one copy stays. */
  createBlob(): Promise<BlobWriter>
  /** Small blobs in one go. */
  putBlob(bytes: Uint8Array): Promise<BlobRef>
  /** Size of a blob, or undefined when it is not there. Does not read it. */
  statBlob(digest: Digest): Promise<number | undefined>
  /**
   * Streams a blob out, in order, checking size and digest on the way: a damaged one throws CORRUPT_BLOB (before
   * the last chunk is handed out), a missing one MISSING_BLOB. It never ends early and quiet.
   */
  readBlob(digest: Digest, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** Of a blob kept as a file: which file it is, and that nothing has touched it since. Undefined elsewhere. */
  identity(digest: Digest): Promise<string | undefined>
  /** A whole blob, checked. For blobs known to be small or bounded (a partition). */
  readBlobBytes(digest: Digest): Promise<Uint8Array>
  /**
   * Path of a local file with the blob's bytes, for random access. Read only. The size is checked against `bytes`
   * (an empty file for a blob that is not empty always fails), the digest is not.
   */
  localFile(digest: Digest, bytes?: number): Promise<string>
  /**
   * Takes a finished local file into the store; it is hashed here. A file in `scratch` is moved, any other one is
   * copied: a user's own file stays where it is. Not what `expect` says: HUB_ANSWER, and the file stays.
   */
  importFile(path: string, expect?: { digest?: Digest; bytes?: number }): Promise<BlobRef>

  /** The record under a key, or undefined: also when a blob it names is missing or of another size, or the record is damaged. */
  getRecord(key: Digest): Promise<StageRecord | undefined>
  putRecord(record: StageRecord): Promise<void>

  putBuild(build: BuildRecord): Promise<void>

  /** For partial work that should survive a crash (a download in parts): a folder private to `name`, kept between processes. */
  scratch(name: string): Promise<string>
  /** Removes a damaged blob from sight so that whoever made it makes it again. One that is whole stays. */
  discardBlob(digest: Digest): Promise<void>
}
