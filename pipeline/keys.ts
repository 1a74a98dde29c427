import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Digest, Json } from '../store/types.ts'

/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, no white space, ECMAScript numbers.
 * Undefined members are left out, as JSON.stringify does; NaN and infinities are refused.
 */
export function canonicalJson(value: Json | undefined): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('canonical JSON has no NaN and no infinities')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`
  if (typeof value !== 'object') throw new TypeError(`canonical JSON has no ${typeof value}`)
  const object = value as Readonly<Record<string, Json | undefined>>
  const members = Object.keys(object)
    .filter((name) => object[name] !== undefined)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonicalJson(object[name])}`)
  return `{${members.join(',')}}`
}

/** Everything that determines a stage's result, and nothing else. */
export interface KeyPreimage {
  readonly stage: string
  readonly version: number
  readonly params: Json
  readonly inputs: Readonly<Record<string, Digest>>
}

/** sha256 over the canonical JSON of {stage, version, params, inputs}. Pure JavaScript, so that workflows can use it. */
export function stageKey({ stage, version, params, inputs }: KeyPreimage): Digest {
  return digestOfText(canonicalJson({ stage, version, params, inputs }))
}

/** sha256 of a text's UTF-8 bytes. */
export function digestOfText(text: string): Digest {
  return bytesToHex(sha256(utf8ToBytes(text))) as Digest
}
