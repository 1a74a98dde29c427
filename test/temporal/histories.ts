/** Histories as the tests look at them. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from '@temporalio/client'

export interface StageEvent {
  readonly workflowId: string
  readonly stage: string
  readonly key: string
  readonly title: string
  readonly scheduledAt: number
  readonly completedAt: number | undefined
  /** Undefined unless it has completed. */
  readonly cached: boolean | undefined
}

const stageNames = new Set([
  'download',
  'scan',
  'tokenizer',
  'format',
  'tokenize',
  'shuffle',
  'shard',
  'verify',
  'overlap',
])

export type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>

/** Every run of a build's workflows, the root's and its parts'. */
export async function historiesOf(
  client: Client,
  workflowId: string,
): Promise<{ workflowId: string; runId: string; type: string; history: History }[]> {
  const found: { workflowId: string; runId: string; type: string; history: History }[] = []
  for await (const run of client.workflow.list()) {
    if (run.workflowId !== workflowId && !run.workflowId.startsWith(`${workflowId}/`)) continue
    const history = await client.workflow.getHandle(run.workflowId, run.runId).fetchHistory()
    found.push({ workflowId: run.workflowId, runId: run.runId, type: run.type, history })
  }
  return found
}

/** The list of workflows is updated a moment after a workflow has ended. */
export async function listed(client: Client, workflowId: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    for await (const run of client.workflow.list({ query: `WorkflowId = "${workflowId}"` })) {
      if (run.status.name !== 'RUNNING') return
    }
    await pause(100)
  }
  throw new Error(`${workflowId} is not listed as ended`)
}

/** Every stage activity of a build, in the order of scheduling. */
export async function stageEvents(client: Client, workflowId: string): Promise<StageEvent[]> {
  await listed(client, workflowId)
  const events: StageEvent[] = []
  for (const { workflowId: id, history } of await historiesOf(client, workflowId)) {
    for (const event of history.events ?? []) {
      const scheduled = event.activityTaskScheduledEventAttributes
      const stage = scheduled?.activityType?.name ?? ''
      if (!stageNames.has(stage)) continue
      const summary = textOf(event.userMetadata?.summary?.data)
      const done = (history.events ?? []).find(
        ({ activityTaskCompletedEventAttributes: completed }) =>
          completed !== null &&
          completed !== undefined &&
          String(completed.scheduledEventId) === String(event.eventId),
      )
      const answer = done?.activityTaskCompletedEventAttributes?.result?.payloads?.[0]?.data
      const result =
        answer === undefined || answer === null
          ? undefined
          : (JSON.parse(Buffer.from(answer).toString('utf8')) as { cached: boolean; result: { key: string } })
      events.push({
        workflowId: id,
        stage,
        key: result?.result.key ?? '',
        title: summary,
        scheduledAt: timeOf(event.eventTime),
        completedAt: done === undefined ? undefined : timeOf(done.eventTime),
        cached: result?.cached,
      })
    }
  }
  return events.sort((a, b) => a.scheduledAt - b.scheduledAt)
}

function textOf(data: Uint8Array | null | undefined): string {
  return data === null || data === undefined ? '' : Buffer.from(data).toString('utf8')
}

function timeOf(time: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(time?.seconds ?? 0) * 1000 + (time?.nanos ?? 0) / 1e6
}

/** Waits until an activity of this stage is running somewhere in the build. */
export async function untilRunning(client: Client, workflowId: string, stage: string): Promise<void> {
  for (const until = Date.now() + 60_000; Date.now() < until; ) {
    for (const id of [workflowId, `${workflowId}/val`, `${workflowId}/train`]) {
      const described = await client.workflow
        .getHandle(id)
        .describe()
        .catch(() => undefined)
      const running = described?.raw.pendingActivities?.some(
        ({ activityType, state }) => activityType?.name === stage && state === 2,
      )
      if (running === true) return
    }
    await pause(30)
  }
  throw new Error(`no ${stage} of ${workflowId} was ever met running`)
}
