/**
 * Re-reads everything in a store. What is damaged is moved to quarantine/, so that it counts as missing and
 * the next build makes it again. Builds may go on meanwhile; a collection may not.
 */

import { ShardmillError } from '../errors/index.ts'
import { type Entry, inParallel } from './entries.ts'
import type { Holdings, ManagedStore } from './managed-store.ts'
import type { Digest } from './types.ts'

/**
 * corrupt: not the bytes of its name. short: fewer bytes than its maker wrote. missing: named by a record or
 * build and not there. bad-record, bad-build: not whole, or not what it should be. bad-tag: CACHEDIR.TAG.
 */
export type FindingKind = 'corrupt' | 'short' | 'missing' | 'bad-record' | 'bad-build' | 'bad-tag'

/** A stage that made or reads the blob, under the name it has there. */
export interface StageUse {
  readonly stage: string
  readonly key: Digest
  readonly name: string
  readonly as: 'output' | 'input'
}

export interface Finding {
  readonly kind: FindingKind
  /** Relative to the store's folder, with forward slashes. */
  readonly file: string
  /** What is wrong, for people. */
  readonly why: string
  /** The blob, record key or build id. */
  readonly digest?: Digest
  /** Its makers first, then its readers; for a bad record the stage it is of, as far as it can be told. */
  readonly stages: readonly StageUse[]
  /** Names of the builds that use it. */
  readonly builds: readonly string[]
  /** Where it was moved to, relative to the store's folder. */
  readonly quarantined?: string
}

export interface CheckProgress {
  readonly blobs: number
  readonly totalBlobs: number
  readonly bytes: number
  readonly totalBytes: number
}

export interface CheckOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: CheckProgress) => void
  /** Move damaged files to quarantine/. Default true; false for a store opened to look only. */
  readonly repair?: boolean
}

export interface CheckResult {
  readonly blobs: number
  readonly bytes: number
  readonly records: number
  readonly builds: number
  /** In the order of `file`. Empty: the store is whole. */
  readonly findings: readonly Finding[]
  /** Files that are not the store's, relative to its folder; left alone. */
  readonly foreign: readonly string[]
  /** Records of a newer schema, relative to the store's folder; left alone. */
  readonly newer: readonly string[]
}

/** Reads this many blobs at once. */
const WIDTH = 4

/** Throws STORE when the store cannot be read at all, INTERRUPTED when `signal` is aborted. */
export async function checkStore(store: ManagedStore, options: CheckOptions = {}): Promise<CheckResult> {
  return store.holdings.naming(async () => {
    const lease = store.readOnly ? undefined : await store.leaseForBuild({ signal: options.signal })
    try {
      return await new Check(store, options).run()
    } catch (error) {
      if (options.signal?.aborted) throw new ShardmillError('INTERRUPTED', 'the check was interrupted')
      throw error
    } finally {
      await lease?.release()
    }
  })
}

/** A record or build says how many bytes a blob has. */
interface Claim {
  readonly kind: 'bad-record' | 'bad-build'
  readonly by: Entry
  readonly bytes: number
}

class Check {
  readonly #store: ManagedStore
  readonly #holdings: Holdings
  readonly #options: CheckOptions
  readonly #repair: boolean
  readonly #findings: Finding[] = []
  readonly #foreign: string[] = []
  readonly #newer: string[] = []
  /** What records and builds say of a blob. */
  readonly #uses = new Map<Digest, StageUse[]>()
  readonly #claims = new Map<Digest, Claim[]>()
  readonly #recordBuilds = new Map<Digest, string[]>()
  readonly #blobBuilds = new Map<Digest, string[]>()
  readonly #damagedRecords: Entry[] = []
  #records = 0
  #builds = 0

  constructor(store: ManagedStore, options: CheckOptions) {
    this.#store = store
    this.#holdings = store.holdings
    this.#options = options
    this.#repair = (options.repair ?? true) && !store.readOnly
  }

  async run(): Promise<CheckResult> {
    await this.#checkTags()
    // Records before blobs: a record is visible only after its blobs, so whatever it names must be found.
    for await (const entry of this.#holdings.builds(this.#onForeign)) await this.#checkBuild(entry)
    await inParallel(this.#holdings.records(this.#onForeign), WIDTH, (entry) => this.#checkRecord(entry))
    for (const entry of this.#damagedRecords) await this.#reportRecord(entry)
    const seen = await this.#checkBlobs()
    await this.#reportMissing(seen.digests)
    this.#findings.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))
    return {
      blobs: seen.digests.size,
      bytes: seen.bytes,
      records: this.#records,
      builds: this.#builds,
      findings: this.#findings,
      foreign: this.#foreign.sort(),
      newer: this.#newer.sort(),
    }
  }

  #onForeign = (path: string): void => void this.#foreign.push(this.#relative(path))

  async #checkTags(): Promise<void> {
    for (const path of await this.#holdings.damagedTags(this.#repair)) {
      const file = this.#relative(path)
      this.#findings.push({ kind: 'bad-tag', file, why: 'it is not as written', stages: [], builds: [] })
    }
  }

  async #checkBuild(entry: Entry): Promise<void> {
    const parsed = await this.#store.parseBuildFile(entry.digest)
    if (parsed === undefined) return
    this.#builds += 1
    if (parsed.kind === 'newer') this.#newer.push(this.#relative(entry.path))
    if (parsed.kind === 'damaged' || parsed.kind === 'unreadable')
      await this.#report('bad-build', entry, parsed.why, [], [])
    if (parsed.kind !== 'ok') return
    const { name, lock, blobs, records } = parsed.value
    add(this.#claims, lock.digest, { kind: 'bad-build', by: entry, bytes: lock.bytes })
    for (const digest of [lock.digest, ...blobs]) add(this.#blobBuilds, digest, name)
    for (const key of records) add(this.#recordBuilds, key, name)
  }

  async #checkRecord(entry: Entry): Promise<void> {
    this.#interrupt()
    const parsed = await this.#store.parseRecordFile(entry.digest)
    if (parsed === undefined) return
    this.#records += 1
    if (parsed.kind === 'newer') this.#newer.push(this.#relative(entry.path))
    if (parsed.kind === 'damaged' || parsed.kind === 'unreadable') this.#damagedRecords.push(entry)
    if (parsed.kind !== 'ok') return
    const { stage, key, outputs, inputs } = parsed.value
    for (const [name, ref] of Object.entries(outputs)) {
      add(this.#uses, ref.digest, { stage, key, name, as: 'output' })
      add(this.#claims, ref.digest, { kind: 'bad-record', by: entry, bytes: ref.bytes })
    }
    for (const [name, digest] of Object.entries(inputs))
      add(this.#uses, digest, { stage, key, name, as: 'input' })
  }

  async #reportRecord(entry: Entry): Promise<void> {
    // A build may have written it anew meanwhile.
    const parsed = await this.#store.parseRecordFile(entry.digest)
    if (parsed?.kind !== 'damaged' && parsed?.kind !== 'unreadable') return
    const stages: StageUse[] =
      parsed.stage === undefined ? [] : [{ stage: parsed.stage, key: entry.digest, name: '', as: 'output' }]
    const builds = this.#recordBuilds.get(entry.digest) ?? []
    await this.#report('bad-record', entry, parsed.why, stages, builds)
  }

  async #checkBlobs(): Promise<{ digests: Set<Digest>; bytes: number }> {
    const digests = new Set<Digest>()
    const entries: Entry[] = []
    let totalBytes = 0
    for await (const entry of this.#holdings.blobs(this.#onForeign)) {
      const stats = await this.#holdings.stat(entry)
      if (stats === undefined) continue
      entries.push(entry)
      digests.add(entry.digest)
      totalBytes += stats.size
    }
    let blobs = 0
    let bytes = 0
    const progress = () =>
      this.#options.onProgress?.({ blobs, totalBlobs: entries.length, bytes, totalBytes })
    await inParallel(entries, WIDTH, async (entry) => {
      await this.#checkBlob(entry, (read) => {
        bytes += read
        progress()
      })
      blobs += 1
      progress()
    })
    return { digests, bytes: totalBytes }
  }

  async #checkBlob(entry: Entry, onBytes: (bytes: number) => void): Promise<void> {
    const found = await this.#holdings.hash(entry, { signal: this.#options.signal, onBytes })
    if (found === undefined) return // discarded meanwhile
    const stages = this.#stagesOf(entry.digest)
    const builds = this.#buildsOf(entry.digest)
    if (typeof found === 'string') return this.#report('corrupt', entry, found, stages, builds)
    const { bytes, digest } = found
    const claims = this.#claims.get(entry.digest) ?? []
    if (digest !== entry.digest) {
      const size = Math.max(bytes === 0 ? 1 : 0, ...claims.map((claim) => claim.bytes))
      const why = bytes < size ? `it has only ${bytes} bytes` : `its bytes hash to ${digest}`
      return this.#report(bytes < size ? 'short' : 'corrupt', entry, why, stages, builds)
    }
    for (const { kind, by, bytes: claimed } of claims) {
      if (claimed === bytes) continue
      const why = `it says that blob ${digest} has ${claimed} bytes, it has ${bytes}`
      const makers = stages.filter((use) => use.key === by.digest)
      await this.#report(kind, by, why, makers, builds)
    }
  }

  async #reportMissing(seen: ReadonlySet<Digest>): Promise<void> {
    const named = new Set(this.#blobBuilds.keys())
    for (const [digest, uses] of this.#uses) if (uses.some((use) => use.as === 'output')) named.add(digest)
    for (const digest of named) {
      // What is damaged has been reported as such.
      const entry = { digest, path: this.#holdings.blobPath(digest) }
      if (seen.has(digest) || (await this.#holdings.stat(entry))?.isFile()) continue
      await this.#report('missing', entry, 'it is not there', this.#stagesOf(digest), this.#buildsOf(digest))
    }
    for (const [key, builds] of this.#recordBuilds) {
      if (this.#findings.some((finding) => finding.kind === 'bad-record' && finding.digest === key)) continue
      const entry = { digest: key, path: this.#holdings.recordPath(key) }
      if ((await this.#holdings.stat(entry)) !== undefined) continue
      await this.#report('missing', entry, 'the record is not there', [], builds)
    }
  }

  #stagesOf(digest: Digest): StageUse[] {
    const uses = this.#uses.get(digest) ?? []
    return [...uses.filter((use) => use.as === 'output'), ...uses.filter((use) => use.as === 'input')]
  }

  /** The builds that use a blob, by themselves or through the stage that made it. */
  #buildsOf(digest: Digest): string[] {
    const names = new Set(this.#blobBuilds.get(digest))
    for (const { key, as } of this.#uses.get(digest) ?? []) {
      if (as === 'output') for (const name of this.#recordBuilds.get(key) ?? []) names.add(name)
    }
    return [...names].sort()
  }

  async #report(
    kind: FindingKind,
    entry: Entry,
    why: string,
    stages: readonly StageUse[],
    builds: readonly string[],
  ): Promise<void> {
    const finding = { kind, file: this.#relative(entry.path), why, digest: entry.digest, stages, builds }
    const place = this.#repair && kind !== 'missing' ? await this.#holdings.quarantine(entry.path) : undefined
    this.#findings.push(place === undefined ? finding : { ...finding, quarantined: this.#relative(place) })
  }

  #interrupt(): void {
    this.#options.signal?.throwIfAborted()
  }

  #relative(path: string): string {
    return this.#holdings.relative(path)
  }
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
