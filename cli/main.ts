#!/usr/bin/env node
/** The command line. Commands are loaded when they are called, so that `--help` is instant. */
import { Command, CommanderError, Option } from 'commander'
import { toolVersion } from '../errors/version.ts'
import type { BuildFlags } from './commands/build.ts'
import type { DemoFlags } from './commands/demo.ts'
import type { DevFlags } from './commands/dev.ts'
import type { EvalFlags } from './commands/eval.ts'
import type { HubFlags } from './commands/hub.ts'
import type { InspectFlags } from './commands/inspect.ts'
import type { ListFlags } from './commands/list.ts'
import type { PlanFlags } from './commands/plan.ts'
import type { BuildIdFlags } from './commands/status.ts'
import type { StoreFlags } from './commands/store.ts'
import type { TaskFlags } from './commands/task.ts'
import type { TraceFlags } from './commands/trace.ts'
import type { WorkerFlags } from './commands/worker.ts'
import { completionScript } from './completion.ts'
import { failUsage, type GlobalOptions, run, watchOutput } from './run.ts'

const storeOption = () =>
  new Option(
    '--store <dir>',
    'where finished stages are kept (default: $SHARDMILL_STORE, else a per-user cache folder)',
  )
const jsonOption = () => new Option('--json', 'machine-readable result on stdout')
const threadsOption = () => new Option('--threads <n>', 'worker threads (default: one a core)')
const setOption = () =>
  new Option(
    '--set <path=value>',
    'change a field of the recipe, e.g. splits.val[1].stop=100; may be repeated',
  ).argParser((value: string, before: string[] = []) => [...before, value])

const temporalOption = () =>
  new Option('--temporal <address>', 'the Temporal server (default: as Temporal’s own tools find it)')

export function createProgram(): Command {
  const program = new Command('shardmill')
    .description('Turns chat datasets into training shards, reproducibly.')
    .version(toolVersion, '-V, --version')
    .option('-q, --quiet', 'only errors')
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
        (await import('./commands/build.ts')).buildCommand(context, recipe, options),
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
        (await import('./commands/plan.ts')).planCommand(context, recipe, options),
      ),
    )

  program
    .command('verify')
    .description('check an output folder from nothing but its own files')
    .argument('<dir>', 'a folder that `build` has written')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill verify out/`,
    )
    .action(
      run(async (context, dir: string, options: { json?: boolean }) =>
        (await import('./commands/verify.ts')).verifyCommand(context, dir, options),
      ),
    )

  program
    .command('inspect')
    .description('decode conversations of a shard, showing what is trained on')
    .argument('<shard>', 'a token shard; its mask shard is found beside it')
    .option('--at <token>', 'begin with the conversation that holds this token', '0')
    .option('--conversations <k>', 'how many', '3')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill inspect out/sft_val_000000.bin --at 5000 --conversations 1

On a terminal what is trained on is green; elsewhere it stands between « and ».`,
    )
    .action(
      run(async (context, shard: string, options: InspectFlags) =>
        (await import('./commands/inspect.ts')).inspectCommand(context, shard, options),
      ),
    )

  program
    .command('eval')
    .description('measure a model behind an OpenAI-compatible endpoint on a folder of evaluation problems')
    .argument('<dir>', 'a folder built from a recipe of `kind: chat-eval`')
    .requiredOption('--model <name>', 'the model, as the endpoint names it')
    .option('--endpoint <url>', 'base address with /v1 (default: $OPENAI_BASE_URL)')
    .option('--concurrency <n>', 'chunks of 64 problems in flight', '4')
    .option('--batch <n>', 'prompts in a request', '16')
    .option('--top-logprobs <k>', 'log-probabilities asked for; servers have a limit (vLLM: 20)', '20')
    .option('--timeout <seconds>', 'how long an answer may take', '120')
    .option('--limit <n>', 'only the first n problems of each task')
    .option('--revision <text>', 'tells apart weights that the endpoint serves under one name')
    .option('--details <file>', 'write a JSON line a problem: answer, right one, log-probabilities')
    .option('--temporal [address]', 'ask from Temporal’s workers, which need the same store')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill build recipes/nanochat-chat-eval.yaml --out out/eval
  $ shardmill eval out/eval --endpoint http://localhost:8000/v1 --model my-model

Prompts are sent as token ids; the letter whose token is likeliest next is the answer. What was answered is kept in the
store: stopped, it goes on; asked again, nothing is asked twice. OPENAI_API_KEY is sent along and never shown or kept.`,
    )
    .action(
      run(async (context, dir: string, options: EvalFlags) =>
        (await import('./commands/eval.ts')).evalCommand(context, dir, options),
      ),
    )

  program
    .command('trace')
    .description('follow a shard back through every stage to its source files')
    .argument('<shard>', 'a file of an output folder')
    .option('--full', 'every partition, not only the first few of each source')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ shardmill trace out/sft_train_000001.bin`,
    )
    .action(
      run(async (context, shard: string, options: TraceFlags) =>
        (await import('./commands/trace.ts')).traceCommand(context, shard, options),
      ),
    )

  program
    .command('task')
    .description('show a conversation of a task: MMLU, ARC, GSM8K, HumanEval and every other source')
    .argument('<name>', 'as recipes name it, or as nanochat does: gsm8k, ARC-Easy, SpellingBee, …')
    .option('--index <i>', 'which conversation, in the task’s own order', '0')
    .option('--count', 'only how many there are')
    .option('--render', 'its tokens through the nanochat template, showing what is trained on')
    .option('--completion', 'with --render: the prompt that asks for the last answer, as evaluations put it')
    .option('--encoding <name>', 'with --render: an encoding of tiktoken', 'gpt2')
    .option('--tokenizer <file>', 'with --render: a tokenizer.pkl of nanochat instead')
    .option('--max-tokens <n>', 'with --render: cut the conversation here', '2048')
    .option('--subset <name>', 'the dataset’s configuration')
    .option('--split <name>', 'the split (default: test; train for generated tasks)')
    .option('--repo <name>', 'another dataset on the hub')
    .option('--revision <name>', 'branch, tag or commit')
    .option('--files <glob>', 'files of the dataset, instead of subset and split')
    .option('--seed <n>', 'of the source’s own order; none keeps the files’ order')
    .option('--path <file>', 'a local file (custom_json, messages)')
    .option('--shape <name>', 'of its rows (messages)')
    .option('--words <file>', 'a word list (spelling tasks)')
    .option('--phrasebook <file>', 'sentences (spelling_bee)')
    .option('--size <n>', 'how many (spelling tasks; default 1000)')
    .option('--start <n>', 'first row')
    .option('--stop <n>', 'row before which to stop')
    .option('--step <n>', 'takes every n-th row')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ shardmill task gsm8k --index 7
  $ shardmill task ARC-Challenge --split validation --count
  $ shardmill task ARC-Easy --index 7 --render --completion
  $ shardmill task spelling_bee --index 3 --render --tokenizer tokenizer.pkl

On a terminal what is trained on is green; elsewhere it stands between « and ».
--json prints one object: schema, task, name, evalType, length, index, conversation, and rendered {tokens, trained, full,
spans, ids, mask} with --render.`,
    )
    .action(
      run(async (context, name: string, options: TaskFlags) =>
        (await import('./commands/task.ts')).taskCommand(context, name, options),
      ),
    )

  const store = program.command('store').description('look into, check and clean the store')
  store
    .command('ls')
    .description('what is in the store')
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ shardmill store ls')
    .action(
      run(async (context, options: StoreFlags) =>
        (await import('./commands/store.ts')).storeLs(context, options),
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
        (await import('./commands/store.ts')).storeCheck(context, options),
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
        (await import('./commands/store.ts')).storeGc(context, options),
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
        (await import('./commands/hub.ts')).hubCommand(context, dir, options),
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
        (await import('./commands/demo.ts')).demoCommand(context, options),
      ),
    )

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
        (await import('./commands/dev.ts')).devCommand(context, options),
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
        (await import('./commands/worker.ts')).workerCommand(context, options),
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
        (await import('./commands/list.ts')).listCommand(context, options),
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
        (await import('./commands/status.ts')).statusCommand(context, build, options),
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
        (await import('./commands/attach.ts')).attachCommand(context, build, options),
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
        (await import('./commands/cancel.ts')).cancelCommand(context, build, options),
      ),
    )

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

export type { GlobalOptions }

watchOutput()
try {
  await createProgram().parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Help and version are no failure; whatever else commander refuses is usage.
  process.exitCode = error.exitCode === 0 ? 0 : failUsage(error.message, process.argv)
}
