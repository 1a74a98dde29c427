/** A worker process, and a build on it that is followed as the command line follows it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Client } from '@temporalio/client'
import { followBuild } from '../../cli/temporal/follow.ts'
import { type Submission, submitBuild } from '../../cli/temporal/submit.ts'
import type { BuildObserver } from '../../engine/events.ts'
import { cliPath } from '../build/processes.ts'

export interface WorkerProcess {
  readonly pid: number
  stop(): Promise<void>
}

/** Returns once the worker polls. */
export async function startWorkerProcess({
  address,
  store,
  threads,
  endpoint,
}: {
  address: string
  store: string
  threads: number
  endpoint: string
}): Promise<WorkerProcess> {
  const flags = process.env['BENCH_WORKER_FLAGS']?.split(' ') ?? []
  const child = spawn(
    process.execPath,
    [...flags, cliPath, 'worker', '--temporal', address, '--store', store, '--concurrency', String(threads)],
    { env: { ...process.env, HF_ENDPOINT: endpoint }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = once(child, 'close')
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', () => resolve())
    void ended.then(() => reject(new Error('the worker ended')))
  })
  return {
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

export interface BuiltOnTemporal {
  readonly seconds: number
  readonly workflows: number
  readonly events: number
  readonly activities: number
}

/** From before the submission to the result; without an observer the result alone is waited for. */
export async function buildOnTemporal(
  client: Client,
  submission: Submission,
  observer: BuildObserver | undefined,
): Promise<BuiltOnTemporal> {
  const started = performance.now()
  const { workflowId, runId } = await submitBuild(client, submission)
  if (observer === undefined) await client.workflow.getHandle(workflowId).result()
  else {
    await followBuild({
      client,
      namespace: client.options.namespace,
      workflowId,
      signal: new AbortController().signal,
      observer,
    })
  }
  const seconds = (performance.now() - started) / 1000
  const histories = [await client.workflow.getHandle(workflowId, runId).fetchHistory()]
  for (let i = 0; i < histories.length; i++) {
    for (const { childWorkflowExecutionStartedEventAttributes: child } of histories[i]!.events ?? []) {
      const { workflowId: id, runId: run } = child?.workflowExecution ?? {}
      if (id && run) histories.push(await client.workflow.getHandle(id, run).fetchHistory())
    }
  }
  const events = histories.flatMap((history) => history.events ?? [])
  return {
    seconds,
    workflows: histories.length,
    events: events.length,
    activities: events.filter(({ activityTaskScheduledEventAttributes: scheduled }) => scheduled != null)
      .length,
  }
}

/** User and system time of a process with all its threads so far; Linux only, else NaN. */
export function cpuSecondsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // The kernel counts in hundredths of a second here, whatever its own tick is.
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}
