import { connectClient, temporalSettings } from '../../workers/connect.ts'
import { buildWorkflow } from '../../workflows/names.ts'
import { cleanText } from '../clean-text.ts'
import { table } from '../format-text.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { wholeNumber } from '../settings.ts'

export interface ListFlags {
  readonly temporal?: string
  readonly limit: string
  readonly json?: boolean
}

/** Builds the server knows, newest first. */
export async function listCommand(_context: CommandContext, flags: ListFlags): Promise<void> {
  const limit = wholeNumber(flags.limit, '--limit', 1)
  const client = await connectClient(temporalSettings(flags.temporal))
  try {
    const builds: { build: string; status: string; started: string; name: string; out: string }[] = []
    for await (const { workflowId, status, startTime, memo } of client.workflow.list({
      query: `WorkflowType = "${buildWorkflow}"`,
    })) {
      if (status.name === 'CONTINUED_AS_NEW') continue // the run that continues it is listed as well
      builds.push({
        build: workflowId,
        status: status.name.toLowerCase(),
        started: startTime.toISOString(),
        name: String(memo?.['name'] ?? ''),
        out: String(memo?.['out'] ?? ''),
      })
      if (builds.length >= limit) break
    }
    if (flags.json === true)
      for (const build of builds) process.stdout.write(`${safeJson({ schema: 1, ...build })}\n`)
    else if (builds.length === 0) process.stdout.write('no builds\n')
    else
      process.stdout.write(
        `${table([['build', 'status', 'started', 'output'], ...builds.map(({ build, status, started, out }) => [build, status, started, cleanText(out)])])}\n`,
      )
  } finally {
    await client.connection.close()
  }
}
