/** Follows a build on Temporal with the display of the in-process build. Following never influences it. */
import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import {
  type Client,
  isGrpcServiceError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client'
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common'
import type { BuildObserver } from '../../engine/events.ts'
import { type ErrorFacts, ShardmillError } from '../../errors/index.ts'
import { type StageCall, type StageName, stages } from '../../pipeline/stage.ts'
import { Meter } from '../../stages/meter.ts'
import type { Digest, StageRecord } from '../../store/types.ts'
import type { BuildReport, StageTotals } from '../../workflows/types.ts'
import { type RunningActivity, type Snapshot, takeSnapshot, unpolledQueues } from './snapshot.ts'

export interface FollowOptions {
  readonly client: Client
  readonly namespace: string
  readonly workflowId: string
  /** Leaves the build alone when it is aborted. */
  readonly signal: AbortSignal
  readonly observer: BuildObserver
}

const pollMs = 700
/** Without an answer for this long the user is told what is missing. */
const patienceMs = 5_000

/** Waits for the end of a build, or of another workflow that tells its progress. Throws what the build failed with; NOT_FOUND, TEMPORAL; INTERRUPTED when left. */
export async function followBuild<R = BuildReport>(options: FollowOptions): Promise<R> {
  const { client, workflowId, signal, observer } = options
  const stop = new AbortController()
  const ended = result<R>(client, workflowId, signal, observer)
  const watching = watch(options, stop.signal)
  try {
    return await Promise.race([ended, left(signal)])
  } finally {
    stop.abort()
    ended.catch(() => undefined)
    await watching
  }
}

function left(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const leave = () => reject(new ShardmillError('INTERRUPTED', 'left'))
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  })
}

/** The build's result; a server that is away for a while is waited for. */
async function result<R>(
  client: Client,
  workflowId: string,
  signal: AbortSignal,
  observer: BuildObserver,
): Promise<R> {
  for (let told = false; ; ) {
    try {
      return (await client.workflow.getHandle(workflowId).result()) as R
    } catch (error) {
      if (!isOutage(error)) throw endOf(error, workflowId)
      if (!told) observer.notice('the Temporal server does not answer; the build goes on when it is back')
      told = true
      await pause(1_000, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) throw error
    }
  }
}

function isOutage(error: unknown): boolean {
  const inner = error instanceof ServiceError ? error.cause : error
  // UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED (the connection went away), INTERNAL and UNKNOWN of a server that is starting
  return isGrpcServiceError(inner) && [14, 4, 1, 13, 2].includes(inner.code)
}

/** What a build ended with, as the in-process build would have thrown it. */
export function endOf(error: unknown, workflowId: string): unknown {
  if (error instanceof WorkflowNotFoundError) return noBuild(workflowId)
  if (!(error instanceof WorkflowFailedError)) return error
  const { cause } = error
  if (cause instanceof ApplicationFailure) {
    const facts = cause.details?.[0] as (Omit<ErrorFacts, 'code'> & { code: string }) | undefined
    if (facts !== undefined && facts.code !== 'BUG') return ShardmillError.fromFacts(facts as ErrorFacts)
    return cause
  }
  if (cause instanceof CancelledFailure)
    return new ShardmillError('INTERRUPTED', `build ${workflowId} was cancelled; finished stages are kept`)
  if (cause instanceof TerminatedFailure)
    return new ShardmillError('TEMPORAL', `build ${workflowId} was terminated; finished stages are kept`, {
      hint: 'Submit it again to go on.',
    })
  if (cause instanceof TimeoutFailure)
    return new ShardmillError('TEMPORAL', `build ${workflowId} timed out; finished stages are kept`, {
      hint: 'Submit it again to go on.',
    })
  return error
}

export function noBuild(workflowId: string): ShardmillError {
  return new ShardmillError('NOT_FOUND', `there is no build ${workflowId}`, {
    hint: '`shardmill list` shows the builds the server knows.',
  })
}

async function watch(
  { client, namespace, workflowId, observer }: FollowOptions,
  stop: AbortSignal,
): Promise<void> {
  const display = new Display(observer)
  let silentSince = Date.now()
  let told = false
  while (!stop.aborted) {
    const snapshot = await abortable(client, stop, () => takeSnapshot(client, workflowId)).catch(
      () => undefined,
    )
    if (stop.aborted) break
    if (snapshot !== undefined) display.show(snapshot)
    const waiting = snapshot === undefined || display.idle
    if (!waiting) {
      silentSince = Date.now()
      told = false
    }
    if (waiting && !told && Date.now() - silentSince > patienceMs) {
      const missing = await unpolledQueues(client, namespace).catch(() => [])
      const who =
        missing.length === 0
          ? ''
          : `, and none polls ${missing.join(', ')}: start one with \`shardmill worker\``
      observer.notice(`no worker has taken the work for ${patienceMs / 1000} s${who}`)
      told = true
    }
    await pause(pollMs, undefined, { signal: stop }).catch(() => undefined)
  }
}

/** The SDK never takes its listeners off a signal: each round has one of its own, or a long build would collect them. */
async function abortable<T>(client: Client, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
  const round = new AbortController()
  // One for every question of a round, and those are as many as a build has parts under way.
  setMaxListeners(0, round.signal)
  const abort = () => round.abort()
  stop.addEventListener('abort', abort, { once: true })
  try {
    return await client.withAbortSignal(round.signal, work)
  } finally {
    stop.removeEventListener('abort', abort)
  }
}

const none: StageTotals = { expected: 0, cached: 0, run: 0, rows: 0, tokens: 0, bytes: 0 }

/** Turns snapshots into what an observer is told: differences to the snapshot before. */
class Display {
  /** True when the last snapshot had work, but nobody doing it. */
  idle = false
  private split = ''
  private readonly seen = new Map<string, StageTotals>()
  private readonly running = new Map<string, { readonly meter: Meter; readonly call: StageCall }>()
  private readonly verified = new Set<string>()
  private readonly troubles = new Set<string>()
  private readonly observer: BuildObserver

  constructor(observer: BuildObserver) {
    this.observer = observer
  }

  show({ splits }: Snapshot): void {
    const all = Object.values(splits).flatMap(({ running }) => running)
    this.idle = all.length > 0 && all.every(({ identity }) => identity === '')
    // Train is built last; the others come in the order in which they began.
    const named = Object.keys(splits).filter((name) => name !== '' && name !== 'train')
    for (const name of ['', ...named, 'train']) {
      const split = splits[name]
      if (split === undefined || this.verified.has(name)) continue
      if (name !== '' && this.split !== name) {
        this.observer.splitStarted(name)
        this.split = name
        this.running.clear()
      }
      this.update(name, split.totals, split.running)
      if (!split.verified) continue
      this.verified.add(name)
      this.observer.splitVerified(name)
    }
  }

  private update(
    split: string,
    totals: Snapshot['splits'][string]['totals'],
    running: readonly RunningActivity[],
  ): void {
    const now = new Set(running.map(({ id }) => id))
    const gone = [...this.running].filter(([id]) => !now.has(id))
    for (const activity of running) this.showRunning(activity)
    for (const [stage, total] of Object.entries(totals)) {
      if (!(stage in stages)) continue
      const before = this.seen.get(`${split} ${stage}`) ?? none
      this.seen.set(`${split} ${stage}`, total)
      if (total.expected > before.expected)
        this.observer.expected(split, stage, total.expected - before.expected)
      const call = callOf(stage as StageName, '')
      for (let i = before.cached; i < total.cached; i++) this.observer.cached(call, recordOf(call, ''))
      for (let i = before.run; i < total.run; i++) {
        const at = gone.findIndex(([, entry]) => entry.call.stage === stage)
        const [id, entry] = at < 0 ? [`${split} ${stage} ${i}`, undefined] : gone.splice(at, 1)[0]!
        // What they came to is known for all of them together: the first one brings it.
        const figures =
          i === before.run
            ? {
                rows: total.rows - before.rows,
                tokens: total.tokens - before.tokens,
                bytes: total.bytes - before.bytes,
              }
            : none
        this.finish(id, entry ?? { meter: new Meter(), call }, figures, entry === undefined)
      }
    }
    for (const [id, { call }] of gone) {
      this.observer.failed(call, id as Digest, undefined)
      this.running.delete(id)
    }
  }

  private showRunning({ id, stage, title, attempt, trouble, ...beat }: RunningActivity): void {
    if (trouble !== undefined && !this.troubles.has(`${id} ${attempt} ${trouble}`)) {
      this.troubles.add(`${id} ${attempt} ${trouble}`)
      this.observer.notice(
        `${stage}${title === '' ? '' : ` ${title}`}: ${trouble}${attempt > 1 ? ` (attempt ${attempt})` : ''}`,
      )
    }
    // Its name comes with its first heartbeat.
    if (!(stage in stages) || beat.identity === '' || title === '') return
    let entry = this.running.get(id)
    if (entry === undefined) {
      entry = { meter: new Meter(), call: callOf(stage as StageName, title) }
      this.running.set(id, entry)
      this.observer.started(entry.call, id as Digest, entry.meter)
    }
    setMeter(entry.meter, beat)
  }

  private finish(
    id: string,
    { meter, call }: { meter: Meter; call: StageCall },
    figures: { rows: number; tokens: number; bytes: number },
    isNew: boolean,
  ): void {
    if (isNew) this.observer.started(call, id as Digest, meter)
    setMeter(meter, { done: 0, total: 0, ...figures })
    this.observer.finished(call, recordOf(call, id))
    this.running.delete(id)
  }
}

function setMeter(
  meter: Meter,
  {
    done,
    total,
    rows,
    tokens,
    bytes,
  }: { done: number; total: number; rows: number; tokens: number; bytes: number },
): void {
  const before = meter.read()
  meter.done(done, total)
  meter.rows(rows - before.rows)
  meter.tokens(tokens - before.tokens)
  meter.bytes(bytes - before.bytes)
}

function callOf(stage: StageName, title: string): StageCall {
  return { stage, title, params: null, inputs: {} }
}

/** Observers look at the key of a record; the rest lies in the store. */
function recordOf(call: StageCall, key: string): StageRecord {
  const circumstances = {
    startedAt: '',
    finishedAt: '',
    host: '',
    pid: 0,
    user: '',
    engine: 'temporal',
    tool: '',
    node: '',
  }
  return {
    schema: 1,
    key: key as Digest,
    stage: call.stage,
    version: stages[call.stage].version,
    params: null,
    inputs: {},
    outputs: {},
    stats: {},
    circumstances,
  }
}
