/**
 * The in-process runner: a stage is looked up in the store, else run here (io) or in a worker thread (cpu), and its
 * record is written last. A crash therefore costs only the stages in flight.
 */
import { ShardmillError } from '../errors/index.ts'
import type { Hub } from '../hub/client/hub.ts'
import type { Environment } from '../hub/client/settings.ts'
import { canonicalJson, digestOfText } from '../pipeline/keys.ts'
import {
  type BuildEvent,
  itemsOf,
  keyOf,
  LocalRunner,
  type Long,
  type Runner,
  type StageCall,
  type StageResult,
  stages,
} from '../pipeline/stage.ts'
import type { StageOutput } from '../stages/define-stage.ts'
import { createDownload } from '../stages/download.ts'
import { Meter } from '../stages/meter.ts'
import type { StagePool } from '../stages/pool.ts'
import { runStage } from '../stages/run-stage.ts'
import { createScore } from '../stages/score.ts'
import { tasksPerThread } from '../stages/threads.ts'
import type { Digest, Json, StageRecord, Store } from '../store/types.ts'
import { CpuLane } from './cpu-lane.ts'
import type { BuildObserver } from './events.ts'
import { Semaphore } from './semaphore.ts'

/** Downloads at a time: enough to fill a line, few enough to stay polite. */
const parallelIo = 4

export interface InProcessOptions {
  readonly store: Store
  readonly pool: () => StagePool | Promise<StagePool>
  readonly threads: number
  /** Stages that wait on the network at a time (default: a few, to stay polite). */
  readonly parallelIo?: number
  /** For stages that ask an endpoint. */
  readonly env?: Environment
  readonly hub: () => Hub
  readonly signal: AbortSignal
  readonly observer: BuildObserver
  /** Told of the files of every shard that was verified here, and not found to have been. */
  readonly onVerified?: (files: readonly Digest[]) => void
}

export class InProcessRunner extends LocalRunner {
  /** Every record this build used, by key: found or made. */
  readonly records = new Map<Digest, StageRecord>()
  /** Values stored with `list`, by digest. */
  readonly lists = new Map<Digest, Json>()
  readonly ran = new Set<Digest>()
  private readonly options: InProcessOptions
  private readonly inFlight = new Map<Digest, Promise<StageResult>>()
  private readonly io: Semaphore
  private readonly cpu: CpuLane
  /** Sizes of what was formatted: the larger a partition, the earlier it is tokenized. */
  private readonly sizes = new Map<Digest, number>()
  private readonly stop = new AbortController()
  private readonly signal: AbortSignal

  constructor(options: InProcessOptions) {
    super()
    this.options = options
    // One more call than the threads take, so that the next task waits in the pool's queue and not in ours.
    this.cpu = new CpuLane(options.threads * tasksPerThread + 1, 2 * options.threads)
    this.io = new Semaphore(options.parallelIo ?? parallelIo)
    this.signal = AbortSignal.any([options.signal, this.stop.signal])
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

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    const value = lists.flatMap((list) => itemsOf(list))
    const text = canonicalJson(value)
    const digest = digestOfText(text)
    this.lists.set(digest, value)
    if ((await this.options.store.statBlob(digest)) === undefined)
      await this.options.store.putBlob(Buffer.from(text))
    return digest
  }

  override ahead(work: (run: Runner) => Promise<unknown>): void {
    work(new AtHand(this, this.options.store)).catch(() => {})
  }

  /** Gives up what is still running: nobody waits for it any more. */
  end(): void {
    this.stop.abort(interrupted())
  }

  note(event: BuildEvent): void {
    if (event.kind === 'expect') this.options.observer.expected(event.split, event.stage, event.count)
    if (event.kind === 'split-started') this.options.observer.splitStarted(event.split)
    if (event.kind === 'split-verified') this.options.observer.splitVerified(event.split)
  }

  private async lookUpOrRun(call: StageCall, key: Digest): Promise<StageResult> {
    const { store, observer } = this.options
    const found = await store.getRecord(key)
    if (found !== undefined) {
      this.records.set(key, found)
      observer.cached(call, found)
      return found
    }
    return this.inTurn(call, async () => {
      this.signal.throwIfAborted()
      const meter = new Meter()
      observer.started(call, key, meter)
      try {
        const record = await runStage(call, {
          store,
          execute: () => this.execute(call, meter),
          engine: { engine: 'in-process' },
        })
        this.records.set(key, record)
        this.ran.add(key)
        if (call.stage === 'format') this.remember(record)
        if (call.stage === 'verify') this.tellVerified(call)
        observer.finished(call, record)
        return record
      } catch (error) {
        observer.failed(call, key, this.signal.aborted ? interrupted() : error)
        // The build is lost: what else is running need not finish, and fails for this reason and not for its end.
        if (!this.stop.signal.aborted) this.stop.abort(error)
        throw this.options.signal.aborted ? interrupted() : this.stop.signal.reason
      }
    })
  }

  private inTurn<T>(call: StageCall, work: () => Promise<T>): Promise<T> {
    if (stages[call.stage].lane === 'io') return this.io.run(work)
    const { conversations } = call.inputs
    const size = conversations === undefined ? undefined : this.sizes.get(conversations)
    return this.cpu.run(call.stage, size ?? 0, work)
  }

  private tellVerified({ inputs }: StageCall): void {
    const { segment: _, ...files } = inputs
    this.options.onVerified?.(Object.values(files))
  }

  private remember({ outputs }: StageRecord): void {
    const { conversations } = outputs
    if (conversations !== undefined) this.sizes.set(conversations.digest, conversations.bytes)
  }

  private async execute(call: StageCall, meter: Meter): Promise<StageOutput> {
    if (stages[call.stage].lane === 'cpu') return (await this.options.pool()).run(call, meter, this.signal)
    const { env = {}, hub } = this.options
    const stage = call.stage === 'score' ? createScore(env) : createDownload(hub)
    const output = await stage.run(call, {
      store: this.options.store,
      signal: this.signal,
      progress: meter,
      notice: (text) => this.options.observer.notice(text),
      encoderTables: () => Promise.reject(new TypeError('only CPU stages encode')),
    })
    if (call.stage === 'score') return output
    const pool = await this.options.pool()
    for (const { digest } of Object.values(output.outputs)) pool.trust(digest)
    return output
  }
}

/** Stages for which all is at hand. What is to be fetched waits for its turn: what is wrong may show before. */
class AtHand extends LocalRunner {
  private readonly runner: Runner
  private readonly store: Store

  constructor(runner: Runner, store: Store) {
    super()
    this.runner = runner
    this.store = store
  }

  async stage(call: StageCall): Promise<StageResult> {
    if (stages[call.stage].lane === 'io' && (await this.store.getRecord(keyOf(call))) === undefined)
      throw new Error(`${call.title} is not here yet`)
    return this.runner.stage(call)
  }

  list(lists: readonly Long<Json>[]): Promise<Digest> {
    return this.runner.list(lists)
  }

  note(): void {}
}

export function interrupted(): ShardmillError {
  return new ShardmillError('INTERRUPTED', 'interrupted', { retryable: true })
}
