import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startHubServer } from '../../hub/server/index.ts'
import type { CommandContext } from '../run.ts'
import { buildCommand } from './build.ts'

export interface DemoFlags {
  readonly out: string
  readonly store?: string
  readonly json?: boolean
}

/** Builds recipes/demo.yaml from demo/hub, served over HTTP as the real hub would. */
export async function demoCommand(context: CommandContext, flags: DemoFlags): Promise<void> {
  const root = packageRoot()
  const server = await startHubServer(join(root, 'demo', 'hub'), {})
  try {
    process.env['HF_ENDPOINT'] = server.url
    delete process.env['HF_HUB_OFFLINE']
    // A token of the real hub is no business of a server on this machine.
    delete process.env['HF_TOKEN']
    process.env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] = '1'
    if (!context.quiet && flags.json !== true) process.stderr.write(`demo data served at ${server.url}\n`)
    await buildCommand(context, join(root, 'recipes', 'demo.yaml'), flags)
    if (!context.quiet && flags.json !== true)
      process.stderr.write(`next: npx shardmill inspect ${join(flags.out, 'sft_val_000000.bin')}\n`)
  } finally {
    await server.close()
  }
}

/** The package's folder, from the sources as well as from dist/. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir)
  return dir
}
