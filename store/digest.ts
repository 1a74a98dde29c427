/** Digests: the one door through which a text becomes a `Digest`, and sha256 over bytes. */

import { createHash } from 'node:crypto'
import type { Digest } from './types.ts'

const DIGEST = /^[0-9a-f]{64}$/

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && DIGEST.test(text)
}

/** The text as a `Digest`. Throws a `TypeError` when it is not one: check text from outside with `isDigest`. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new TypeError(`expected 64 lower-case hex digits, found ${JSON.stringify(text)}`)
  return text
}

/** The sha256 of bytes, or of a text's UTF-8. */
export function sha256(bytes: Uint8Array | string): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest
}

export interface Sha256 {
  update(chunk: Uint8Array): void
  /** To be called once, at the end. */
  digest(): Digest
}

/** A sha256 over bytes that come in pieces. */
export function startSha256(): Sha256 {
  const hash = createHash('sha256')
  return {
    update: (chunk) => void hash.update(chunk),
    digest: () => hash.digest('hex') as Digest,
  }
}
