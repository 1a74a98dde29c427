import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import type { Evaluation, ScoredProblem } from '../../engine/evaluate.ts'
import { evaluate } from '../../engine/evaluate.ts'
import { InProcessRunner } from '../../engine/in-process.ts'
import { ShardmillError } from '../../errors/index.ts'
import { evaluatePart } from '../../pipeline/evaluate.ts'
import { cleanText } from '../clean-text.ts'
import { count, table } from '../format-text.ts'
import { paint } from '../paint.ts'
import { ProgressView } from '../progress.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { storeLocation, wholeNumber } from '../settings.ts'

export interface EvalFlags {
  readonly endpoint?: string
  readonly model: string
  readonly revision?: string
  readonly concurrency: string
  readonly batch: string
  readonly topLogprobs: string
  readonly timeout: string
  readonly limit?: string
  readonly details?: string
  readonly store?: string
  readonly temporal?: string | true
  readonly json?: boolean
}

export async function evalCommand(context: CommandContext, dir: string, flags: EvalFlags): Promise<void> {
  const endpoint = endpointOf(flags.endpoint)
  const concurrency = wholeNumber(flags.concurrency, '--concurrency', 1)
  const details = flags.details === undefined ? undefined : new Details(flags.details)
  const location = storeLocation(flags.store)
  const view = new ProgressView({ quiet: context.quiet || flags.json === true, verbose: context.verbose })
  try {
    const evaluation = await evaluate({
      dir,
      store: location,
      endpoint,
      model: flags.model,
      concurrency,
      ...(flags.revision === undefined ? {} : { revision: flags.revision }),
      batch: wholeNumber(flags.batch, '--batch', 1),
      topLogprobs: wholeNumber(flags.topLogprobs, '--top-logprobs', 1),
      timeoutMs: 1000 * wholeNumber(flags.timeout, '--timeout', 1),
      ...(flags.limit === undefined ? {} : { limit: wholeNumber(flags.limit, '--limit', 1) }),
      env: process.env,
      signal: context.signal,
      notice: (text) => view.notice(text),
      ...(details === undefined ? {} : { onProblem: (problem: ScoredProblem) => details.write(problem) }),
      score: async (args, store) => {
        if (flags.temporal !== undefined) {
          const { evaluateOnTemporal } = await import('../temporal/evaluate.ts')
          const address = flags.temporal === true ? undefined : flags.temporal
          return evaluateOnTemporal(args, dir, address, context, view)
        }
        const runner = new InProcessRunner({
          store,
          pool: () => Promise.reject(new TypeError('an evaluation runs no CPU stages')),
          threads: 1,
          parallelIo: concurrency,
          env: process.env,
          hub: () => {
            throw new TypeError('an evaluation asks no hub')
          },
          signal: context.signal,
          observer: view,
        })
        const evaluated = await evaluatePart.run(args, runner)
        const cached = runner.records.size - runner.ran.size
        return { ...evaluated, records: [...runner.records.keys()], run: runner.ran.size, cached }
      },
    })
    view.close()
    process.stdout.write(
      flags.json === true ? `${safeJson({ schema: 1, ...evaluation })}\n` : textOf(evaluation),
    )
  } finally {
    view.close()
    details?.close()
  }
}

/** The file of --details. What it held before stays until there is something to write: a run that fails keeps it. */
class Details {
  private readonly file: number
  private begun = false

  constructor(path: string) {
    try {
      this.file = openSync(path, 'a')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ShardmillError('OUTPUT', `--details ${path} cannot be written (${code})`, { cause: error })
    }
  }

  write(problem: ScoredProblem): void {
    if (!this.begun && fstatSync(this.file).isFile()) ftruncateSync(this.file)
    this.begun = true
    writeSync(this.file, `${JSON.stringify(problem)}\n`)
  }

  close(): void {
    closeSync(this.file)
  }
}

/** --endpoint, else OPENAI_BASE_URL. Keys belong in the environment: an address that holds one is refused. */
function endpointOf(option: string | undefined): string {
  const given = option ?? process.env['OPENAI_BASE_URL']
  if (given === undefined || given === '')
    throw new ShardmillError('USAGE', 'there is no endpoint', {
      hint: 'Name one with --endpoint or OPENAI_BASE_URL, for example http://localhost:8000/v1.',
    })
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw new ShardmillError('USAGE', '--endpoint is no URL', {
      hint: 'For example http://localhost:8000/v1.',
    })
  }
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '')
    throw new ShardmillError(
      'USAGE',
      '--endpoint must be an http(s) address without user, password and query',
      {
        hint: 'Give a key in OPENAI_API_KEY.',
      },
    )
  return url.href
}

const percent = (share: number) => `${(100 * share).toFixed(2)}%`

function textOf({ model, tasks, chatCore, fingerprints, topLogprobs, run, cached }: Evaluation): string {
  const color = paint(process.stdout)
  const rows = [['', 'problems', 'correct', 'accuracy', '95 %', 'guessing', 'centered']]
  for (const { label, examples, correct, accuracy, interval, randomBaseline, centered } of tasks)
    rows.push([
      cleanText(label),
      count(examples),
      count(correct),
      percent(accuracy),
      interval.map(percent).join(' to '),
      percent(randomBaseline),
      centered.toFixed(4),
    ])
  const sum = (name: 'unanswered' | 'partial') => tasks.reduce((total, task) => total + task[name], 0)
  const notes: string[] = []
  if (sum('unanswered') > 0)
    notes.push(
      `${count(sum('unanswered'))} problems had no letter among the top ${topLogprobs} tokens and count as wrong.`,
    )
  if (sum('partial') > 0)
    notes.push(
      `${count(sum('partial'))} problems lacked some letters among the top ${topLogprobs}; these rank below the others.`,
    )
  if (fingerprints.length > 1)
    notes.push(`The endpoint gave ${fingerprints.length} fingerprints: it changed under way.`)
  const [low, high] = chatCore.interval
  return [
    color.bold(cleanText(model)),
    table(rows),
    ...notes.map((note) => color.yellow(note)),
    `ChatCORE ${chatCore.mean.toFixed(4)} (95 %: ${low.toFixed(4)} to ${high.toFixed(4)})`,
    run === 0
      ? `everything was cached (${count(cached)} chunks)`
      : `${count(run)} chunks asked, ${count(cached)} cached`,
    '',
  ].join('\n')
}
