import { ShardmillError } from '../../errors/index.ts'
import { temporalSettings } from '../../workers/connect.ts'
import { runWorker, type WorkerSettings } from '../../workers/run-worker.ts'
import { type QueueName, queues } from '../../workflows/names.ts'
import type { CommandContext } from '../run.ts'
import { storeLocation, threadCount, wholeNumber } from '../settings.ts'

export interface WorkerFlags {
  readonly temporal?: string
  readonly store?: string
  readonly queues: string
  readonly concurrency?: string
  readonly io: string
  readonly grace: string
  readonly deployment?: string
  readonly metrics?: string
}

export async function workerCommand(context: CommandContext, flags: WorkerFlags): Promise<void> {
  const settings = workerSettings(context, flags)
  await runWorker({
    ...settings,
    onReady: ({ identity, buildId }) => {
      // One line for programs: who it is, and which code it runs.
      process.stdout.write(`ready ${identity} ${buildId}\n`)
      if (context.quiet) return
      const { temporal, queues: polled, threads, store } = settings
      process.stderr.write(
        `worker ${identity}, build ${buildId}: polling ${polled.join(', ')} at ${temporal.address} (${temporal.namespace}), ${threads} CPU stages at a time, store ${store}; Ctrl-C stops it\n`,
      )
    },
  })
}

export function workerSettings(context: CommandContext, flags: WorkerFlags): WorkerSettings {
  return {
    temporal: temporalSettings(flags.temporal),
    store: storeLocation(flags.store),
    queues: queueNames(flags.queues),
    threads: threadCount(flags.concurrency, '--concurrency'),
    io: wholeNumber(flags.io, '--io', 1),
    graceMs: 1000 * wholeNumber(flags.grace, '--grace'),
    env: process.env,
    signal: context.signal,
    logLevel: context.verbose ? 'INFO' : 'ERROR',
    notice: (text) => process.stderr.write(`${text}\n`),
    ...(flags.deployment === undefined ? {} : { deployment: flags.deployment }),
    ...(flags.metrics === undefined ? {} : { metrics: flags.metrics }),
  }
}

function queueNames(text: string): QueueName[] {
  const known = Object.keys(queues) as QueueName[]
  const names = text.split(',').map((name) => name.trim())
  const wrong = names.find((name) => !known.includes(name as QueueName))
  if (wrong !== undefined) {
    throw new ShardmillError(
      'USAGE',
      `--queues has ${JSON.stringify(wrong)}, expected one or more of ${known.join(', ')}`,
    )
  }
  return known.filter((name) => names.includes(name))
}
