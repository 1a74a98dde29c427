/** Builds on Temporal. */
import type { Command } from 'commander'
import type { DevFlags } from '../commands/dev.ts'
import type { ListFlags } from '../commands/list.ts'
import type { BuildIdFlags } from '../commands/status.ts'
import type { WorkerFlags } from '../commands/worker.ts'
import { run } from '../run.ts'
import { jsonOption, storeOption, temporalOption } from './options.ts'

export function addTemporalCommands(program: Command): void {
  program
    .command('dev')
    .description('a Temporal server for this machine, its data on disk, and a worker')
    .addOption(temporalOption())
    .addOption(storeOption())
    .option('--port <n>', 'port of the server (0: any free one)', '7233')
    .option('--ui-port <n>', 'port of its web UI (default: port + 1000)')
    .option('--concurrency <n>', 'CPU stages at a time (default: one a core)')
    .addHelpText(
      'after',
      `
Example:
  $ shardmill dev
  $ shardmill build recipes/demo.yaml --out out/ --temporal

The server is the \`temporal\` command of the PATH, the one SHARDMILL_TEMPORAL_CLI names, or built once with Go.`,
    )
    .action(
      run(async (context, options: DevFlags) =>
        (await import('../commands/dev.ts')).devCommand(context, options),
      ),
    )

  program
    .command('worker')
    .description('a process that does the work of builds on Temporal')
    .addOption(temporalOption())
    .addOption(storeOption())
    .option('--queues <names>', 'what it polls for: workflows, io, cpu', 'workflows,io,cpu')
    .option('--concurrency <n>', 'CPU stages at a time (default: one a core)')
    .option('--io <n>', 'downloads and look-ups at a time', '8')
    .option(
      '--grace <seconds>',
      'how long running stages may go on after SIGTERM before they are handed back',
      '20',
    )
    .option('--deployment <name>', 'worker deployment: builds stay with the code version they began with')
    .option('--metrics <host:port>', 'serve Prometheus metrics here')
    .addHelpText(
      'after',
      `
Example:
  $ shardmill worker --temporal temporal.example:7233 --store /mnt/shared/shardmill

Where Temporal is, and how to authenticate, is read as by Temporal's own tools: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS and the like, then the profile TEMPORAL_PROFILE of temporal.toml (docs/cluster.md).`,
    )
    .action(
      run(async (context, options: WorkerFlags) =>
        (await import('../commands/worker.ts')).workerCommand(context, options),
      ),
    )

  program
    .command('list')
    .description('builds that the Temporal server knows')
    .addOption(temporalOption())
    .option('--limit <n>', 'at most so many, newest first', '20')
    .option('--recipe <name>', 'only builds of the recipe of this name')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill list --recipe nanochat-sft')
    .action(
      run(async (context, options: ListFlags) =>
        (await import('../commands/list.ts')).listCommand(context, options),
      ),
    )

  program
    .command('status')
    .description('what a build on Temporal is doing, or how it ended')
    .argument('<build>', 'its id, as `build --detach` and `list` print it')
    .addOption(temporalOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill status shardmill-demo-0123456789ab')
    .action(
      run(async (context, build: string, options: BuildIdFlags) =>
        (await import('../commands/status.ts')).statusCommand(context, build, options),
      ),
    )

  program
    .command('attach')
    .description('follow a build on Temporal; leaving it does not stop it')
    .argument('<build>', 'its id')
    .addOption(temporalOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill attach shardmill-demo-0123456789ab')
    .action(
      run(async (context, build: string, options: BuildIdFlags) =>
        (await import('../commands/attach.ts')).attachCommand(context, build, options),
      ),
    )

  program
    .command('cancel')
    .description('stop a build on Temporal; finished stages are kept')
    .argument('<build>', 'its id')
    .addOption(temporalOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill cancel shardmill-demo-0123456789ab')
    .action(
      run(async (context, build: string, options: BuildIdFlags) =>
        (await import('../commands/cancel.ts')).cancelCommand(context, build, options),
      ),
    )
}
