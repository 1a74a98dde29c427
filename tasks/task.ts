/** Tasks: lists of conversations with Python's start, stop and step, and mixtures of them. */
import { ShardmillError } from '../errors/index.ts'
import { PythonRandom } from '../random/python-random.ts'
import type { Conversation } from './conversation.ts'

export interface Slice {
  /** First row (default 0). */
  readonly start?: number
  /** Row before which to stop (default: all rows). It is not held against the number of rows: see `length`. */
  readonly stop?: number | null
  /** Takes every step-th row (default 1). */
  readonly step?: number
}

/**
 * How a task is judged: `categorical` by which of a few letters is the most likely, `generative` by what the model
 * writes; undefined where it is not judged at all.
 */
export type EvalType = 'categorical' | 'generative'

/** A list of conversations. Errors of the constructor: USAGE for a start, stop or step that cannot be. */
export abstract class Task {
  /** For people: the key under which a build counts it. */
  abstract readonly name: string
  readonly evalType: EvalType | undefined = undefined
  /** Rows before slicing. */
  abstract readonly rows: number
  private readonly start: number
  private readonly stop: number | null
  private readonly step: number

  constructor({ start = 0, stop = null, step = 1 }: Slice = {}) {
    const check = (name: string, value: number, least: number) => {
      if (Number.isSafeInteger(value) && value >= least) return
      throw new ShardmillError('USAGE', `${name} is ${value}, expected a whole number of at least ${least}`)
    }
    check('start', start, 0)
    if (stop !== null) check('stop', stop, start)
    check('step', step, 1)
    this.start = start
    this.stop = stop
    this.step = step
  }

  /**
   * Conversations in the slice: (stop − start) / step, rounded up. As in the reference `stop` may be past the end, and
   * then counts rows that are not there; `conversation` fails for those. USAGE where `start` is past the end.
   */
  get length(): number {
    const span = (this.stop ?? this.rows) - this.start
    if (span < 0) {
      throw new ShardmillError(
        'USAGE',
        `${this.name}: start ${this.start} is past the end, there are ${this.rows} rows`,
        {
          hint: 'Lower start.',
        },
      )
    }
    return Math.ceil(span / this.step)
  }

  /**
   * Conversation `i` of the slice: row start + i × step. The only bound is the number of rows, as in the reference.
   *
   * Errors: USAGE for an index that is no whole number or leads to no row, BAD_ROW for a row that is not what its
   * source expects, and what reading its file may throw.
   */
  async conversation(i: number): Promise<Conversation> {
    const row = this.start + i * this.step
    if (!Number.isSafeInteger(i) || i < 0) {
      throw new ShardmillError('USAGE', `${this.name}: index ${i}, expected a whole number from 0`)
    }
    if (row >= this.rows) {
      throw new ShardmillError(
        'USAGE',
        `${this.name}: index ${i} leads to row ${row}, there are ${this.rows} rows`,
        {
          hint: this.rows === 0 ? 'The task is empty.' : `The last row is ${this.rows - 1}.`,
        },
      )
    }
    return this.example(row)
  }

  /** All of the slice, in order. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Conversation, void, void> {
    for (let i = 0; i < this.length; i++) yield await this.conversation(i)
  }

  /** Row `row`, 0 ≤ row < rows. */
  protected abstract example(row: number): Promise<Conversation>
}

/** Where a conversation of several tasks comes from: the place of its task, and its index there. */
export interface Origin {
  readonly task: number
  readonly index: number
}

abstract class SeveralTasks extends Task {
  readonly rows: number
  readonly tasks: readonly Task[]
  /** Row at which each task begins, and the number of all. */
  private readonly first: readonly number[]

  constructor(tasks: readonly Task[], slice: Slice) {
    super(slice)
    const first = [0]
    for (const task of tasks) first.push(first.at(-1)! + task.length)
    this.tasks = tasks
    this.first = first
    this.rows = first.at(-1)!
  }

  /** Where row `row` (before slicing) comes from. */
  abstract originOf(row: number): Origin

  protected example(row: number): Promise<Conversation> {
    const { task, index } = this.originOf(row)
    return this.tasks[task]!.conversation(index)
  }

  /** The place `at` in the tasks one after the other. */
  protected placeOf(at: number): Origin {
    let task = 0
    while (at >= this.first[task + 1]!) task++
    return { task, index: at - this.first[task]! }
  }
}

/**
 * Several tasks as one, their conversations shuffled with Python's `Random(42)` as the reference shuffles them. A task
 * that stands there twice is drawn from twice (oversampling).
 */
export class TaskMixture extends SeveralTasks {
  readonly name = 'TaskMixture'
  private readonly order: Uint32Array

  constructor(tasks: readonly Task[], slice: Slice = {}) {
    super(tasks, slice)
    if (this.rows > 0xffffffff) {
      throw new ShardmillError(
        'USAGE',
        `a mixture of ${this.rows} conversations, more than ${0xffffffff} that can be put in order`,
      )
    }
    this.order = new PythonRandom(42).permutation(this.rows)
  }

  originOf(row: number): Origin {
    return this.placeOf(this.order[row]!)
  }
}

/** Several tasks one after the other, for a curriculum. */
export class TaskSequence extends SeveralTasks {
  readonly name = 'TaskSequence'

  constructor(tasks: readonly Task[], slice: Slice = {}) {
    super(tasks, slice)
  }

  originOf(row: number): Origin {
    return this.placeOf(row)
  }
}
