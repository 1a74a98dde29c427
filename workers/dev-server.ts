/** The Temporal dev server for a laptop. Its data lies on disk, so that a restart loses nothing. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Connection } from '@temporalio/client'
import { ShardmillError } from '../errors/index.ts'
import { searchAttributes } from '../workflows/names.ts'
import { findTemporalCli } from './temporal-cli.ts'

export interface DevServerOptions {
  /** Folder for the database, and for a CLI that had to be built. */
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** gRPC port; 0 takes a free one. */
  readonly port: number
  /** Port of the web UI; undefined takes the server's default (port + 1000), null goes without. */
  readonly uiPort?: number | null
  /** Is made if it is not `default`. */
  readonly namespace?: string
  /** Registers our search attributes. */
  readonly attributes?: boolean
  readonly signal: AbortSignal
  readonly notice: (text: string) => void
}

export interface DevServer {
  readonly address: string
  readonly ui: string | undefined
  readonly process: ChildProcess
  /** Rejects when the server ends without having been asked to. */
  readonly lost: Promise<never>
  stop(): Promise<void>
}

/** Starts it, and returns once it answers. Throws TEMPORAL. */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const { folder, signal, namespace = 'default' } = options
  await mkdir(folder, { recursive: true })
  const cli = await findTemporalCli(options)
  const port = options.port === 0 ? await freePort() : options.port
  const uiPort = options.uiPort === undefined ? port + 1000 : options.uiPort
  const address = `127.0.0.1:${port}`
  const args = [
    'server',
    'start-dev',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--db-filename',
    join(folder, 'temporal.db'),
    // Written at once, synced now and then: a server that is killed loses nothing, a machine that loses its power at
    // most the last moments of a history, which the next build finds done in the store.
    '--sqlite-pragma',
    'synchronous=normal',
    '--log-level',
    'error',
    ...(namespace === 'default' ? [] : ['--namespace', namespace]),
    ...(options.attributes === true
      ? Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`])
      : []),
  ]
  const child = spawn(
    cli,
    uiPort === null ? [...args, '--headless'] : [...args, '--ui-port', String(uiPort)],
    {
      // Ctrl-C reaches the whole terminal group: the worker has to drain while the server still runs.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2_000)
  })
  let asked = false
  const gone = new AbortController()
  const lost = new Promise<never>((_, reject) => {
    child.once('error', (error) => {
      // Not for a signal that could not be sent.
      if (child.pid === undefined)
        reject(
          failed(
            `${cli} cannot be started: ${error.message}`,
            'Name another program with SHARDMILL_TEMPORAL_CLI.',
          ),
        )
    })
    child.once('exit', (code, killed) => {
      if (!asked)
        reject(failed(`the Temporal dev server ended (${killed ?? `exit code ${code}`}): ${lastLine(words)}`))
    })
  })
  lost.catch(() => gone.abort())
  const stop = async () => {
    asked = true
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const force = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await once(child, 'exit')
    clearTimeout(force)
  }
  try {
    await Promise.race([answers(address, namespace, AbortSignal.any([signal, gone.signal])), lost])
  } catch (error) {
    await stop()
    throw error
  }
  return {
    address,
    ui: uiPort === null ? undefined : `http://127.0.0.1:${uiPort}`,
    process: child,
    lost,
    stop,
  }
}

function failed(
  why: string,
  hint = 'Another server may be using the port or the database; --port takes another port.',
): ShardmillError {
  return new ShardmillError('TEMPORAL', why, { hint })
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

async function answers(address: string, namespace: string, signal: AbortSignal): Promise<void> {
  for (const until = Date.now() + 60_000; ; ) {
    signal.throwIfAborted()
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2_000 })
      try {
        // It answers before its namespaces are there.
        await connection.workflowService.describeNamespace({ namespace })
      } finally {
        await connection.close()
      }
      return
    } catch (error) {
      if (Date.now() > until)
        throw failed(`the Temporal dev server at ${address} does not answer: ${(error as Error).message}`)
      await pause(200, undefined, { signal }).catch(() => undefined)
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new TypeError('a listening server has a port')
  return address.port
}
