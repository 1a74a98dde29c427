/** How far a build is, gathered from its workflows (by query) and their pending activities (from the server). */
import type { Client } from '@temporalio/client'
import { progressQuery, queues } from '../../workflows/names.ts'
import { addTotals, type MutableTotals } from '../../workflows/totals.ts'
import type { Totals, WorkflowProgress } from '../../workflows/types.ts'

export interface RunningActivity {
  readonly id: string
  readonly stage: string
  readonly title: string
  readonly attempt: number
  readonly identity: string
  readonly rows: number
  readonly tokens: number
  readonly bytes: number
  readonly done: number
  readonly total: number
  /** Why it waits, or why its last attempt failed. */
  readonly trouble?: string
}

export interface Snapshot {
  readonly state: WorkflowProgress['state']
  /** '' stands for what belongs to no split. */
  readonly splits: Readonly<
    Record<
      string,
      { readonly totals: Totals; readonly verified: boolean; readonly running: readonly RunningActivity[] }
    >
  >
}

/** A query waits for a worker; one that is busy must not hold up the display. */
const queryMs = 5_000

/** Undefined while no worker answers for the build. */
export async function takeSnapshot(client: Client, workflowId: string): Promise<Snapshot | undefined> {
  const root = await ask(client, workflowId)
  if (root === undefined) return undefined
  // Without a prototype: a split may be called `constructor`.
  const splits: Record<string, { totals: MutableTotals; verified: boolean; running: RunningActivity[] }> =
    Object.create(null)
  const splitOf = (name: string) => (splits[name] ??= { totals: {}, verified: false, running: [] })
  const rest = { ...root.totals } as MutableTotals
  for (const { split, totals } of root.verified) {
    splitOf(split).verified = true
    addTotals(splitOf(split).totals, totals)
    subtract(rest, totals)
  }
  addTotals(splitOf('').totals, rest)
  splitOf('').running.push(...(await pending(client, workflowId)))
  const below = async (id: string, split: string): Promise<void> => {
    const [progress, running] = await Promise.all([ask(client, id), pending(client, id)])
    splitOf(split).running.push(...running)
    if (progress === undefined) return
    addTotals(splitOf(split).totals, progress.totals)
    await Promise.all(progress.children.map((child) => below(child.workflowId, split)))
  }
  await Promise.all(root.children.map((child) => below(child.workflowId, child.split ?? '')))
  return { state: root.state, splits }
}

function subtract(from: MutableTotals, less: Totals): void {
  for (const [stage, { expected, cached, run, rows, tokens, bytes }] of Object.entries(less)) {
    const total = from[stage]
    if (total === undefined) continue
    from[stage] = {
      expected: total.expected - expected,
      cached: total.cached - cached,
      run: total.run - run,
      rows: total.rows - rows,
      tokens: total.tokens - tokens,
      bytes: total.bytes - bytes,
    }
  }
}

async function ask(client: Client, workflowId: string): Promise<WorkflowProgress | undefined> {
  try {
    return await client.withDeadline(Date.now() + queryMs, () =>
      client.workflow.getHandle(workflowId).query<WorkflowProgress>(progressQuery),
    )
  } catch {
    return undefined
  }
}

/** Activities that are scheduled or running in one workflow. */
async function pending(client: Client, workflowId: string): Promise<RunningActivity[]> {
  try {
    const { raw } = await client.workflow.getHandle(workflowId).describe()
    const running: RunningActivity[] = []
    for (const activity of raw.pendingActivities ?? []) {
      const details = activity.heartbeatDetails?.payloads?.[0]
      const beat = (
        details === undefined ? {} : JSON.parse(Buffer.from(details.data ?? []).toString('utf8') || '{}')
      ) as Partial<RunningActivity> & { waiting?: string }
      const trouble = beat?.waiting ?? activity.lastFailure?.message ?? undefined
      running.push({
        id: `${workflowId} ${activity.activityId}`,
        stage: activity.activityType?.name ?? '',
        title: beat?.title ?? '',
        attempt: activity.attempt ?? 1,
        identity: activity.lastWorkerIdentity ?? '',
        rows: beat?.rows ?? 0,
        tokens: beat?.tokens ?? 0,
        bytes: beat?.bytes ?? 0,
        done: beat?.done ?? 0,
        total: beat?.total ?? 0,
        ...(trouble === undefined ? {} : { trouble }),
      })
    }
    return running
  } catch {
    return []
  }
}

/** Names of the task queues that no worker polls. */
export async function unpolledQueues(client: Client, namespace: string): Promise<string[]> {
  const empty: string[] = []
  for (const [name, queue] of Object.entries(queues)) {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: queue },
      taskQueueType: name === 'workflows' ? 1 : 2,
    })
    if ((pollers ?? []).length === 0) empty.push(name)
  }
  return empty
}
