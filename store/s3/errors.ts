/** Failures of an object store in words, and whether a retry may help. Never a credential, never a signature. */

import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { errno } from '../fs-calls.ts'

/** HTTP status of a failed request, if there was an answer. */
export function statusOf(error: unknown): number | undefined {
  const metadata = field(error, '$metadata')
  const status = field(metadata, 'httpStatusCode')
  return typeof status === 'number' ? status : undefined
}

/** The object (or the upload) is not there. A missing bucket is another matter. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket'
}

/** `If-None-Match` or `If-Match` did not hold, or another conditional write was just under way. */
export function isConditionFailed(error: unknown): boolean {
  return statusOf(error) === 412
}

export function isConditionConflict(error: unknown): boolean {
  return statusOf(error) === 409
}

/** The server does not know conditional writes. */
export function isNotImplemented(error: unknown): boolean {
  return statusOf(error) === 501
}

const BAD_CREDENTIALS = [
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidToken',
  'InvalidClientTokenId',
  'TokenRefreshRequired',
]
const OTHER_REGION = [
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]
const FULL = ['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage', 'EntityTooLarge']

/**
 * The failure of a request as a `ShardmillError` with code STORE. `what` names the request (`GET v1/…`). What is
 * no failure of a request (a `ShardmillError` already, an abort, a bug) comes back untouched.
 */
export function s3Error(error: unknown, url: string, what: string): unknown {
  if (isShardmillError(error) || !(error instanceof Error) || error.name === 'AbortError') return error
  const name = nameOf(error)
  const status = statusOf(error)
  const details = {
    request: what,
    ...(status === undefined ? {} : { status }),
    ...(name === '' ? {} : { error: name }),
  }
  const fail = (why: string, hint: string, retryable: boolean) =>
    new ShardmillError('STORE', why, { hint, retryable, details })

  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return fail(
      `no credentials for the store ${url}`,
      'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as for every other AWS tool',
      false,
    )
  }
  if (BAD_CREDENTIALS.includes(name)) {
    return fail(
      `the credentials for the store ${url} are not accepted: ${name}`,
      'renew them, or choose others with AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
      false,
    )
  }
  if (name === 'NoSuchBucket') {
    return fail(
      `the bucket of the store ${url} does not exist`,
      'make the bucket, or look at its name, AWS_ENDPOINT_URL_S3 and AWS_REGION',
      false,
    )
  }
  if (name === 'RequestTimeTooSkewed') {
    return fail(
      `the store ${url} refuses requests: this clock is wrong`,
      'set the clock of this machine',
      false,
    )
  }
  if (OTHER_REGION.includes(name) || status === 301) {
    return fail(
      `the store ${url} lies in another region: ${name}`,
      'set AWS_REGION to the region of the bucket',
      false,
    )
  }
  if (FULL.includes(name) || status === 507) {
    return fail(
      `there is no room in the store ${url}: ${name || status}`,
      'free some space, run `shardmill store gc`, or raise the quota; what is finished is kept',
      true,
    )
  }
  if (status === 401 || status === 403) {
    return fail(
      `no permission to use the store ${url}: ${name || status} (${what})`,
      'it takes s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and, for the bucket, s3:ListBucket and s3:ListBucketMultipartUploads',
      false,
    )
  }
  if (
    status === 429 ||
    (status !== undefined && status >= 500) ||
    /SlowDown|Throttl|TooManyRequests/.test(name)
  ) {
    return fail(
      `the store ${url} is too busy or has trouble: ${name || 'error'} (HTTP ${status}), after all retries`,
      'run the same command again later; what is finished is kept',
      true,
    )
  }
  if (status !== undefined && status >= 400) {
    const retryable = [
      'NoSuchUpload',
      'RequestTimeout',
      'BadDigest',
      'IncompleteBody',
      'XAmzContentSHA256Mismatch',
    ]
    return fail(
      `the store ${url} refuses a request: ${name} (HTTP ${status}, ${what})`,
      'run the same command again; if it stays so, look at the permissions and the endpoint of the bucket',
      retryable.includes(name) || status === 409 || status === 412,
    )
  }
  const code = errno(error) ?? field(field(error, 'cause'), 'code')
  if (
    typeof code === 'string' ||
    name === 'TimeoutError' ||
    /socket|timed? ?out|aborted|premature/i.test(error.message)
  ) {
    return fail(
      `the store ${url} cannot be reached: ${typeof code === 'string' ? code : name}`,
      'look at the network and at AWS_ENDPOINT_URL_S3; what is finished is kept, so the same command goes on from there',
      true,
    )
  }
  // An answer that is no S3: a proxy's page, say. Its words may hold anything, so they are not repeated.
  if (status !== undefined || '$response' in error) {
    return fail(
      `the answer of the store ${url} makes no sense: ${name} (${what})`,
      'look whether AWS_ENDPOINT_URL_S3 leads to an S3 server',
      true,
    )
  }
  return error
}

function nameOf(error: unknown): string {
  const code = field(error, 'Code')
  if (typeof code === 'string' && code !== '') return code
  const name = field(error, 'name')
  return typeof name === 'string' ? name : ''
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}
