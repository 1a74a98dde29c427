/** The AWS client, set up from the environment in the AWS tools' own way. Loaded only when a store needs it. */

import type { S3Client } from '@aws-sdk/client-s3'

export type Sdk = typeof import('@aws-sdk/client-s3')

export interface S3Connection {
  readonly sdk: Sdk
  readonly client: S3Client
}

const MOST_TRIES = 8

/** The endpoint the environment names, or '' for Amazon's own. */
export function endpointOf(env: NodeJS.ProcessEnv): string {
  if (env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true') return ''
  return env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || ''
}

/**
 * Credentials, region, profile and endpoint as the SDK finds them. Own servers are addressed by path: few have a
 * host name for every bucket.
 */
export async function connect(env: NodeJS.ProcessEnv): Promise<S3Connection> {
  const sdk = await import('@aws-sdk/client-s3')
  const endpoint = endpointOf(env)
  const make = (region?: string) =>
    withoutNodeWarning(
      () =>
        new sdk.S3Client({
          ...(region === undefined ? {} : { region }),
          ...(endpoint === '' ? {} : { endpoint, forcePathStyle: true }),
          maxAttempts: Number(env['AWS_MAX_ATTEMPTS']) || MOST_TRIES,
          followRegionRedirects: true,
          // Many servers that speak S3 do not know trailing checksums. What matters is checked here: payloads
          // are signed with their sha256, and blobs are hashed when they are read.
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
          requestHandler: {
            connectionTimeout: 10_000,
            socketTimeout: 60_000,
            httpAgent: { maxSockets: 64, keepAlive: true },
            httpsAgent: { maxSockets: 64, keepAlive: true },
          },
        }),
    )
  const client = make()
  try {
    await client.config.region()
    return { sdk, client }
  } catch {
    // No region is configured; a bucket of Amazon's elsewhere answers with its region, and that is followed.
    client.destroy()
    return { sdk, client: make(env['AWS_DEFAULT_REGION'] || 'us-east-1') }
  }
}

/** The SDK announces on stderr which Node versions its later releases will leave behind: news for us, not for users. */
function withoutNodeWarning<T>(work: () => T): T {
  const name = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'
  const before = process.env[name]
  process.env[name] = 'true'
  try {
    return work()
  } finally {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}
