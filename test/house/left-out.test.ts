/** Without the server that a suite needs it is left out, loudly; on CI that is a failure. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { projectRoot, temporaryFolder } from '../e2e/cli.ts'

/** Runs a test file where neither a server nor what makes one is to be had. */
async function withoutServers(
  file: string,
  env: Record<string, string>,
): Promise<{ code: number | null; text: string }> {
  const home = temporaryFolder()
  const child = spawn(
    process.execPath,
    [join(projectRoot, 'node_modules', 'vitest', 'vitest.mjs'), 'run', file],
    {
      cwd: projectRoot,
      env: {
        PATH: '/nonexistent',
        HOME: home,
        SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS: '0',
        SHARDMILL_TEST_CACHE: home,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (more: string) => (text += more))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, text }
}

describe.each([
  [
    'Temporal',
    'test/temporal/cancel.test.ts',
    /LEFT OUT: cancel: there is no Temporal server here: neither `temporal` nor `go`/,
  ],
  [
    'S3',
    'test/store/s3-store.test.ts',
    /LEFT OUT: the store in a bucket: no S3 server could be had \(.*gofakes3 by Go: not here.*\)/,
  ],
])('no %s server', (name, file, why) => {
  test('on a laptop: the run passes and says which suite was left out, and why', async () => {
    const { code, text } = await withoutServers(file, {})
    expect(text).toMatch(why)
    expect(text).toMatch(/\d+ skipped/)
    expect(code, text).toBe(0)
  })

  test('on CI: the run fails', async () => {
    const { code, text } = await withoutServers(file, { CI: 'true' })
    expect(text).toContain(`on CI the ${name} suites must run`)
    expect(code).not.toBe(0)
  })
})
