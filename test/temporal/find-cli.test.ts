/** Where the Temporal CLI comes from, in order; what is tried in vain is said. Nothing here leaves the machine. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findTemporalCli } from '../../workers/temporal-cli.ts'
import { bench, expectClearError, run, smallRecipe, temporaryFolder } from '../e2e/cli.ts'

const signal = new AbortController().signal
/** The SDK's download takes this for its way out, and is refused. */
const refused = { HTTPS_PROXY: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1' }
const base = '/usr/bin:/bin'

function program(folder: string, name: string, script: string): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

/** A `go` that notes how it was called and installs a program that says who it is. */
function fakeGo(folder: string): string {
  return program(
    folder,
    'go',
    `echo "$@" >> "${folder}/calls"\nprintf '#!/bin/sh\\necho built' > "$GOBIN/temporal"\nchmod +x "$GOBIN/temporal"`,
  )
}

async function find(env: Record<string, string>, folder = temporaryFolder()) {
  const said: string[] = []
  const path = await findTemporalCli({ folder, env, signal, notice: (text) => said.push(text) })
  return { path, said }
}

test('a CLI that is named comes first, then the PATH, then what was kept', async () => {
  const [named, onPath, folder] = [temporaryFolder(), temporaryFolder(), temporaryFolder()]
  const first = program(named, 'mine', 'exit 0')
  const second = program(onPath, 'temporal', 'exit 0')
  const third = program(join(folder, 'bin'), 'temporal-v1.5.1', 'exit 0')
  const env = { PATH: onPath, SHARDMILL_TEMPORAL_CLI: first }
  expect(await find(env, folder)).toEqual({ path: first, said: [] })
  expect(await find({ PATH: onPath }, folder)).toEqual({ path: second, said: [] })
  expect(await find({ PATH: named }, folder)).toEqual({ path: third, said: [] })
  await expect(find({ ...env, SHARDMILL_TEMPORAL_CLI: join(named, 'gone') })).rejects.toMatchObject({
    code: 'TEMPORAL',
    message: expect.stringContaining('SHARDMILL_TEMPORAL_CLI'),
  })
})

test('a download that fails is said, and Go builds the pinned version, once', async () => {
  const [bin, folder] = [temporaryFolder(), temporaryFolder()]
  fakeGo(bin)
  const env = { PATH: `${bin}:${base}`, ...refused }
  const { path, said } = await find(env, folder)
  expect(path).toBe(join(folder, 'bin', 'temporal-v1.5.1'))
  expect(readFileSync(path, 'utf8')).toContain('echo built')
  expect(said).toEqual([
    'downloading the Temporal CLI v1.5.1, once',
    expect.stringMatching(
      /^the SDK's download of the CLI failed: error sending request for url .*refused.*; building the Temporal CLI v1\.5\.1 with Go/,
    ),
  ])
  expect(readFileSync(join(bin, 'calls'), 'utf8')).toBe(
    'install github.com/temporalio/cli/cmd/temporal@v1.5.1\n',
  )
  expect(await find(env, folder)).toEqual({ path, said: [] })
})

const silent: Server[] = []
afterAll(() => {
  for (const server of silent) server.close()
})

test('a download that hangs is given up in time', async () => {
  const [bin, folder] = [temporaryFolder(), temporaryFolder()]
  fakeGo(bin)
  const server = createServer((socket) => socket.on('error', () => undefined).resume())
  silent.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const { said } = await find(
    {
      PATH: `${bin}:${base}`,
      HTTPS_PROXY: proxy,
      https_proxy: proxy,
      SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS: '3',
    },
    folder,
  )
  expect(said.at(-1)).toContain("the SDK's download of the CLI was not through after 3 s; building")
})

test('without Go either, and when Go fails, one error says what was tried', async () => {
  await expect(find({ PATH: temporaryFolder(), ...refused })).rejects.toMatchObject({
    code: 'TEMPORAL',
    message: expect.stringMatching(
      /neither `temporal` nor `go` is on the PATH, and the SDK's download .* failed/,
    ),
  })
  const bin = temporaryFolder()
  program(bin, 'go', 'echo first >&2; echo "module not found" >&2; exit 1')
  const off = { PATH: `${bin}:${base}`, SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS: '0' }
  const folder = temporaryFolder()
  await expect(find(off, folder)).rejects.toMatchObject({
    code: 'TEMPORAL',
    message: 'the Temporal CLI could not be built: module not found',
  })
  expect(existsSync(join(folder, 'bin', 'temporal-v1.5.1'))).toBe(false)
  await expect(find({ ...off, SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS: 'soon' })).rejects.toMatchObject({
    code: 'USAGE',
  })
})

test('`dev` shows it as one error, and a named server is not looked for', async () => {
  const at = bench(smallRecipe(), { url: 'http://127.0.0.1:1' })
  const dev = ['dev', '--store', at.store, '--port', '0']
  const bare = { PATH: '/nonexistent', XDG_DATA_HOME: at.folder, ...refused }
  const without = await run(dev, { env: bare })
  expectClearError(without, [5])
  expect(without.stderr).toContain('neither `temporal` nor `go` is on the PATH')
  const wrong = await run(dev, { env: { ...bare, SHARDMILL_TEMPORAL_CLI: at.recipe } })
  expectClearError(wrong, [5])
  expect(wrong.stderr).toContain('SHARDMILL_TEMPORAL_CLI')
  // A program by its mode, but nothing can start it.
  const lame = program(at.folder, 'lame', '')
  writeFileSync(lame, '#!/nonexistent/interpreter\n')
  const started = await run(dev, { env: { ...bare, SHARDMILL_TEMPORAL_CLI: lame } })
  expectClearError(started, [5])
  expect(started.stderr).toContain(`${lame} cannot be started`)
  const given = await run([...dev, '--temporal', '127.0.0.1:1'], { env: bare })
  expectClearError(given, [5])
  expect(given.stderr).toContain('no Temporal server answers at 127.0.0.1:1')
  expect(given.stderr).not.toContain('download')
})
