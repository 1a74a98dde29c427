/**
 * A real S3 server for the tests, from wherever one can be had: an address in SHARDMILL_TEST_S3_ENDPOINT (with
 * credentials in the environment), moto on this machine (`moto_server` on PATH, or the Python that
 * SHARDMILL_TEST_PYTHON names), gofakes3 built by Go, or moto from pip. What is built or installed is kept in
 * node_modules/.cache. Where none can be had the suites are left out, loudly; on CI that is a failure.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe } from 'vitest'

const run = promisify(execFile)
const CACHE =
  process.env['SHARDMILL_TEST_CACHE'] ??
  fileURLToPath(new URL('../../node_modules/.cache/shardmill-tests', import.meta.url))
const GOFAKES3 = 'github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0'
const MOTO = 'moto[server]==5.1.17'
const SETTLING_MS = 60_000

export const BUCKET = 'shardmill-tests'

export interface S3Server {
  readonly kind: string
  readonly endpoint: string
}

const started = new Set<ChildProcess>()
afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
})

/** The server, with the tests' bucket made; or, in words, why there is none. */
async function findS3Server(): Promise<S3Server | string> {
  const tried: string[] = []
  const given = process.env['SHARDMILL_TEST_S3_ENDPOINT']
  // A server of our own asks for no particular credentials.
  process.env['AWS_ACCESS_KEY_ID'] ??= 'TESTSKEYID0123456789'
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'tests-secret-key-0123456789'
  process.env['AWS_REGION'] ??= 'us-east-1'
  if (given !== undefined && given !== '') return ready({ kind: 'the server given', endpoint: given })
  for (const [name, find] of Object.entries(WAYS)) {
    try {
      const command = await find()
      if (command === undefined) tried.push(`${name}: not here`)
      else return await ready(await start(name, command))
    } catch (error) {
      tried.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
    }
  }
  return `no S3 server could be had (${tried.join('; ')}); set SHARDMILL_TEST_S3_ENDPOINT to one`
}

type Command = (port: number) => readonly string[]

const WAYS: Readonly<Record<string, () => Promise<Command | undefined>>> = {
  async 'moto_server on PATH'() {
    if (!(await succeeds('moto_server', ['--help']))) return undefined
    return (port) => ['moto_server', '-H', '127.0.0.1', '-p', String(port)]
  },
  async 'moto in SHARDMILL_TEST_PYTHON'() {
    const python = process.env['SHARDMILL_TEST_PYTHON']
    if (python === undefined || !(await succeeds(python, ['-c', 'import moto.server']))) return undefined
    return motoOf(python)
  },
  async 'gofakes3 by Go'() {
    const binary = join(CACHE, GOFAKES3.replace(/^.*\//, ''))
    if (!existsSync(binary)) {
      if (!(await succeeds('go', ['version']))) return undefined
      mkdirSync(CACHE, { recursive: true })
      const bin = mkdtempSync(join(CACHE, 'go-'))
      await run('go', ['install', GOFAKES3], { env: { ...process.env, GOBIN: bin }, timeout: 300_000 })
      renameSync(join(bin, 'gofakes3'), binary)
      rmSync(bin, { recursive: true })
    }
    return (port) => [binary, '-backend', 'memory', '-host', `127.0.0.1:${port}`]
  },
  async 'moto by pip'() {
    const venv = join(CACHE, MOTO.replace(/[^a-z0-9.]+/g, '-'))
    const python = join(venv, 'bin', 'python')
    if (!(await succeeds(python, ['-c', 'import moto.server']))) {
      if (!(await succeeds('python3', ['--version']))) return undefined
      // Under a name of its own until it is whole: several test files may be at it.
      mkdirSync(CACHE, { recursive: true })
      const own = mkdtempSync(join(CACHE, 'pip-'))
      await run('python3', ['-m', 'venv', own])
      await run(join(own, 'bin', 'python'), ['-m', 'pip', 'install', '-q', MOTO], { timeout: 300_000 })
      if (existsSync(venv)) return motoOf(join(own, 'bin', 'python'))
      renameSync(own, venv)
    }
    return motoOf(python)
  },
}

function motoOf(python: string): Command {
  const main = 'from moto.server import main; main()'
  return (port) => [python, '-c', main, '-H', '127.0.0.1', '-p', String(port)]
}

async function succeeds(file: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(file, args, { timeout: 60_000 })
    return true
  } catch {
    return false
  }
}

async function start(kind: string, command: Command): Promise<S3Server> {
  const port = await freePort()
  const [file, ...args] = command(port)
  const child = spawn(file!, args, { stdio: 'ignore' })
  started.add(child)
  child.on('exit', () => started.delete(child))
  child.on('error', () => started.delete(child))
  const endpoint = `http://127.0.0.1:${port}`
  for (const until = Date.now() + SETTLING_MS; Date.now() < until; ) {
    if (!started.has(child)) throw new Error('it ended at once')
    try {
      await (await fetch(endpoint)).arrayBuffer()
      return { kind, endpoint }
    } catch {
      await pause(50)
    }
  }
  throw new Error('it does not answer')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function ready(server: S3Server): Promise<S3Server> {
  const { connect } = await import('../../store/s3/connection.ts')
  const { sdk, client } = await connect({ AWS_ENDPOINT_URL_S3: server.endpoint })
  try {
    await client.send(new sdk.CreateBucketCommand({ Bucket: BUCKET }))
  } catch (error) {
    const known = ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists']
    if (!(error instanceof Error && known.includes(error.name))) throw error
  } finally {
    client.destroy()
  }
  return server
}

const found = await findS3Server()

/** A suite that needs the server. */
export function s3Suite(name: string, suite: (server: S3Server) => void): void {
  if (typeof found !== 'string') {
    describe(`${name} (${found.kind})`, () => suite(found))
    return
  }
  if (process.env['CI'] === 'true') throw new Error(`${name}: ${found}; on CI the S3 suites must run`)
  console.warn(`LEFT OUT: ${name}: ${found}`)
  // Its tests are counted as skipped by their names; none of them runs.
  describe.skip(`${name} (left out: ${found})`, () => suite({ kind: 'none', endpoint: 'http://127.0.0.1:9' }))
}
