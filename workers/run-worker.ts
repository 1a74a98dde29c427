/** A worker process: polls task queues until it is told to stop, then lets running activities end or hands them back. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'
import {
  DefaultLogger,
  type LogLevel,
  type NativeConnection,
  Runtime,
  Worker,
  type WorkerDeploymentOptions,
  type WorkerOptions,
} from '@temporalio/worker'
import { createCpuActivities, createIoActivities, type Dependencies } from '../activities/index.ts'
import { ShardmillError } from '../errors/index.ts'
import { toolVersion } from '../errors/version.ts'
import { createHub } from '../hub/client/hub.ts'
import { hubSettings } from '../hub/client/settings.ts'
import { openStore } from '../stages/open-store.ts'
import { createStagePool, type StagePool } from '../stages/pool.ts'
import { tasksPerThread } from '../stages/threads.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import { type QueueName, queues } from '../workflows/names.ts'
import { connectWorker, type TemporalSettings } from './connect.ts'
import { StoreHold } from './store-hold.ts'
import { startTracing, type Tracing } from './tracing.ts'

export interface WorkerSettings {
  readonly temporal: TemporalSettings
  readonly store: string
  readonly queues: readonly QueueName[]
  /** CPU stages at a time, each in a thread of its own. */
  readonly threads: number
  /** Activities of the io queue at a time. */
  readonly io: number
  /** How long running activities may go on after `signal`, before they are handed back. */
  readonly graceMs: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly logLevel: LogLevel
  /** Name of a worker deployment: then builds stay with the code version they began with. */
  readonly deployment?: string
  /** host:port of a Prometheus endpoint. */
  readonly metrics?: string
  readonly onReady?: (facts: { readonly identity: string; readonly buildId: string }) => void
  readonly notice: (text: string) => void
}

/** Cached workflows live in V8 heaps; a build's workflows are few, and replaying one is cheap. */
const mostCachedWorkflows = 100
/** What is left after the grace period has this long to stop. */
const forceAfterMs = 10_000

/** Runs until `signal` is aborted. Throws TEMPORAL when there is no server, STORE when the store cannot be used. */
export async function runWorker(settings: WorkerSettings): Promise<void> {
  installRuntime(settings)
  const store = await openStore(settings.store, { onWarning: settings.notice })
  const hold = new StoreHold(store)
  let pool: StagePool | undefined
  let connection: NativeConnection | undefined
  let tracing: Tracing | undefined
  try {
    connection = await connectWorker(settings.temporal)
    const identity = `${process.pid}@${hostname()}`
    tracing = await startTracing(settings.env, identity)
    const deps: Dependencies = {
      ...dependencies(
        settings,
        store,
        hold,
        identity,
        () => (pool ??= createStagePool(settings.store, settings.threads)),
      ),
      ...(tracing === undefined ? {} : { tracer: tracing.tracer }),
    }
    const bundle = bundlePath()
    const buildId = buildIdOf(bundle)
    const common: Omit<WorkerOptions, 'taskQueue'> = {
      connection,
      namespace: settings.temporal.namespace,
      identity,
      shutdownGraceTime: settings.graceMs,
      shutdownForceTime: settings.graceMs + forceAfterMs,
      // A cancellation reaches an activity with the answer to a heartbeat: it must not wait longer than this.
      maxHeartbeatThrottleInterval: '2 seconds',
      defaultHeartbeatThrottleInterval: '2 seconds',
      ...(settings.deployment === undefined
        ? {}
        : { workerDeploymentOptions: versioning(settings.deployment, buildId) }),
    }
    const workers: Worker[] = []
    for (const queue of settings.queues)
      workers.push(await Worker.create({ ...common, ...optionsFor(queue, bundle, deps, settings) }))
    settings.onReady?.({ identity, buildId })
    await runAll(workers, settings.signal)
  } finally {
    await tracing?.close()
    await pool?.close()
    await connection?.close()
    await hold.close()
    await store.close()
  }
}

function optionsFor(
  queue: QueueName,
  bundle: string,
  deps: Dependencies,
  { threads, io }: WorkerSettings,
): Omit<WorkerOptions, 'connection'> {
  const taskQueue = queues[queue]
  switch (queue) {
    case 'workflows':
      return {
        taskQueue,
        workflowBundle: { codePath: bundle },
        maxCachedWorkflows: mostCachedWorkflows,
        // A worker that died with a workflow in its cache holds the build up for no longer than this.
        stickyQueueScheduleToStartTimeout: '3 seconds',
      }
    case 'io':
      return { taskQueue, activities: createIoActivities(deps), maxConcurrentActivityTaskExecutions: io }
    case 'cpu':
      return {
        taskQueue,
        activities: createCpuActivities(deps),
        // As in process: while one stage waits for the disk another one works, and the next is at hand.
        maxConcurrentActivityTaskExecutions: threads * tasksPerThread + 1,
      }
  }
}

function dependencies(
  { env }: WorkerSettings,
  store: ManagedStore,
  hold: StoreHold,
  identity: string,
  pool: () => StagePool,
): Dependencies {
  return {
    store,
    env,
    identity,
    pool: async () => pool(),
    hub: (signal, onRetry) =>
      createHub(hubSettings(env), { signal, onRetry: ({ message }) => onRetry(message) }),
    holdingStore: (work) => hold.during(work),
  }
}

/** All workers of this process stop together: at the signal, or when one of them fails. */
async function runAll(workers: readonly Worker[], signal: AbortSignal): Promise<void> {
  const stop = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    const running = workers.map((worker) => worker.run().finally(stop))
    if (signal.aborted) stop()
    const ended = await Promise.allSettled(running)
    for (const end of ended) if (end.status === 'rejected') throw end.reason
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Once a process: the SDK's core keeps logging and metrics for all its workers. Signals are ours to handle. */
function installRuntime({ logLevel, metrics }: WorkerSettings): void {
  try {
    Runtime.install({
      logger: new DefaultLogger(logLevel),
      shutdownSignals: [],
      telemetryOptions:
        metrics === undefined
          ? {}
          : { metrics: { prometheus: { bindAddress: metrics, countersTotalSuffix: true } } },
    })
  } catch (error) {
    if (metrics === undefined) throw error
    throw new ShardmillError('USAGE', `--metrics ${metrics}: ${(error as Error).message}`, {
      hint: 'Give an address and a free port, for example --metrics 127.0.0.1:9464.',
      cause: error,
    })
  }
}

/** The bundle is made by the build, not at start. */
export function bundlePath(): string {
  return fileURLToPath(new URL('../workflows/bundle.js', import.meta.url))
}

/** Of the code that decides what a build does: equal ids, equal decisions. */
export function buildIdOf(bundle: string): string {
  return `${toolVersion}-${createHash('sha256').update(readFileSync(bundle)).digest('hex').slice(0, 12)}`
}

function versioning(deploymentName: string, buildId: string): WorkerDeploymentOptions {
  return {
    useWorkerVersioning: true,
    version: { deploymentName, buildId },
    defaultVersioningBehavior: 'PINNED',
  }
}
