import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startHubServer } from '../../hub/server/index.ts'
import { cleanText } from '../clean-text.ts'
import type { CommandContext } from '../run.ts'
import { wholeNumber } from '../settings.ts'

export interface HubFlags {
  readonly port: string
  readonly host: string
}

export async function hubCommand(
  context: CommandContext,
  dir: string,
  { port, host }: HubFlags,
): Promise<void> {
  const token = process.env['HF_TOKEN']
  const server = await startHubServer(dir, {
    port: wholeNumber(port, '--port'),
    host,
    warm: true,
    ...(token === undefined || token === '' ? {} : { token }),
    ...(context.verbose ? { log: (line: string) => process.stderr.write(`${cleanText(line)}\n`) } : {}),
  })
  process.stdout.write(`${server.url}\n`)
  if (!context.quiet && !['datasets', 'models'].some((name) => existsSync(join(dir, name))))
    process.stderr.write(
      `${dir} has neither datasets/ nor models/ in it: there is nothing to serve until datasets/<org>/<name>/<files> are there\n`,
    )
  if (!context.quiet)
    process.stderr.write(`serving ${dir}; use it with HF_ENDPOINT=${server.url}; Ctrl-C stops it\n`)
  if (!context.signal.aborted) await once(context.signal, 'abort')
  await server.close()
}
