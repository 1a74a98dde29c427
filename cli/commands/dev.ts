import { join } from 'node:path'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { userFolder } from '../../store/user-folder.ts'
import { connect, connectClient, temporalSettings } from '../../workers/connect.ts'
import { type DevServer, startDevServer } from '../../workers/dev-server.ts'
import { runWorker } from '../../workers/run-worker.ts'
import type { CommandContext } from '../run.ts'
import { wholeNumber } from '../settings.ts'
import { type WorkerFlags, workerSettings } from './worker.ts'

export interface DevFlags {
  readonly temporal?: string
  readonly store?: string
  readonly port: string
  readonly uiPort?: string
  readonly concurrency?: string
}

/** One command for a laptop: a Temporal server with its data on disk, and a worker. */
export async function devCommand(context: CommandContext, flags: DevFlags): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  const notice = (text: string) => process.stderr.write(`${text}\n`)
  const worker: WorkerFlags = {
    queues: 'workflows,io,cpu',
    io: '8',
    grace: '5',
    ...(flags.store === undefined ? {} : { store: flags.store }),
    ...(flags.temporal === undefined ? {} : { temporal: flags.temporal }),
    ...(flags.concurrency === undefined ? {} : { concurrency: flags.concurrency }),
  }
  // What is wrong with them is said before a server is started.
  const settings = workerSettings(context, worker)
  const server = await serverFor(context, flags, notice)
  try {
    const address = server?.address ?? settings.temporal.address
    const running = runWorker({
      ...settings,
      temporal: temporalSettings(address),
      signal,
      onReady: () => {
        process.stdout.write(`temporal ${address}\n${server?.ui === undefined ? '' : `ui ${server.ui}\n`}`)
        if (!context.quiet)
          notice(
            `ready, store ${settings.store}: submit with \`shardmill build RECIPE --out DIR --temporal ${address}\`; Ctrl-C stops server and worker`,
          )
      },
    })
    try {
      await (server === undefined ? running : Promise.race([running, server.lost]))
    } finally {
      stop.abort()
      await running.catch(() => undefined)
    }
  } finally {
    await server?.stop()
  }
}

/** A server that was named is used as it is; one that already runs at our port too; else one is started. */
async function serverFor(
  context: CommandContext,
  flags: DevFlags,
  notice: (text: string) => void,
): Promise<DevServer | undefined> {
  const port = wholeNumber(flags.port, '--port')
  const named = flags.temporal ?? process.env['TEMPORAL_ADDRESS']
  if (named !== undefined && named !== '') {
    await reach(named)
    return undefined
  }
  if (port !== 0 && (await isUp(`127.0.0.1:${port}`))) {
    throw new ShardmillError('TEMPORAL', `a Temporal server already runs at 127.0.0.1:${port}`, {
      hint: `Use it with \`shardmill dev --temporal 127.0.0.1:${port}\`, or start another one with --port.`,
    })
  }
  return startDevServer({
    folder: join(dataHome(), 'shardmill', 'temporal'),
    env: process.env,
    port,
    namespace: temporalSettings().namespace,
    attributes: true,
    ...(flags.uiPort === undefined ? {} : { uiPort: wholeNumber(flags.uiPort, '--ui-port') }),
    signal: context.signal,
    notice,
  })
}

async function reach(address: string): Promise<void> {
  const client = await connectClient(temporalSettings(address))
  await client.connection.close()
}

async function isUp(address: string): Promise<boolean> {
  try {
    await (await connect(temporalSettings(address))).close()
    return true
  } catch (error) {
    if (isShardmillError(error, 'TEMPORAL')) return false
    throw error
  }
}

function dataHome(): string {
  const folder = userFolder(process.env, 'XDG_DATA_HOME', '.local', 'share')
  if (folder === undefined)
    throw new ShardmillError('USAGE', 'there is no home folder (HOME) for the server’s data', {
      hint: 'Name a folder for it with XDG_DATA_HOME.',
    })
  return folder
}
