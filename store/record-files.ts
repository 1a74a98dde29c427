/**
 * Records as files: `{"sha256":"<of the value's bytes>","value":<JSON>}` and a newline. The digest covers all
 * of the value, also what no key covers (outputs, figures, circumstances), so that no changed byte goes
 * unnoticed; the shape is checked strictly all the same, since a value may come from another version.
 */

import { isDigest, sha256 } from './digest.ts'
import type { BlobRef, BuildRecord, Digest, StageRecord } from './types.ts'

const HEAD = '{"sha256":"'
const MIDDLE = '","value":'
const TAIL = '}\n'
const VALUE_AT = HEAD.length + 64 + MIDDLE.length

/**
 * What a record file turned out to be. newer: whole, but of a schema this version does not know. unreadable: the
 * disk would not give it.
 */
export type Parsed<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'damaged'; readonly why: string; readonly stage?: string }
  | { readonly kind: 'newer'; readonly why: string; readonly stage?: string }
  | { readonly kind: 'unreadable'; readonly why: string; readonly stage?: string }

function encodeRecord(value: StageRecord | BuildRecord): Buffer {
  const json = Buffer.from(JSON.stringify(value), 'utf8')
  return Buffer.concat([Buffer.from(HEAD + sha256(json) + MIDDLE), json, Buffer.from(TAIL)])
}

/** Recomputes a record's key from its pre-image (canonical JSON is the pipeline's matter, not the store's). */
export type KeyOf = (record: StageRecord) => Digest

export function parseStageRecord(bytes: Buffer, key: Digest, keyOf?: KeyOf): Parsed<StageRecord> {
  const json = openEnvelope(bytes)
  if (json.kind !== 'ok') return json
  const why = newerSchema(json.value)
  const stage = stageOf(json.value)
  if (why !== undefined) return { kind: 'newer', why, ...stage }
  const wrong = stageRecordFault(json.value)
  if (wrong !== undefined) return { kind: 'damaged', why: wrong, ...stage }
  const record = json.value as StageRecord
  if (record.key !== key) return { kind: 'damaged', why: `it is the record of ${record.key}`, ...stage }
  if (keyOf !== undefined && keyOf(record) !== key) {
    return {
      kind: 'damaged',
      why: 'its key is not the hash of its stage, version, params and inputs',
      ...stage,
    }
  }
  return { kind: 'ok', value: record }
}

export function parseBuildRecord(bytes: Buffer, id: Digest): Parsed<BuildRecord> {
  const json = openEnvelope(bytes)
  if (json.kind !== 'ok') return json
  const why = newerSchema(json.value)
  if (why !== undefined) return { kind: 'newer', why }
  const wrong = buildRecordFault(json.value)
  if (wrong !== undefined) return { kind: 'damaged', why: wrong }
  const build = json.value as BuildRecord
  if (build.id !== id) return { kind: 'damaged', why: `it is the record of build ${build.id}` }
  return { kind: 'ok', value: build }
}

function openEnvelope(bytes: Buffer): Parsed<unknown> {
  const head = bytes.subarray(0, VALUE_AT).toString('latin1')
  const digest = head.slice(HEAD.length, HEAD.length + 64)
  const whole =
    head.startsWith(HEAD) &&
    head.endsWith(MIDDLE) &&
    bytes.subarray(-TAIL.length).toString('latin1') === TAIL &&
    bytes.length > VALUE_AT + TAIL.length
  if (!whole)
    return { kind: 'damaged', why: bytes.length === 0 ? 'it is empty' : 'it is cut short or no record' }
  const value = bytes.subarray(VALUE_AT, bytes.length - TAIL.length)
  try {
    const json: unknown = JSON.parse(value.toString('utf8'))
    if (sha256(value) === digest) return { kind: 'ok', value: json }
    return { kind: 'damaged', why: 'its bytes do not have the digest it names', ...stageOf(json) }
  } catch {
    return { kind: 'damaged', why: 'it holds no JSON' }
  }
}

type Fields = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function stageOf(value: unknown): { stage?: string } {
  return isObject(value) && typeof value['stage'] === 'string' ? { stage: value['stage'] } : {}
}

function newerSchema(value: unknown): string | undefined {
  const schema = isObject(value) ? value['schema'] : undefined
  return typeof schema === 'number' && schema > 1
    ? `it has schema ${schema}, this version reads 1`
    : undefined
}

const STAGE_FIELDS = [
  'schema',
  'key',
  'stage',
  'version',
  'params',
  'inputs',
  'outputs',
  'stats',
  'circumstances',
]
const BUILD_FIELDS = ['schema', 'id', 'name', 'finishedAt', 'lock', 'records', 'blobs']
const CIRCUMSTANCE_TEXTS = ['startedAt', 'finishedAt', 'host', 'user', 'engine', 'tool', 'node']

/** What is wrong with a stage record's shape, or undefined. Written by hand: hundreds are read at a start. */
function stageRecordFault(value: unknown): string | undefined {
  const wrong = fieldsFault(value, STAGE_FIELDS)
  if (wrong !== undefined) return wrong
  const record = value as Fields
  if (record['schema'] !== 1) return 'schema is not 1'
  if (!isDigest(record['key'])) return 'key is no digest'
  if (typeof record['stage'] !== 'string' || record['stage'] === '') return 'stage is no name'
  if (!Number.isSafeInteger(record['version'])) return 'version is no whole number'
  if (!isObject(record['inputs'])) return 'inputs is no object'
  for (const [name, digest] of Object.entries(record['inputs'])) {
    if (!isDigest(digest)) return `input ${JSON.stringify(name)} is no digest`
  }
  if (!isObject(record['outputs'])) return 'outputs is no object'
  for (const [name, ref] of Object.entries(record['outputs'])) {
    if (!isBlobRef(ref)) return `output ${JSON.stringify(name)} is no digest with a size`
  }
  if (!isObject(record['stats'])) return 'stats is no object'
  const circumstances = record['circumstances']
  if (!isObject(circumstances)) return 'circumstances is no object'
  for (const name of CIRCUMSTANCE_TEXTS) {
    if (typeof circumstances[name] !== 'string') return `circumstances.${name} is no text`
  }
  if (!Number.isSafeInteger(circumstances['pid'])) return 'circumstances.pid is no whole number'
  for (const [name, fact] of Object.entries(circumstances)) {
    if (typeof fact !== 'string' && typeof fact !== 'number') {
      return `circumstances.${name} is no text or number`
    }
  }
  return undefined
}

/** What is wrong with a build record's shape, or undefined. */
function buildRecordFault(value: unknown): string | undefined {
  const wrong = fieldsFault(value, BUILD_FIELDS)
  if (wrong !== undefined) return wrong
  const build = value as Fields
  if (build['schema'] !== 1) return 'schema is not 1'
  if (!isDigest(build['id'])) return 'id is no digest'
  if (typeof build['name'] !== 'string') return 'name is no text'
  if (typeof build['finishedAt'] !== 'string') return 'finishedAt is no text'
  if (!isBlobRef(build['lock'])) return 'lock is no digest with a size'
  for (const name of ['records', 'blobs']) {
    const digests = build[name]
    if (!Array.isArray(digests) || !digests.every(isDigest)) return `${name} is no list of digests`
  }
  return undefined
}

function isBlobRef(value: unknown): boolean {
  return (
    isObject(value) &&
    Object.keys(value).length === 2 &&
    isDigest(value['digest']) &&
    Number.isSafeInteger(value['bytes']) &&
    (value['bytes'] as number) >= 0
  )
}

function fieldsFault(value: unknown, names: readonly string[]): string | undefined {
  if (!isObject(value)) return 'it is no object'
  for (const name of names) {
    if (!Object.hasOwn(value, name)) return `the field ${name} is missing`
  }
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) return `the field ${JSON.stringify(name)} is unknown`
  }
  return undefined
}

/** A stage record's bytes. Throws TypeError for what would not be read back: NaN, undefined or a wrong key are bugs of the caller. */
export function encodeStageRecord(record: StageRecord, keyOf: KeyOf | undefined): Buffer {
  const bytes = encodeRecord(record)
  const back = parseStageRecord(bytes, record.key, keyOf)
  if (back.kind !== 'ok') throw new TypeError(`not a stage record: ${stageRecordFault(record) ?? back.why}`)
  return bytes
}

/** A build record's bytes. Throws TypeError for what would not be read back. */
export function encodeBuildRecord(build: BuildRecord): Buffer {
  const bytes = encodeRecord(build)
  const back = parseBuildRecord(bytes, build.id)
  if (back.kind !== 'ok') throw new TypeError(`not a build record: ${buildRecordFault(build) ?? back.why}`)
  return bytes
}

/** The first output that is not stored in its size; `found` is its size, undefined when it is missing. */
export async function outputFault(
  { outputs }: StageRecord,
  sizeOf: (digest: Digest) => Promise<number | undefined>,
): Promise<{ readonly name: string; readonly ref: BlobRef; readonly found: number | undefined } | undefined> {
  const refs = Object.entries(outputs)
  const sizes = await Promise.all(refs.map(([, { digest }]) => sizeOf(digest)))
  const at = refs.findIndex(([, { bytes }], i) => sizes[i] !== bytes)
  if (at < 0) return undefined
  const [name, ref] = refs[at]!
  return { name, ref, found: sizes[at] }
}

/** Why a record with such an output counts as a miss. */
export function outputFaultText({ name, ref, found }: NonNullable<Awaited<ReturnType<typeof outputFault>>>) {
  const state = found === undefined ? 'is missing' : `has ${found} bytes instead of ${ref.bytes}`
  return `its output ${JSON.stringify(name)}, blob ${ref.digest}, ${state}`
}
