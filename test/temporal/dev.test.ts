/** `shardmill dev`: server and worker from one command, data on disk, both gone after Ctrl-C. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Connection } from '@temporalio/client'
import { expect, test } from 'vitest'
import { freePort } from '../../workers/dev-server.ts'
import { type Bench, bench, goldenHub, json, ok, run, serve, smallRecipe, start } from '../e2e/cli.ts'
import { cliEnv, temporalSuite } from './server.ts'

temporalSuite('dev', () => {
  const dev = (at: Bench, port: number) =>
    start(['dev', '--port', String(port), '--store', at.store, '--concurrency', '2'], {
      env: { ...at.env, ...cliEnv, XDG_DATA_HOME: at.folder },
    })

  test('starts both, builds, stops both; a restart still knows the build', async () => {
    const at = bench(smallRecipe(), await serve(goldenHub))
    const port = await freePort()
    const env = { ...at.env, TEMPORAL_ADDRESS: `127.0.0.1:${port}` }
    const first = dev(at, port)
    await first.says(`temporal 127.0.0.1:${port}`)
    const report = await json<{ stages: { run: number } }>(
      ['build', at.recipe, '--out', at.out, '--store', at.store, '--temporal'],
      { env },
    )
    expect(report.stages.run).toBeGreaterThan(0)
    first.child.kill('SIGINT')
    const stopped = await first.done
    expect(stopped, stopped.stderr).toMatchObject({ code: 0 })
    expect(stopped.stdout).toContain(`ui http://127.0.0.1:${port + 1000}`)
    await expect(
      Connection.connect({ address: `127.0.0.1:${port}`, connectTimeout: 1_000 }),
    ).rejects.toThrow()
    expect(existsSync(join(at.folder, 'shardmill', 'temporal', 'temporal.db'))).toBe(true)

    const second = dev(at, port)
    await second.says(`temporal 127.0.0.1:${port}`)
    expect((await ok(['list'], { env })).stdout).toContain('completed')
    // A second one at the same port says what to do instead.
    const third = await dev(at, port).done
    expect(third).toMatchObject({ code: 5, stderr: expect.stringContaining(`--temporal 127.0.0.1:${port}`) })
    second.child.kill('SIGTERM')
    expect((await second.done).code).toBe(0)
  }, 120_000)

  test('a profile of temporal.toml says where the server is', async () => {
    const at = bench(smallRecipe(), await serve(goldenHub))
    const file = join(at.folder, 'temporal.toml')
    writeFileSync(file, '[profile.other]\naddress = "127.0.0.1:1"\nnamespace = "there"\n')
    const finished = await run(['list'], { env: { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'other' } })
    expect(finished).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('no Temporal server answers at 127.0.0.1:1'),
    })
  })
})
