/** Without a server the suites of this folder are left out, loudly; on CI that is a failure. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { projectRoot, temporaryFolder } from '../e2e/cli.ts'

/** Runs a suite of this folder where neither `temporal` nor Go is to be had. */
async function suiteWithoutServer(
  env: Record<string, string>,
): Promise<{ code: number | null; text: string }> {
  const home = temporaryFolder()
  const child = spawn(
    process.execPath,
    [join(projectRoot, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/temporal/cancel.test.ts'],
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

test('on a laptop: the run passes and says which suite was left out, and why', async () => {
  const { code, text } = await suiteWithoutServer({})
  expect(text).toMatch(/LEFT OUT: cancel: there is no Temporal server here: neither `temporal` nor `go`/)
  expect(text).toMatch(/1 skipped/)
  expect(code, text).toBe(0)
})

test('on CI: the run fails', async () => {
  const { code, text } = await suiteWithoutServer({ CI: 'true' })
  expect(text).toContain('on CI the Temporal suites must run')
  expect(code).not.toBe(0)
})
