/**
 * The tasks of nanochat, each opened by its own function, and `openTask` for any source that a recipe can name. Rows
 * come from the recipe's sources, in the source's own order (a NumPy permutation with seed 42 unless `seed` says
 * otherwise); start, stop and step apply after that.
 *
 * Errors, of all: USAGE for options that cannot be, what the hub and the files may refuse (NOT_FOUND, BAD_FILE, …).
 */
import { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { nearest } from '../errors/nearest.ts'
import { numpyPermutation } from '../random/numpy-random.ts'
import type { LinesSource, Source, TableSource } from '../stages/sources/define-source.ts'
import { sources } from '../stages/sources/index.ts'
import type { Json } from '../store/types.ts'
import { evaluateAnswer, evaluateLetter } from './answers.ts'
import type { Conversation } from './conversation.ts'
import { extrasOf } from './extras.ts'
import { type TaskContext, TaskFiles } from './files.ts'
import { evaluateProgram } from './humaneval.ts'
import { openItems, openLines, openTable, type Rows } from './rows.ts'
import { type EvalType, type Slice, Task } from './task.ts'

/** A task over one source. */
export class SourceTask extends Task {
  readonly name: string
  /** As recipes name it: `gsm8k`. */
  readonly task: string
  override readonly evalType: EvalType | undefined
  readonly rows: number
  private readonly from: Rows

  constructor(source: Source, name: string, from: Rows, slice: Slice) {
    super(slice)
    this.name = name
    this.task = source.task
    this.evalType = evalTypes[source.task]
    this.rows = from.count
    this.from = from
  }

  protected example(row: number): Promise<Conversation> {
    return this.from.conversation(row)
  }
}

/** ARC and MMLU: the response is one of the conversation's letters. */
export class LetterTask extends SourceTask {
  evaluate(conversation: Conversation, response: string): boolean {
    return evaluateLetter(conversation, response)
  }
}

/** GSM8K and SpellingBee: the response holds `#### number`. */
export class AnswerTask extends SourceTask {
  evaluate(conversation: Conversation, response: string): 0 | 1 {
    return evaluateAnswer(conversation, response)
  }

  reward(conversation: Conversation, response: string): number {
    return evaluateAnswer(conversation, response)
  }
}

/** HumanEval: the response is a program, run against the problem's tests by the Python of this machine. */
export class ProgramTask extends SourceTask {
  /** Errors: NOT_FOUND where there is no Python 3. See `runPython` for the limits it runs in. */
  evaluate(conversation: Conversation, response: string): Promise<boolean> {
    return evaluateProgram(conversation, response)
  }
}

const evalTypes: Readonly<Record<string, EvalType>> = {
  arc: 'categorical',
  mmlu: 'categorical',
  gsm8k: 'generative',
  humaneval: 'generative',
  simple_spelling: 'generative',
  spelling_bee: 'generative',
}

const classes: Readonly<Record<string, typeof SourceTask>> = {
  arc: LetterTask,
  mmlu: LetterTask,
  gsm8k: AnswerTask,
  spelling_bee: AnswerTask,
  humaneval: ProgramTask,
}

export interface HubTaskOptions extends Slice {
  readonly split: string
  readonly subset?: string
  readonly revision?: string
  /** Another repository with the same columns. */
  readonly repo?: string
  /** A glob over the paths of the repository: the files to take, of `split` or of no split at all. */
  readonly files?: string
  /** Of the source's own order; null keeps the files' order. */
  readonly seed?: number | null
}

export interface SpellingOptions extends Slice {
  readonly size: number
  readonly split?: 'train' | 'test'
  /** A path, a URL, or a file on the hub; default: the npm package word-list. */
  readonly words?: string | { readonly repo: string; readonly file: string; readonly revision?: string }
}

export type TaskOptions = Slice & { readonly task: string; readonly [field: string]: unknown }

export function openArc(
  options: HubTaskOptions & { readonly subset: 'ARC-Easy' | 'ARC-Challenge' },
  context?: TaskContext,
): Promise<LetterTask> {
  return openTask({ task: 'arc', ...options }, context) as Promise<LetterTask>
}

export function openMmlu(options: HubTaskOptions, context?: TaskContext): Promise<LetterTask> {
  return openTask({ task: 'mmlu', ...options }, context) as Promise<LetterTask>
}

export function openGsm8k(options: HubTaskOptions, context?: TaskContext): Promise<AnswerTask> {
  return openTask({ task: 'gsm8k', ...options }, context) as Promise<AnswerTask>
}

export function openHumanEval(
  options: Omit<HubTaskOptions, 'split'> & { readonly split?: string } = {},
  context?: TaskContext,
): Promise<ProgramTask> {
  return openTask({ task: 'humaneval', ...options }, context) as Promise<ProgramTask>
}

export function openSmolTalk(options: HubTaskOptions, context?: TaskContext): Promise<SourceTask> {
  return openTask({ task: 'smoltalk', ...options }, context)
}

export function openSimpleSpelling(options: SpellingOptions, context?: TaskContext): Promise<SourceTask> {
  return openTask({ task: 'simple_spelling', ...options }, context)
}

export function openSpellingBee(
  options: SpellingOptions & { readonly phrasebook?: string },
  context?: TaskContext,
): Promise<AnswerTask> {
  return openTask({ task: 'spelling_bee', ...options }, context) as Promise<AnswerTask>
}

/** Conversations of your own. With `optional` a missing file counts as empty. */
export function openCustomJson(
  options: Slice & { readonly path: string; readonly optional?: boolean; readonly label?: string },
  context?: TaskContext,
): Promise<SourceTask> {
  return openTask({ task: 'custom_json', ...options }, context)
}

/** Opens any source by its name in recipes, with the fields a recipe gives it. */
export async function openTask(options: TaskOptions, context: TaskContext = {}): Promise<SourceTask> {
  const { task, start, stop, step, ...given } = options
  const source = sourceNamed(task)
  const fields = fieldsOf(source, given)
  const slice: Slice = {
    ...(start === undefined ? {} : { start }),
    ...(stop === undefined ? {} : { stop }),
    ...(step === undefined ? {} : { step }),
  }
  const files = new TaskFiles(context)
  try {
    const rows = await openRows(source, fields, files)
    return new (classes[task] ?? SourceTask)(source, source.label(fields), rows, slice)
  } finally {
    await files.close()
  }
}

function sourceNamed(task: string): Source {
  const source = sources.find((candidate) => candidate.task === task)
  if (source !== undefined) return source
  const names = sources.map((candidate) => candidate.task)
  const guess = nearest(task, names)
  throw new ShardmillError(
    'USAGE',
    `there is no task ${JSON.stringify(task)}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
    {
      hint: `Tasks: ${names.join(', ')}.`,
    },
  )
}

/** The source's fields, checked by its own schema, defaults filled in. */
function fieldsOf(
  source: Source,
  given: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const parsed = z.strictObject(source.fields).safeParse(set)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  const names = Object.keys(source.fields).join(', ')
  if (issue.code === 'unrecognized_keys') {
    throw new ShardmillError('USAGE', `${source.task} has no option ${issue.keys[0]}`, {
      hint: `It has: ${names}.`,
    })
  }
  const [field] = issue.path
  const value = set[String(field)]
  const allowed = issue.code === 'invalid_value' ? `, expected one of ${issue.values.join(', ')}` : ''
  const why =
    value === undefined
      ? `needs ${String(field)}${allowed}`
      : `${String(field)} is ${JSON.stringify(value)}${allowed || `: ${issue.message}`}`
  throw new ShardmillError(
    'USAGE',
    value === undefined ? `${source.task} ${why}` : `${source.task}: ${why}`,
    { hint: `It has: ${names}.` },
  )
}

async function openRows(
  source: Source,
  fields: Readonly<Record<string, unknown>>,
  files: TaskFiles,
): Promise<Rows> {
  const identity = meaningful(source, () => source.identity(fields))
  if (source.kind === 'table') {
    const table = source as TableSource<never>
    const origin = meaningful(source, () => source.origin(fields))
    const rows = await openTable(table, identity, await files.table(origin), extrasOf(source.task, identity))
    return inOrder(rows, source.seed(fields))
  }
  if (source.kind === 'lines')
    return openLines(source as LinesSource<never>, await files.lines(source.path(fields)))
  const bytes: Record<string, Uint8Array> = {}
  const names: Record<string, string> = {}
  for (const [role, file] of Object.entries(source.aux(fields))) {
    const found = await files.aux(role, file)
    bytes[role] = found.bytes
    names[role] = found.name
  }
  const write = source.generator(identity as Json, bytes, names)
  return openItems(source.items(fields), write)
}

/** The source's own order: a permutation of all its rows. */
function inOrder(rows: Rows, seed: number | null): Rows {
  if (seed === null) return rows
  const order = numpyPermutation(rows.count, seed)
  return { count: rows.count, conversation: (row) => rows.conversation(order[row]!) }
}

/** Sources refuse combinations of their own fields with a TypeError; here it is the caller who gave them. */
function meaningful<T>({ task }: Source, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof TypeError)
      throw new ShardmillError('USAGE', `${task}: ${error.message}`, { cause: error })
    throw error
  }
}
