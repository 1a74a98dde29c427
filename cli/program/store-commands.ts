/** The store, the hub server, and the demo that uses both. */
import type { Command } from 'commander'
import type { DemoFlags } from '../commands/demo.ts'
import type { HubFlags } from '../commands/hub.ts'
import type { StoreFlags } from '../commands/store.ts'
import { run } from '../run.ts'
import { jsonOption, storeOption } from './options.ts'

export function addStoreCommands(program: Command): void {
  const store = program.command('store').description('look into, check and clean the store')
  store
    .command('ls')
    .description('what is in the store')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill store ls')
    .action(
      run(async (context, options: StoreFlags) =>
        (await import('../commands/store.ts')).storeLs(context, options),
      ),
    )
  store
    .command('check')
    .description(
      're-read every blob and record; what is damaged is moved away and made again by the next build',
    )
    .addOption(storeOption())
    .option('--no-repair', 'only report')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill store check')
    .action(
      run(async (context, options: StoreFlags) =>
        (await import('../commands/store.ts')).storeCheck(context, options),
      ),
    )
  store
    .command('gc')
    .description('remove what no build needs')
    .addOption(storeOption())
    .option('--dry-run', 'only say what would go')
    .option('--forget <build...>', 'also forget these builds (ids or names as `store ls` shows them)')
    .option('--older-than <days>', 'keep unfinished work that was used in the last days', '1')
    .option('-y, --yes', 'do not ask')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill store gc --dry-run')
    .action(
      run(async (context, options: StoreFlags) =>
        (await import('../commands/store.ts')).storeGc(context, options),
      ),
    )

  program
    .command('hub')
    .description('serve a folder of datasets with the Hugging Face hub’s API')
    .argument('<dir>', 'a folder laid out datasets/<org>/<name>/<files>')
    .option('--port <n>', 'port (0: any free one)', '0')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addHelpText(
      'after',
      `
Example:
  $ shardmill hub demo/hub --port 8080
  $ HF_ENDPOINT=http://127.0.0.1:8080 shardmill build recipes/demo.yaml --out out/

The first line of stdout is the address. With HF_TOKEN set in its environment, requests need that token.`,
    )
    .action(
      run(async (context, dir: string, options: HubFlags) =>
        (await import('../commands/hub.ts')).hubCommand(context, dir, options),
      ),
    )

  program
    .command('demo')
    .description('build the demo recipe from the data that comes with shardmill')
    .option('--out <dir>', 'output folder', 'out/demo')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill demo')
    .action(
      run(async (context, options: DemoFlags) =>
        (await import('../commands/demo.ts')).demoCommand(context, options),
      ),
    )
}
