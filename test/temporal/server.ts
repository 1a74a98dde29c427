/**
 * The real Temporal dev server for the tests of this folder, and workers as processes of their own. Where no server
 * can be had the suites are left out, loudly; on CI that is a failure.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { afterAll, afterEach, describe } from 'vitest'
import { type DevServer, freePort, startDevServer } from '../../workers/dev-server.ts'
import { findTemporalCli } from '../../workers/temporal-cli.ts'
import { type Bench, projectRoot, temporaryFolder } from '../e2e/cli.ts'

const main = join(projectRoot, 'dist', 'cli', 'shardmill.cjs')
const preloads = {
  fault: pathToFileURL(join(projectRoot, 'test', 'faults', 'fs-preload.mjs')).href,
  slow: pathToFileURL(join(projectRoot, 'test', 'temporal', 'slow-preload.mjs')).href,
}

/** What had to be fetched or built is kept here for the next run. */
const cache =
  process.env['SHARDMILL_TEST_CACHE'] ?? join(projectRoot, 'node_modules', '.cache', 'shardmill-tests')

/** In the order of `shardmill dev`; or why there is none. */
async function findCli(): Promise<{ readonly cli: string } | { readonly missing: string }> {
  const notice = (text: string) => process.stderr.write(`${text}\n`)
  const lock = join(cache, 'temporal-cli.lock')
  mkdirSync(cache, { recursive: true })
  // Test files run side by side: one of them fetches or builds, the others wait.
  while (!tookLock(lock)) await pause(200)
  try {
    const signal = new AbortController().signal
    return { cli: await findTemporalCli({ folder: cache, env: process.env, notice, signal }) }
  } catch (error) {
    return { missing: (error as Error).message }
  } finally {
    rmSync(lock, { force: true })
  }
}

function tookLock(path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
  } catch (error) {
    // Its owner was killed, or has just let it go.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') rmSync(path, { force: true })
  }
  return false
}

const found = await findCli()
const missing = 'missing' in found ? found.missing : undefined

/** Environment in which `shardmill dev` and startDevServer find the CLI that was found here. */
export const cliEnv: Record<string, string> = 'cli' in found ? { SHARDMILL_TEMPORAL_CLI: found.cli } : {}

/** A suite that needs the server. */
export function temporalSuite(name: string, suite: () => void): void {
  if (missing === undefined) {
    describe(name, suite)
    return
  }
  if (process.env['CI'] === 'true') throw new Error(`${name}: ${missing}; on CI the Temporal suites must run`)
  console.warn(`LEFT OUT: ${name}: ${missing}`)
  describe.skip(`${name} (left out: ${missing})`, suite)
}

const servers: TestServer[] = []
const workers = new Set<ChildProcess>()
// A worker that a failed test left behind would take the next test's work.
afterEach(() => {
  for (const worker of workers) worker.kill('SIGKILL')
})
afterAll(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

export interface TestServer {
  readonly address: string
  readonly client: Client
  readonly folder: string
  /** SIGKILL, as a power cut would. */
  kill(): Promise<void>
  /** Again on its database and port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export async function startServer({ attributes = false } = {}): Promise<TestServer> {
  const folder = temporaryFolder()
  const port = await freePort()
  const options = {
    folder,
    env: { ...process.env, ...cliEnv },
    port,
    uiPort: null,
    attributes,
    signal: new AbortController().signal,
    notice: () => {},
  }
  let running: DevServer = await startDevServer(options)
  const connection = await Connection.connect({ address: running.address })
  const server: TestServer = {
    address: running.address,
    client: new Client({ connection }),
    folder,
    async kill() {
      running.process.kill('SIGKILL')
      await once(running.process, 'exit')
    },
    async restart() {
      running = await startDevServer(options)
    },
    async stop() {
      await connection.close()
      await running.stop()
    },
  }
  servers.push(server)
  return server
}

export interface WorkerProcess {
  readonly child: ChildProcess
  /** Everything it has written so far. */
  readonly output: () => string
  readonly exited: Promise<void>
  readonly ended: () => boolean
}

export interface WorkerOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Faults for test/faults/fs-preload.mjs. */
  readonly fault?: { readonly spec: string; readonly path: string }
  /** Every file operation under the store takes this much longer. */
  readonly slowMs?: number
}

/** Starts `shardmill worker` on a bench's store, and returns once it polls. */
export async function startWorker(
  server: TestServer,
  at: Bench,
  options: WorkerOptions = {},
): Promise<WorkerProcess> {
  const { args = [], env = {}, fault, slowMs } = options
  const loaded = [
    ...(fault === undefined ? [] : ['--import', preloads.fault]),
    ...(slowMs === undefined ? [] : ['--import', preloads.slow]),
  ]
  const child = spawn(
    process.execPath,
    [
      ...loaded,
      main,
      'worker',
      '--temporal',
      server.address,
      '--store',
      at.store,
      '--concurrency',
      '2',
      '--grace',
      '2',
      ...args,
    ],
    {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: at.folder,
        ...at.env,
        ...env,
        ...(fault === undefined
          ? {}
          : { SHARDMILL_TEST_FAULT: fault.spec, SHARDMILL_TEST_FAULT_PATH: fault.path }),
        ...(slowMs === undefined
          ? {}
          : { SHARDMILL_TEST_SLOW_MS: String(slowMs), SHARDMILL_TEST_SLOW_PATH: at.store }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  workers.add(child)
  let text = ''
  let over = false
  const heard: (() => void)[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (more: string) => {
      text += more
      for (const wake of heard) wake()
    })
  }
  const exited = once(child, 'exit').then(() => {
    over = true
    workers.delete(child)
    for (const wake of heard) wake()
  })
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (text.includes('ready ')) resolve()
      else if (over) reject(new Error(`the worker ended before it was ready\n${text}`))
    }
    heard.push(look)
    look()
  })
  return { child, output: () => text, exited, ended: () => over }
}

export async function stopWorker(
  { child, exited }: WorkerProcess,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<void> {
  child.kill(signal)
  await exited
}

/** How long a worker may be silent here. */
export const heartbeatMs = 2_500

/** Environment for clients: where the server is, and limits that fit tests. */
export function clientEnv(server: TestServer, at: Bench): Record<string, string> {
  return { ...at.env, TEMPORAL_ADDRESS: server.address, SHARDMILL_HEARTBEAT_TIMEOUT_MS: String(heartbeatMs) }
}

/** Arguments for building a bench on Temporal. */
export function temporalArgs(at: Bench, out = at.out): string[] {
  return ['build', at.recipe, '--out', out, '--store', at.store, '--temporal']
}
