import type { Client } from '@temporalio/client'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import { registeredAttributes } from '../../workers/search-attributes.ts'
import { buildWorkflow, searchAttributes } from '../../workflows/names.ts'
import { cleanText } from '../clean-text.ts'
import { table } from '../format-text.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { wholeNumber } from '../settings.ts'

export interface ListFlags {
  readonly temporal?: string
  readonly limit: string
  readonly recipe?: string
  readonly json?: boolean
}

/** Builds the server knows, newest first. */
export async function listCommand(_context: CommandContext, flags: ListFlags): Promise<void> {
  const { recipe } = flags
  const limit = wholeNumber(flags.limit, '--limit', 1)
  const client = await connectClient(temporalSettings(flags.temporal))
  try {
    const builds: { build: string; status: string; started: string; name: string; out: string }[] = []
    for await (const { workflowId, status, startTime, memo } of client.workflow.list({
      query: `WorkflowType = "${buildWorkflow}"${await ofRecipe(client, recipe)}`,
    })) {
      if (recipe !== undefined && memo?.['name'] !== recipe) continue
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

/** The server picks where it has the attribute; the memo decides all the same, as it does where there is none. */
async function ofRecipe(client: Client, recipe: string | undefined): Promise<string> {
  if (recipe === undefined) return ''
  const attributes = await registeredAttributes(client)
  if (!attributes.includes(searchAttributes.recipe)) return ''
  return ` AND ${searchAttributes.recipe} = "${recipe.replaceAll(/["\\]/g, '\\$&')}"`
}
