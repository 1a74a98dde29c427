/** kind: chat-eval. Each task: its rows to problems, put in order into a file, which is read again. */

import type { Common } from '../context.ts'
import { number, pageOfFiles, vocabularyOf } from '../context.ts'
import { type ChatEvalLock, evalSplit } from '../lock.ts'
import type { ChatEvalReport, ChatEvalResult, OutlineOf, OutlineSource, TaskResult } from '../results.ts'
import { beginSources, piecesAtLeast, sourcePart } from '../sources.ts'
import type { Part, Runner } from '../stage.ts'
import type { PipelineKind } from './define-kind.ts'

export const chatEval: PipelineKind<ChatEvalLock, ChatEvalResult, ChatEvalResult, ChatEvalReport> = {
  orchestrate,
  whole: (result) => result,
  report: ({ kind, vocabularySize, tasks }) => ({
    ...{ kind, vocabularySize },
    tasks: tasks.map(({ label, task, rows, examples, skipped, tokens, randomBaseline }) => {
      return { label, task, rows, examples, skipped, tokens, randomBaseline }
    }),
  }),
}

async function orchestrate(
  { splits, ...settings }: OutlineOf<ChatEvalLock>,
  run: Runner,
): Promise<ChatEvalResult> {
  const sources = splits[evalSplit]!
  run.ahead((now) => beginSources(evalSplit, sources, now))
  const context = await vocabularyOf(settings, run)
  const common = { settings, context, split: evalSplit }
  run.note({ kind: 'split-started', split: evalSplit })
  run.note({ kind: 'expect', split: evalSplit, stage: 'task', count: sources.length })
  run.note({ kind: 'expect', split: evalSplit, stage: 'verifyTask', count: sources.length })
  const tasks = await run.each(sources, sources.length, (source, i) =>
    run.part(
      taskPart,
      { ...common, source },
      { id: `task-${i}`, title: source.label, large: piecesAtLeast(source) > pageOfFiles },
    ),
  )
  run.note({ kind: 'split-verified', split: evalSplit })
  const { vocabularySize, bosId } = context
  if (bosId === null) throw new TypeError(`template ${settings.template.name} opens no problem`)
  return { kind: 'chat-eval', vocabularySize, bosId, maxSeqLen: settings.maxSeqLen, tasks }
}

type TaskArgs = Common & { readonly settings: SettingsOfChatEval; readonly source: OutlineSource }
type SettingsOfChatEval = Omit<OutlineOf<ChatEvalLock>, 'splits'>

async function buildTask(args: TaskArgs, run: Runner): Promise<TaskResult> {
  const { settings, context, source } = args
  const { label, seed, start, stop, step } = source
  const { blocks } = await sourcePart.run(args, run)
  const { name, version } = settings.output
  const format = { name, version }
  const made = await run.stage({
    stage: 'task',
    title: label,
    params: { label, format, maxSeqLen: settings.maxSeqLen, seed, start, stop, step },
    inputs: { blocks },
    hints: { tokenizer: settings.tokenizer.name },
  })
  const file = made.outputs['file']!
  const facts = { examples: number(made, 'examples'), randomBaseline: number(made, 'randomBaseline') }
  const { vocabularySize, bosId } = context
  const verified = await run.stage({
    stage: 'verifyTask',
    title: label,
    params: { format, label, ...facts, vocabularySize, bosId },
    inputs: { file: file.digest },
  })
  return {
    ...{ label, task: source.task },
    ...{ rows: number(made, 'rows'), skipped: number(made, 'skipped'), tokens: number(made, 'tokens') },
    ...facts,
    ...{ file, taskKey: made.key, verifyKey: verified.key },
  }
}

export const taskPart: Part<TaskArgs, TaskResult> = { name: 'buildTask', run: buildTask }
