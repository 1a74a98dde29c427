/**
 * The orchestration's runner inside a workflow: a stage is an activity, a large part is a child workflow, a long
 * list is a blob. Deterministic: everything it knows of the store was told by an activity.
 */
import {
  defineSearchAttributeKey,
  type SearchAttributePair,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/common'
import {
  ChildWorkflowCancellationType,
  executeChild,
  ParentClosePolicy,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import type { LookUpAnswer } from '../activities/types.ts'
import { ShardmillError } from '../errors/index.ts'
import { inlineList, inMessages } from '../pipeline/passing.ts'
import {
  type BuildEvent,
  isStored,
  keyOf,
  type Long,
  mapBounded,
  type Part,
  type PartPlace,
  type Runner,
  type StageCall,
  type StageResult,
  type StoredList,
  stages,
} from '../pipeline/stage.ts'
import type { Digest, Json } from '../store/types.ts'
import { activitiesFor } from './activities.ts'
import { searchAttributes } from './names.ts'
import { addTotals, type MutableTotals, totalsOf } from './totals.ts'
import type { BuildRef, Limits, PartInput, PartOutput } from './types.ts'

/** Activities and children in flight per workflow, well under the server's limit of 2,000 each. */
const mostInFlight = 200

/** A workflow continues as new at this length, or when the server suggests it; advice is to stay under 10,000 events. */
const defaultHistory = 4_000

/** How long a child of an earlier run may keep its name, and how long to wait between looks. Milliseconds. */
const mostWaitForName = 30 * 60_000
const longestPause = 30_000

export interface RunnerOptions {
  readonly build: BuildRef
  readonly limits: Limits
  /** What the store holds already. */
  readonly found: LookUpAnswer
  readonly onNote: (event: BuildEvent) => void
  readonly onPartDone: (place: PartPlace, totals: MutableTotals) => void
}

export class WorkflowRunner {
  readonly totals: MutableTotals = {}
  /** Children under way, by workflow id. */
  readonly children = new Map<string, PartPlace>()
  readonly options: RunnerOptions
  readonly activities: ReturnType<typeof activitiesFor>
  private readonly inFlight = new Map<Digest, Promise<StageResult>>()
  private readonly waiting: (() => void)[] = []
  private active = 0
  private draining = false
  private whenQuiet: (() => void)[] = []
  private announceDrained: () => void = () => {}
  /** Resolves when history is long and what was in flight has ended: time to continue as new. */
  readonly drained = new Promise<void>((resolve) => {
    this.announceDrained = resolve
  })

  constructor(options: RunnerOptions) {
    this.options = options
    this.activities = activitiesFor(options.limits)
  }

  /** The runner for the orchestration function itself. */
  root(): Runner {
    return new PathRunner(this, '')
  }

  stage(call: StageCall): Promise<StageResult> {
    const key = keyOf(call)
    let result = this.inFlight.get(key)
    if (result === undefined) {
      result = this.lookUpOrRun(call, key)
      this.inFlight.set(key, result)
    }
    return result
  }

  private async lookUpOrRun(call: StageCall, key: Digest): Promise<StageResult> {
    const totals = totalsOf(this.totals, call.stage)
    const found = this.options.found.stages[key]
    if (found !== undefined) {
      totals.cached++
      return found
    }
    const lane = stages[call.stage].lane === 'io' ? this.activities.network : this.activities.cpu
    const summary = `${call.title}, key ${key.slice(0, 16)}`
    const { result, cached, figures } = await this.inSlot(() =>
      lane[call.stage].executeWithOptions({ summary }, [{ call, build: this.options.build }]),
    )
    if (cached) totals.cached++
    else totals.run++
    totals.rows += figures.rows
    totals.tokens += figures.tokens
    totals.bytes += figures.bytes
    return result
  }

  /** A part that the store holds whole. */
  found(place: PartPlace, path: string): { readonly result: unknown } | undefined {
    const found = this.options.found.parts[path]
    if (found === undefined) return undefined
    const totals: MutableTotals = {}
    for (const [stage, count] of Object.entries(found.cached)) totalsOf(totals, stage).cached = count
    addTotals(this.totals, totals)
    if (place.large) this.options.onPartDone(place, totals)
    return found
  }

  async child<A, R>(part: Part<A, R>, args: A, place: PartPlace, path: string): Promise<R> {
    return this.inSlot(async () => {
      const workflowId = `${workflowInfo().workflowId}${path}`
      const { build, limits } = this.options
      this.children.set(workflowId, place)
      try {
        const input: PartInput<A> = { args, title: place.title, build, limits, ran: {} }
        const output = await whenFree(
          workflowId,
          () =>
            executeChild(part.name, {
              workflowId,
              args: [input],
              staticSummary: place.title,
              ...this.attributesOf(place),
              cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
              parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
            }) as Promise<PartOutput<R>>,
        )
        addTotals(this.totals, output.totals)
        this.options.onPartDone(place, output.totals as MutableTotals)
        return output.result
      } finally {
        this.children.delete(workflowId)
      }
    })
  }

  /** A split's workflow bears its name, and so do all inside it. The tasks of an evaluation belong to no split. */
  private attributesOf(place: PartPlace): { typedSearchAttributes?: SearchAttributePair[] } {
    if (this.options.limits.attributes?.includes(searchAttributes.split) !== true) return {}
    const key = defineSearchAttributeKey(searchAttributes.split, 'KEYWORD')
    const value = place.isSplit === true ? place.id : workflowInfo().typedSearchAttributes.get(key)
    return value === undefined ? {} : { typedSearchAttributes: [{ key, value }] }
  }

  async pack<T>(lists: readonly Long<T>[]): Promise<Long<T>> {
    const items = inlineList(lists)
    return items ?? this.inSlot(() => this.storeList(lists as readonly Long<Json>[], 'store a list'))
  }

  async slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]> {
    if (!isStored(list)) return list.slice(from, to)
    const summary = `items ${from + 1}-${to} of ${list.count}, list ${list.list.slice(0, 16)}`
    const read = this.activities.store.readList
    return (await this.inSlot(() =>
      read.executeWithOptions({ summary }, [{ list, from, to }]),
    )) as readonly T[]
  }

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    return (await this.inSlot(() => this.storeList(lists, 'list of token blocks'))).list
  }

  /** What is too much for one message is stored run by run, and then the runs as one list. */
  private async storeList(lists: readonly Long<Json>[], summary: string): Promise<StoredList> {
    const store = (some: readonly Long<Json>[]) =>
      this.activities.store.storeList.executeWithOptions({ summary }, [{ lists: some }])
    const messages = inMessages(lists)
    if (messages.length === 1) return store(lists)
    // One after the other: what a workflow asks for at once travels in one message, too.
    const runs: StoredList[] = []
    for (const message of messages) runs.push(await store(message))
    return this.storeList(runs, summary)
  }

  /** A run that only met what was cached has not come further: the next one gets more room. */
  nextLimits(): Limits {
    const { limits } = this.options
    if (Object.values(this.totals).some(({ run }) => run > 0)) return limits
    return { ...limits, history: 2 * (limits.history ?? defaultHistory) }
  }

  /** Resolves once nothing is in flight. */
  async quiet(): Promise<void> {
    if (this.active > 0) await new Promise<void>((resolve) => this.whenQuiet.push(resolve))
  }

  /** Runs `work` when there is room. While draining nothing new begins: its caller waits for ever, and is forgotten. */
  private async inSlot<T>(work: () => Promise<T>): Promise<T> {
    if (this.active >= mostInFlight) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.draining) return new Promise<T>(() => {})
    this.active++
    try {
      return await work()
    } finally {
      this.active--
      this.lookAtHistory()
      this.waiting.shift()?.()
      if (this.active === 0) {
        for (const resolve of this.whenQuiet.splice(0)) resolve()
        if (this.draining) this.announceDrained()
      }
    }
  }

  private lookAtHistory(): void {
    const { historyLength, continueAsNewSuggested } = workflowInfo()
    if (continueAsNewSuggested || historyLength > (this.options.limits.history ?? defaultHistory))
      this.draining = true
  }
}

/**
 * Starts a child once its name is free: the children of a build that was terminated are told to stop, and may still be
 * at it when the build is submitted again.
 */
async function whenFree<T>(workflowId: string, start: () => Promise<T>): Promise<T> {
  for (let waited = 0, pause = 1_000; ; pause = Math.min(2 * pause, longestPause)) {
    try {
      return await start()
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
      if (waited >= mostWaitForName) {
        throw new ShardmillError('TEMPORAL', `workflow ${workflowId} of an earlier run does not end`, {
          hint: 'Terminate it, and submit the build again.',
        })
      }
    }
    await sleep(pause)
    waited += pause
  }
}

/** The runner as a part sees it: it knows where in the tree it stands, which names the children. */
class PathRunner implements Runner {
  private readonly runner: WorkflowRunner
  private readonly path: string

  constructor(runner: WorkflowRunner, path: string) {
    this.runner = runner
    this.path = path
  }

  async part<A, R>(part: Part<A, R>, args: A, place: PartPlace): Promise<R> {
    const path = `${this.path}/${place.id}`
    const found = this.runner.found(place, path)
    if (found !== undefined) return found.result as R
    if (place.large) return this.runner.child(part, args, place, path)
    return part.run(args, new PathRunner(this.runner, path))
  }

  each<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
    return mapBounded(items, limit, work)
  }

  stage(call: StageCall): Promise<StageResult> {
    return this.runner.stage(call)
  }

  pack<T>(lists: readonly Long<T>[]): Promise<Long<T>> {
    return this.runner.pack(lists)
  }

  slice<T>(list: Long<T>, from: number, to: number): Promise<readonly T[]> {
    return this.runner.slice(list, from, to)
  }

  list(lists: readonly Long<Json>[]): Promise<Digest> {
    return this.runner.list(lists)
  }

  ahead(): void {}

  note(event: BuildEvent): void {
    if (event.kind === 'expect') totalsOf(this.runner.totals, event.stage).expected += event.count
    this.runner.options.onNote(event)
  }
}
