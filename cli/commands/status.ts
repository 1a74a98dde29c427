import { WorkflowNotFoundError } from '@temporalio/client'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import { cleanText } from '../clean-text.ts'
import { count, short, table } from '../format-text.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { endOf, noBuild } from '../temporal/follow.ts'
import { type Snapshot, takeSnapshot } from '../temporal/snapshot.ts'

export interface BuildIdFlags {
  readonly temporal?: string
  readonly json?: boolean
}

/** What a build is doing, or how it ended. */
export async function statusCommand(
  _context: CommandContext,
  workflowId: string,
  flags: BuildIdFlags,
): Promise<void> {
  const client = await connectClient(temporalSettings(flags.temporal))
  try {
    const handle = client.workflow.getHandle(workflowId)
    const described = await handle.describe().catch((error: unknown) => {
      throw error instanceof WorkflowNotFoundError ? noBuild(workflowId) : error
    })
    const status = described.status.name.toLowerCase()
    const snapshot = status === 'running' ? await takeSnapshot(client, workflowId) : undefined
    const failure =
      status === 'running' || status === 'completed'
        ? undefined
        : await handle.result().then(
            () => undefined,
            (error: unknown) => endOf(error, workflowId),
          )
    const facts = {
      schema: 1,
      build: workflowId,
      run: described.runId,
      status,
      memo: described.memo ?? {},
      started: described.startTime.toISOString(),
      ...(described.closeTime === undefined ? {} : { ended: described.closeTime.toISOString() }),
      ...(snapshot === undefined ? {} : { progress: snapshot }),
      ...(failure === undefined ? {} : { error: (failure as Error).message }),
    }
    if (flags.json === true) process.stdout.write(`${safeJson(facts)}\n`)
    else process.stdout.write(`${shown(facts, snapshot)}\n`)
  } finally {
    await client.connection.close()
  }
}

function shown(
  facts: {
    build: string
    status: string
    started: string
    ended?: string
    error?: string
    memo: Record<string, unknown>
  },
  snapshot: Snapshot | undefined,
): string {
  const { out } = facts.memo
  const lines = [`${facts.build}: ${facts.status}${snapshot === undefined ? '' : `, ${snapshot.state}`}`]
  if (typeof out === 'string') lines.push(`output ${cleanText(out)}`)
  lines.push(`started ${facts.started}${facts.ended === undefined ? '' : `, ended ${facts.ended}`}`)
  if (facts.error !== undefined) lines.push(`error: ${cleanText(facts.error)}`)
  if (snapshot === undefined) {
    if (facts.status === 'running') lines.push('no worker answers for it')
    return lines.join('\n')
  }
  const rows = [['', 'done', 'of', 'cached', 'rows', 'tokens']]
  const running: string[] = []
  for (const [split, { totals, running: activities }] of Object.entries(snapshot.splits)) {
    for (const [stage, { expected, cached, run, rows: read, tokens }] of Object.entries(totals)) {
      const done = cached + run
      rows.push([
        `${split} ${stage}`.trim(),
        count(done),
        count(Math.max(done, expected)),
        count(cached),
        short(read),
        short(tokens),
      ])
    }
    for (const { stage, title, attempt, identity, trouble } of activities) {
      running.push(
        `  ${stage} ${cleanText(title)}${identity === '' ? ' waits for a worker' : ` on ${cleanText(identity)}`}${attempt > 1 ? `, attempt ${attempt}` : ''}${trouble === undefined ? '' : `: ${cleanText(trouble)}`}`,
      )
    }
  }
  lines.push(table(rows), ...running.slice(0, 20))
  return lines.join('\n')
}
