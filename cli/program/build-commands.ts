/** build and plan. */
import type { Command } from 'commander'
import type { BuildFlags } from '../commands/build.ts'
import type { PlanFlags } from '../commands/plan.ts'
import { run } from '../run.ts'
import { jsonOption, setOption, storeOption, threadsOption } from './options.ts'

export function addBuildCommands(program: Command): void {
  program
    .command('build')
    .description('build a recipe into an output folder; whatever is already done is not done again')
    .argument('<recipe>', 'a YAML file')
    // Required, but asked for by the command: commander would miss it before it says that an option is misspelt.
    .option('--out <dir>', 'output folder (required); it appears whole or not at all')
    .addOption(storeOption())
    .addOption(setOption())
    .addOption(threadsOption())
    .option('--locked [file]', 'build exactly what the lock says (default: the recipe’s .lock.json), or fail')
    .option('--write-lock [file]', 'write what the recipe resolved to, to commit and to build with --locked')
    .option('--recheck', 'read an existing output again even if nothing has touched it')
    .option(
      '--temporal [address]',
      'submit to Temporal and follow; workers need the same store and see --out',
    )
    .option('--detach', 'with --temporal: print the build’s id and return')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill build recipes/nanochat-sft.yaml --out out/ --set maxSeqLen=1024

A build that was stopped, however hard, goes on where it was: run the same command again.
--json prints one object: schema, output, stages {run, cached}, splits {val, train}, files [{path, sha256, bytes}].`,
    )
    .action(
      run(async (context, recipe: string, options: BuildFlags) =>
        (await import('../commands/build.ts')).buildCommand(context, recipe, options),
      ),
    )

  program
    .command('plan')
    .description('say what a build would do, and why, without doing it')
    .argument('<recipe>', 'a YAML file')
    .addOption(storeOption())
    .addOption(setOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill plan recipes/nanochat-sft.yaml --set shuffle.seed=43`,
    )
    .action(
      run(async (context, recipe: string, options: PlanFlags) =>
        (await import('../commands/plan.ts')).planCommand(context, recipe, options),
      ),
    )
}
