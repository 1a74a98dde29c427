/** Looking into what was built, and into tasks. */
import type { Command } from 'commander'
import type { EvalFlags } from '../commands/eval.ts'
import type { InspectFlags } from '../commands/inspect.ts'
import type { TaskFlags } from '../commands/task.ts'
import type { TraceFlags } from '../commands/trace.ts'
import { run } from '../run.ts'
import { jsonOption, storeOption } from './options.ts'

export function addLookCommands(program: Command): void {
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
        (await import('../commands/verify.ts')).verifyCommand(context, dir, options),
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
        (await import('../commands/inspect.ts')).inspectCommand(context, shard, options),
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
        (await import('../commands/eval.ts')).evalCommand(context, dir, options),
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
        (await import('../commands/trace.ts')).traceCommand(context, shard, options),
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
    .option('--files <glob>', 'which files of the dataset, of the split or of none')
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
        (await import('../commands/task.ts')).taskCommand(context, name, options),
      ),
    )
}
