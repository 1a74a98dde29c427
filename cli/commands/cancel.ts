import { WorkflowNotFoundError } from '@temporalio/client'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { noBuild } from '../temporal/follow.ts'
import type { BuildIdFlags } from './status.ts'

/** Asks a build to stop, and returns once it has. */
export async function cancelCommand(
  context: CommandContext,
  workflowId: string,
  flags: BuildIdFlags,
): Promise<void> {
  const client = await connectClient(temporalSettings(flags.temporal))
  try {
    const handle = client.workflow.getHandle(workflowId)
    const before = await handle.describe().catch((error: unknown) => {
      throw error instanceof WorkflowNotFoundError ? noBuild(workflowId) : error
    })
    if (before.status.name === 'RUNNING') await handle.cancel()
    await handle.result().catch(() => undefined)
    const status = (await handle.describe()).status.name.toLowerCase()
    if (flags.json === true) process.stdout.write(`${safeJson({ schema: 1, build: workflowId, status })}\n`)
    else if (!context.quiet)
      process.stdout.write(
        `${workflowId}: ${status}${status === 'cancelled' ? '; finished stages are kept' : ''}\n`,
      )
  } finally {
    await client.connection.close()
  }
}
