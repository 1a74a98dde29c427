import { WorkflowNotFoundError } from '@temporalio/client'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import type { CommandContext } from '../run.ts'
import { follow } from '../temporal/build.ts'
import { noBuild } from '../temporal/follow.ts'
import type { BuildIdFlags } from './status.ts'

/** Follows a build that was submitted before, from any machine. */
export async function attachCommand(
  context: CommandContext,
  workflowId: string,
  flags: BuildIdFlags,
): Promise<void> {
  const settings = temporalSettings(flags.temporal)
  const client = await connectClient(settings)
  try {
    await client.workflow
      .getHandle(workflowId)
      .describe()
      .catch((error: unknown) => {
        throw error instanceof WorkflowNotFoundError ? noBuild(workflowId) : error
      })
    await follow(context, client, settings, workflowId, { json: flags.json === true })
  } finally {
    await client.connection.close()
  }
}
