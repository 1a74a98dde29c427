/** `s3://bucket/prefix`: where a store lies in a bucket, and how its things are named there. */

import { ShardmillError } from '../../errors/index.ts'
import { VERSION } from '../layout.ts'
import type { Digest } from '../types.ts'

export interface S3Address {
  readonly bucket: string
  /** Empty, or ending with a slash. */
  readonly prefix: string
  /** Without a slash at its end. */
  readonly url: string
}

/** Paths in the store are keys without the prefix: the same as in a store's folder. */
export const FOLDERS = {
  blobs: `${VERSION}/blobs/sha256/`,
  records: `${VERSION}/records/`,
  builds: `${VERSION}/builds/`,
  leases: `${VERSION}/leases/`,
  quarantine: `${VERSION}/quarantine/`,
} as const

export function blobPath(digest: Digest): string {
  return `${FOLDERS.blobs}${digest.slice(0, 2)}/${digest}`
}

export function recordPath(key: Digest): string {
  return `${FOLDERS.records}${key.slice(0, 2)}/${key}.json`
}

export function buildPath(id: Digest): string {
  return `${FOLDERS.builds}${id}.json`
}

/** True for what is meant as an address in a bucket, right or wrong. */
export function isS3Location(location: string): boolean {
  return /^s3:/i.test(location)
}

/** Throws USAGE for anything but `s3://bucket` and `s3://bucket/a/prefix`. */
export function parseS3Address(location: string): S3Address {
  // What stands in front of an @ is a secret: it may not be repeated.
  if (location.includes('@')) throw wrong('an address of a store has no user or password in it')
  const match = /^s3:\/\/([^/]+)(?:\/(.*))?$/i.exec(location)
  if (match === null) throw wrong(`${JSON.stringify(location)} is no address of a store`)
  const bucket = match[1]!
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket) || bucket.includes('..')) {
    throw wrong(`${JSON.stringify(bucket)} is no name of a bucket`)
  }
  const path = (match[2] ?? '').replace(/\/+$/, '')
  const parts = path === '' ? [] : path.split('/')
  if (parts.some((part) => !/^[A-Za-z0-9!_.*'()=+ -]+$/.test(part) || part === '.' || part === '..')) {
    throw wrong(`${JSON.stringify(path)} is no prefix for a store`)
  }
  const prefix = parts.map((part) => `${part}/`).join('')
  return { bucket, prefix, url: `s3://${[bucket, ...parts].join('/')}` }
}

function wrong(why: string): ShardmillError {
  return new ShardmillError('USAGE', why, {
    hint: 'name a store as s3://bucket/prefix; credentials and endpoint come from the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3)',
  })
}
