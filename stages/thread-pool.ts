/**
 * Worker threads with one queue. Unlike pools of tasks that are opaque, a thread here says when what is left of a task
 * only waits for the disk (`settling`): it gets its next task then, and two tasks that compute never share a thread
 * while another one idles.
 */
import { Worker } from 'node:worker_threads'

/** From the pool to a thread. */
export interface ToThread<T> {
  readonly id: number
  readonly task: T
}

/** From a thread to the pool. `ready` comes once, when the thread's modules are loaded. */
export type FromThread<R> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'settling'; readonly id: number }
  | { readonly kind: 'done'; readonly id: number; readonly result: R }
  | { readonly kind: 'failed'; readonly id: number; readonly error: unknown }

export interface ThreadPoolOptions {
  readonly file: string
  readonly threads: number
  readonly execArgv: string[]
  /** Tasks of a thread that compute at once: more than one only where they mostly wait, for a network, say. */
  readonly computing: number
  /** Tasks a thread has in hand, those that settle included. */
  readonly inHand: number
  /** How long a thread without work is kept. */
  readonly idleMs: number
}

interface Job<T, R> {
  readonly id: number
  readonly task: T
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
  settling: boolean
}

interface Thread<T, R> {
  readonly worker: Worker
  readonly jobs: Map<number, Job<T, R>>
  /** Fulfilled when its modules are loaded, or it has ended: a thread must not be ended while it loads them. */
  readonly ready: Promise<void>
  idle: NodeJS.Timeout | undefined
  ended: boolean
}

export class ThreadPool<T, R> {
  private readonly options: ThreadPoolOptions
  private readonly queue: Job<T, R>[] = []
  private readonly threads = new Set<Thread<T, R>>()
  private readonly endings = new Set<Promise<unknown>>()
  private nextId = 0
  private closed = false
  /** A failure that belongs to no task: a thread could not start, so what waits for one would wait for ever. */
  private broken: unknown

  constructor(options: ThreadPoolOptions) {
    this.options = options
  }

  /** Runs a task. When `signal` is aborted it is given up at once, and a thread that works on it is ended. */
  run(task: T, signal: AbortSignal): Promise<R> {
    if (this.broken !== undefined) return Promise.reject(this.broken)
    if (signal.aborted || this.closed) return Promise.reject(abortError(signal.reason))
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.giveUp(job)
        job.reject(abortError(signal.reason))
      }
      const settle = () => signal.removeEventListener('abort', onAbort)
      const job: Job<T, R> = {
        id: this.nextId++,
        task,
        settling: false,
        resolve: (result) => {
          settle()
          resolve(result)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.queue.push(job)
      this.dispatch()
    })
  }

  /** Starts all threads, so that they load while there is nothing to do for them yet. */
  warm(): void {
    while (!this.closed && this.threads.size < this.options.threads) this.rest(this.start())
  }

  async close(): Promise<void> {
    this.closed = true
    for (const job of this.queue.splice(0)) job.reject(abortError(undefined))
    for (const thread of this.threads) {
      for (const job of thread.jobs.values()) job.reject(abortError(undefined))
      this.end(thread)
    }
    await Promise.all(this.endings)
  }

  private dispatch(): void {
    while (this.queue.length > 0) {
      const thread = this.freeThread()
      if (thread === undefined) return
      const job = this.queue.shift()!
      clearTimeout(thread.idle)
      thread.jobs.set(job.id, job)
      thread.worker.postMessage({ id: job.id, task: job.task } satisfies ToThread<T>)
    }
  }

  /** The thread with the least to do, of those that can take a task. */
  private freeThread(): Thread<T, R> | undefined {
    const { threads, computing, inHand } = this.options
    let best: Thread<T, R> | undefined
    let least = inHand
    for (const thread of this.threads) {
      const load = computingOf(thread)
      if (load >= computing || thread.jobs.size >= inHand || load >= least) continue
      best = thread
      least = load
    }
    if ((best === undefined || least > 0) && this.threads.size < threads) return this.start()
    return best
  }

  private start(): Thread<T, R> {
    const worker = new Worker(this.options.file, { execArgv: this.options.execArgv })
    let loaded = () => {}
    const thread: Thread<T, R> = {
      worker,
      jobs: new Map(),
      ready: new Promise((resolve) => {
        loaded = resolve
      }),
      idle: undefined,
      ended: false,
    }
    let failure: unknown
    let started = false
    worker.on('message', (message: FromThread<R>) => {
      if (message.kind === 'ready') {
        started = true
        loaded()
      } else this.take(thread, message)
    })
    worker.on('error', (error) => {
      failure = error
    })
    worker.on('exit', (code) => {
      loaded()
      this.threads.delete(thread)
      const wanted = thread.ended
      thread.ended = true
      clearTimeout(thread.idle)
      if (wanted) return
      failure ??= new Error(`a worker thread ended with exit code ${code}`)
      for (const job of thread.jobs.values()) job.reject(failure)
      if (!started) this.break(failure)
      this.dispatch()
    })
    this.threads.add(thread)
    return thread
  }

  private take(thread: Thread<T, R>, message: Exclude<FromThread<R>, { kind: 'ready' }>): void {
    const job = thread.jobs.get(message.id)
    if (job === undefined || thread.ended) return
    if (message.kind === 'settling') job.settling = true
    else {
      thread.jobs.delete(message.id)
      if (message.kind === 'done') job.resolve(message.result)
      else job.reject(message.error)
    }
    this.dispatch()
    this.rest(thread)
  }

  /** A thread without work is kept for a while. */
  private rest(thread: Thread<T, R>): void {
    if (thread.jobs.size > 0 || thread.ended) return
    clearTimeout(thread.idle)
    thread.idle = setTimeout(() => this.end(thread), this.options.idleMs).unref()
  }

  /** Ends the thread that works on the job; its other tasks, being pure, are done again elsewhere. */
  private giveUp(job: Job<T, R>): void {
    const waiting = this.queue.indexOf(job)
    if (waiting >= 0) this.queue.splice(waiting, 1)
    for (const thread of this.threads) {
      if (!thread.jobs.delete(job.id)) continue
      this.end(thread)
      for (const other of thread.jobs.values()) other.settling = false
      this.queue.unshift(...thread.jobs.values())
    }
    this.dispatch()
  }

  private end(thread: Thread<T, R>): void {
    if (thread.ended) return
    thread.ended = true
    this.threads.delete(thread)
    clearTimeout(thread.idle)
    const ending = thread.ready.then(() => thread.worker.terminate())
    this.endings.add(ending)
    void ending.finally(() => this.endings.delete(ending))
  }

  private break(error: unknown): void {
    this.broken = error
    for (const job of this.queue.splice(0)) job.reject(error)
  }
}

function computingOf<T, R>(thread: Thread<T, R>): number {
  let count = 0
  for (const job of thread.jobs.values()) if (!job.settling) count++
  return count
}

function abortError(cause: unknown): Error {
  return Object.assign(new Error('the task was given up', { cause }), { name: 'AbortError' })
}
