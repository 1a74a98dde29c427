/**
 * The command line. Commands are declared in program/, in the order `--help` lists them, and loaded from commands/ when
 * they are called, so that `--help` is instant.
 */
import { Command, CommanderError } from 'commander'
import { toolVersion } from '../errors/version.ts'
import { completionScript } from './completion.ts'
import { addBuildCommands } from './program/build-commands.ts'
import { addLookCommands } from './program/look-commands.ts'
import { addStoreCommands } from './program/store-commands.ts'
import { addTemporalCommands } from './program/temporal-commands.ts'
import { failUsage, run, watchOutput } from './run.ts'

function createProgram(): Command {
  const program = new Command('shardmill')
    .description('Turns chat datasets into training shards, reproducibly.')
    .version(toolVersion, '-V, --version')
    .option('-q, --quiet', 'only errors, and what a command is there to show')
    .option('-v, --verbose', 'also every stage as it starts and ends, and stack traces')
    .helpCommand('help [command]')
    .showSuggestionAfterError()
    .showHelpAfterError('(`--help` says more)')
    .exitOverride()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
    .addHelpText(
      'after',
      `
Examples:
  $ shardmill build recipes/nanochat-sft.yaml --out out/
  $ shardmill verify out/
  $ shardmill inspect out/sft_train_000001.bin --conversations 2

Exit codes: 0 done, 1 failed, 2 usage or recipe, 3 verification failed, 4 not reproducible (--locked),
5 Temporal or the hub cannot be reached, 130 interrupted.
Environment: SHARDMILL_STORE, HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, NO_COLOR.`,
    )

  addBuildCommands(program)
  addLookCommands(program)
  addStoreCommands(program)
  addTemporalCommands(program)

  program
    .command('schema')
    .description('print the recipe’s JSON Schema, for editors')
    .addHelpText('after', '\nExample:\n  $ shardmill schema > recipe.schema.json')
    .action(run(async () => (await import('./commands/schema.ts')).schemaCommand()))

  program
    .command('completion')
    .description('print a completion script for the shell')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText('after', '\nExample:\n  $ source <(shardmill completion bash)')
    .action(
      run(async (_context, shell: string) => {
        process.stdout.write(completionScript(shell, program))
      }),
    )

  return program
}

watchOutput()
try {
  await createProgram().parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Help and version are no failure; whatever else commander refuses is usage.
  process.exitCode = error.exitCode === 0 ? 0 : failUsage(error.message, process.argv)
}
