/**
 * manifest.json: what an output folder holds and what made it, enough to verify and to trace it without the store.
 * Deterministic: who ran a stage, and when, is in provenance.jsonl beside it.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { toolVersion } from '../errors/version.ts'
import { type Kind, type Lock, lockDigest } from '../pipeline/lock.ts'
import type { BuildResult } from '../pipeline/results.ts'
import type { Circumstances, Digest, Json, StageRecord } from '../store/types.ts'
import { kindNames, outputKind } from './kinds/index.ts'
import { configName, manifestName, rejectedName } from './names.ts'
import { pythonJson } from './python-json.ts'

export { configName, manifestName, provenanceName, rejectedName } from './names.ts'

export interface ManifestFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: Digest
  /** `config`, `rejected`, or what the output format calls it: `tokens`, `mask`, … */
  readonly role: string
  readonly split?: string
  readonly tokens?: number
  /** Key of the stage that made it. */
  readonly stage?: Digest
}

export type ManifestStage = Omit<StageRecord, 'schema' | 'circumstances'>

export interface Manifest {
  readonly schema: 1
  readonly tool: { readonly name: 'shardmill'; readonly version: string }
  readonly name: string
  readonly kind: Kind
  readonly vocabularySize: number
  readonly bosId: number | null
  /** Ids of the template's special tokens; absent where it has none. */
  readonly specials?: Readonly<Record<string, number>>
  /** Between these and the files stand the facts of its kind (output/kinds). */
  readonly [fact: string]: unknown
  readonly files: readonly ManifestFile[]
  readonly lockDigest: Digest
  readonly lock: Lock
  /** Every stage record the build used, by key, without circumstances. */
  readonly stages: readonly ManifestStage[]
  /** Lists that stages take as inputs, by digest. */
  readonly lists: Readonly<Record<string, Json>>
  /** sha256 of the manifest's own bytes with 64 zeros in this place, so that no changed byte goes unnoticed. */
  readonly digest: Digest
}

/** A file of the output: from the store, or given as bytes. */
export type OutputFile = ManifestFile & ({ readonly blob: Digest } | { readonly content: Uint8Array })

export interface Output {
  readonly files: readonly OutputFile[]
  readonly manifest: string
  readonly provenance: readonly { readonly key: Digest; readonly circumstances: Circumstances }[]
}

/** Everything that goes into the output folder, from a build's result and the records it used. */
export function makeOutput(
  lock: Lock,
  result: BuildResult,
  records: Iterable<StageRecord>,
  lists: ReadonlyMap<Digest, Json>,
  rejected: { readonly bytes: Uint8Array; readonly digest: Digest } | undefined,
  specials: Readonly<Record<string, number>> | undefined,
  digestOf: (bytes: Uint8Array) => Digest,
): Output {
  const kind = outputKind(lock.kind)
  const files: OutputFile[] = [...kind.files(lock, result)]
  const config = Buffer.from(pythonJson(kind.config(lock, result)))
  files.push({
    path: configName,
    bytes: config.length,
    sha256: digestOf(config),
    role: 'config',
    content: config,
  })
  if (rejected !== undefined) {
    files.push({
      path: rejectedName,
      bytes: rejected.bytes.length,
      sha256: rejected.digest,
      role: 'rejected',
      content: rejected.bytes,
    })
  }
  const sorted = [...records].sort((a, b) => (a.key < b.key ? -1 : 1))
  const manifest: Manifest = {
    schema: 1,
    tool: { name: 'shardmill', version: toolVersion },
    name: lock.name,
    kind: lock.kind,
    ...kind.facts(lock, result),
    ...(specials === undefined ? {} : { specials }),
    files: files.map(({ path, bytes, sha256, role, split, tokens, stage }) => ({
      path,
      bytes,
      sha256,
      role,
      ...(split === undefined ? {} : { split }),
      ...(tokens === undefined ? {} : { tokens }),
      ...(stage === undefined ? {} : { stage }),
    })),
    lockDigest: lockDigest(lock),
    lock,
    stages: sorted.map(({ key, stage, version, params, inputs, outputs, stats }) => ({
      key,
      stage,
      version,
      params,
      inputs,
      outputs,
      stats,
    })),
    lists: Object.fromEntries([...lists].sort(([a], [b]) => (a < b ? -1 : 1))),
    digest: noDigest,
  }
  return {
    files,
    manifest: sealed(`${JSON.stringify(manifest, null, 1)}\n`),
    provenance: sorted.map(({ key, circumstances }) => ({ key, circumstances })),
  }
}

const noDigest = '0'.repeat(64) as Digest
const seal = /^"digest": "[0-9a-f]{64}"\n}\n$/
const sealLength = `"digest": "${noDigest}"\n}\n`.length

/** The text, which ends with a digest, with another one there. */
function withDigest(text: string, digest: string): string {
  return `${text.slice(0, -sealLength)}"digest": "${digest}"\n}\n`
}

/** The manifest with its own digest put in. */
function sealed(text: string): string {
  return withDigest(text, createHash('sha256').update(text).digest('hex'))
}

function isWhole(text: string): boolean {
  return seal.test(text.slice(-sealLength)) && sealed(withDigest(text, noDigest)) === text
}

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/)
const manifestSchema = z.looseObject({
  schema: z.literal(1),
  tool: z.looseObject({ name: z.literal('shardmill') }),
  kind: z.enum(kindNames),
  vocabularySize: z.int(),
  bosId: z.int().nullable(),
  specials: z.record(z.string(), z.int().nonnegative()).optional(),
  files: z.array(
    z.looseObject({
      // At most one folder deep, and never outside.
      path: z.string().regex(/^(?!\.\.?\/)(?:[^/\\\0]+\/)?(?!\.\.?$)[^/\\\0]+$/),
      bytes: z.int().nonnegative(),
      sha256: digestSchema,
      role: z.string(),
    }),
  ),
  stages: z.array(z.looseObject({ key: digestSchema })),
  lists: z.record(z.string(), z.unknown()),
})

/** Reads a folder's manifest. VERIFY errors name the file; `undefined` when there is none. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  let text: string
  try {
    text = await readFile(join(dir, manifestName), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new ShardmillError('OUTPUT', `cannot be read (${code})`, {
      at: { file: join(dir, manifestName) },
      cause: error,
    })
  }
  return parseManifest(text, join(dir, manifestName))
}

export function parseManifest(text: string, file: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new ShardmillError('VERIFY', 'is not JSON', { at: { file }, hint: 'Build again to write it anew.' })
  }
  const common = manifestSchema.safeParse(value)
  const parsed = common.success ? outputKind(common.data.kind).schema.safeParse(value) : common
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new ShardmillError(
      'VERIFY',
      `is no manifest of this version of shardmill: ${issue?.path.join('.')}: ${issue?.message}`,
      { at: { file } },
    )
  }
  if (!isWhole(text)) {
    throw new ShardmillError('VERIFY', 'does not have the digest it names: it was changed or damaged', {
      at: { file },
      hint: 'Build again to write it anew.',
    })
  }
  return value as Manifest
}
