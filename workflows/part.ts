/** A part of the orchestration as a workflow: what is cached is looked up first, then the function runs. */
import { CancellationScope, continueAsNew, defineQuery, setHandler } from '@temporalio/workflow'
import type { BuildEvent, Part, PartPlace } from '../pipeline/stage.ts'
import { activitiesFor } from './activities.ts'
import { failureOf } from './failures.ts'
import { progressQuery } from './names.ts'
import { WorkflowRunner } from './runner.ts'
import { continued, type MutableTotals, ranOnly } from './totals.ts'
import type { BuildRef, Limits, PartInput, PartOutput, Totals, WorkflowProgress } from './types.ts'

export interface WalkOptions {
  readonly build: BuildRef
  readonly limits: Limits
  readonly ran: Totals
  readonly title: string
  readonly onNote?: (event: BuildEvent) => void
  readonly onPartDone?: (place: PartPlace, totals: MutableTotals) => void
  /** Is told the runner as soon as there is one. */
  readonly onStart?: (runner: WorkflowRunner) => void
}

export type Walked<R> =
  | { readonly result: R; readonly totals: Totals }
  /** `limits` are those for the run that continues this one. */
  | { readonly tooLong: true; readonly ran: Totals; readonly limits: Limits }

/**
 * Runs a part with activities. Ends early, with nothing in flight, when the history is long: whoever continues
 * finds everything that was done in the store. A failure ends it too, once what was in flight has stopped.
 */
export async function walk<A, R>(part: Part<A, R>, args: A, options: WalkOptions): Promise<Walked<R>> {
  const { build, limits, ran, title } = options
  const { lookUp } = activitiesFor(limits).store
  const found = await lookUp.executeWithOptions({ summary: `what is cached of ${title}` }, [
    { part: part.name, args },
  ])
  const runner = new WorkflowRunner({
    build,
    limits,
    found,
    onNote: options.onNote ?? (() => {}),
    onPartDone: options.onPartDone ?? (() => {}),
  })
  options.onStart?.(runner)
  const scope = new CancellationScope()
  try {
    return await scope.run(() =>
      Promise.race([
        part.run(args, runner.root()).then((result) => ({ result, totals: continued(runner.totals, ran) })),
        runner.drained.then(() => ({
          tooLong: true as const,
          ran: ranOnly(continued(runner.totals, ran)),
          limits: runner.nextLimits(),
        })),
      ]),
    )
  } catch (error) {
    // The build is lost: what else is running need not finish, but has to have stopped.
    scope.cancel()
    await CancellationScope.nonCancellable(() => runner.quiet())
    throw error
  }
}

/** The body of every part's workflow. */
export async function partWorkflow<A, R>(part: Part<A, R>, input: PartInput<A>): Promise<PartOutput<R>> {
  const { args, title, build, limits, ran } = input
  let runner: WorkflowRunner | undefined
  setHandler(defineQuery<WorkflowProgress>(progressQuery), () => ({
    title,
    state: 'building',
    totals: continued(runner?.totals ?? {}, ran),
    verified: [],
    children: [...(runner?.children.keys() ?? [])].map((workflowId) => ({ workflowId })),
  }))
  try {
    const walked = await walk(part, args, {
      build,
      limits,
      ran,
      title,
      onStart: (started) => (runner = started),
    })
    if ('result' in walked) return walked
    return await continueAsNew<(input: PartInput<A>) => Promise<PartOutput<R>>>({
      ...input,
      ran: walked.ran,
      limits: walked.limits,
    })
  } catch (error) {
    throw failureOf(error)
  }
}
