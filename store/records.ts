/** Records of stages and builds as every store keeps them: what counts as a miss, and what may not be written. */

import { type BlobPlaces, corruptBlob, missingBlob } from './blob-files.ts'
import {
  encodeBuildRecord,
  encodeStageRecord,
  type KeyOf,
  outputFault,
  outputFaultText,
  type Parsed,
  parseBuildRecord,
  parseStageRecord,
} from './record-files.ts'
import type { BuildRecord, Digest, StageRecord } from './types.ts'

export interface RecordOptions {
  /** Recomputes a record's key; a record that does not hash to its key is damaged, that is, a miss. */
  readonly keyOf?: KeyOf
  /** Told of what is set right by itself: a damaged record that counts as a miss, and the like. */
  readonly onWarning?: (message: string) => void
}

/** Where a store's things stand. Paths are the store's own: of files, or of objects in a bucket. */
export interface RecordPlaces extends BlobPlaces {
  record(key: Digest): string
  build(id: Digest): string
  /** A path as people are shown it. */
  shown(path: string): string
}

export interface ReadRecord {
  readonly kind: 'read'
  readonly bytes: Buffer
  /** When it was last written or renewed; undefined when it is gone. */
  usedMs(): Promise<number | undefined>
  /** Gives it the time of now. */
  renew(): Promise<unknown>
}

type Unreadable = Extract<Parsed<never>, { kind: 'unreadable' }>

/** A record is touched when it is used, but not more often than this: gc's `olderThanMs` goes by its time. */
const TOUCH_AFTER_MS = 3_600_000

export abstract class RecordStore {
  abstract readonly readOnly: boolean
  readonly #places: RecordPlaces
  readonly #options: RecordOptions

  constructor(places: RecordPlaces, options: RecordOptions) {
    this.#places = places
    this.#options = options
  }

  abstract statBlob(digest: Digest): Promise<number | undefined>

  /** A small file, or undefined when there is none. */
  protected abstract readSmall(path: string): Promise<ReadRecord | Unreadable | undefined>

  /** Writes a small file, durable before it has its name. */
  protected abstract writeSmall(path: string, bytes: Uint8Array): Promise<void>

  async getRecord(key: Digest): Promise<StageRecord | undefined> {
    const path = this.#places.record(key)
    const read = await this.readSmall(path)
    if (read === undefined) return undefined
    const parsed = read.kind === 'read' ? parseStageRecord(read.bytes, key, this.#options.keyOf) : read
    if (parsed.kind !== 'ok') return this.#miss(path, `${parsed.why}; the stage runs again`)
    const fault = await outputFault(parsed.value, (digest) => this.statBlob(digest))
    if (fault !== undefined) return this.#miss(path, `${outputFaultText(fault)}; the stage runs again`)
    if (read.kind === 'read') await this.#touch(read)
    return parsed.value
  }

  async #touch(read: ReadRecord): Promise<void> {
    if (this.readOnly) return
    try {
      const used = await read.usedMs()
      if (used !== undefined && Math.abs(Date.now() - used) > TOUCH_AFTER_MS) await read.renew()
    } catch {
      // only a note for gc: not worth a failure
    }
  }

  #miss(path: string, why: string): undefined {
    this.#options.onWarning?.(`${this.#places.shown(path)}: not used, ${why}`)
    return undefined
  }

  async parseRecordFile(key: Digest): Promise<Parsed<StageRecord> | undefined> {
    const read = await this.readSmall(this.#places.record(key))
    return read?.kind === 'read' ? parseStageRecord(read.bytes, key, this.#options.keyOf) : read
  }

  async parseBuildFile(id: Digest): Promise<Parsed<BuildRecord> | undefined> {
    const read = await this.readSmall(this.#places.build(id))
    return read?.kind === 'read' ? parseBuildRecord(read.bytes, id) : read
  }

  async getBuild(id: Digest): Promise<BuildRecord | undefined> {
    const parsed = await this.parseBuildFile(id)
    if (parsed === undefined || parsed.kind === 'ok') return parsed?.value
    return this.#miss(this.#places.build(id), parsed.why)
  }

  async putRecord(record: StageRecord): Promise<void> {
    const bytes = encodeStageRecord(record, this.#options.keyOf)
    const fault = await outputFault(record, (digest) => this.statBlob(digest))
    if (fault !== undefined) {
      const { ref, found } = fault
      if (found === undefined) throw missingBlob(this.#places, ref.digest)
      throw corruptBlob(this.#places, ref.digest, `it has ${found} bytes, its maker wrote ${ref.bytes}`)
    }
    await this.writeSmall(this.#places.record(record.key), bytes)
  }

  async putBuild(build: BuildRecord): Promise<void> {
    await this.writeSmall(this.#places.build(build.id), encodeBuildRecord(build))
  }
}
