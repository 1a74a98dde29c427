/**
 * Files of multiple-choice problems, one a task. To add a format, write a file beside this one and name it in index.ts.
 */
import type { FileReader } from '../file-reader.ts'
import type { Sink } from '../pickle-writer.ts'

/** A problem as a trainer or an endpoint takes it. */
export interface Problem {
  /** The prompt; the answer is the next token. */
  readonly tokens: ArrayLike<number>
  /** The token of each letter, in the row's order. */
  readonly letterTokenIds: readonly number[]
  /** Which of them is right: the first, where a row has it twice. */
  readonly gold: number
  /** Place in the task's order, before any were skipped. */
  readonly exampleIdx: number
}

/** What a file says before its problems. */
export interface ProblemFileHead {
  readonly label: string
  readonly examples: number
  /** The accuracy of guessing, as a fraction. */
  readonly randomBaseline: number
}

export interface ProblemFormat {
  /** The recipe's `output`. */
  readonly name: string
  /** Raise when the same problems would give other bytes. */
  readonly version: number
  readonly extension: string
  readonly about: string
  /** Writes a file front to back; `problem(i)` is asked for in order, and good until the next. */
  write(head: ProblemFileHead, problem: (i: number) => Problem, sink: Sink): Promise<void>
  /**
   * The problems of such a file, in order. `head`, where given, must be what the file says.
   * @throws VERIFY for a file that is not of this form
   */
  read(file: FileReader, head?: ProblemFileHead): Iterable<Problem> | AsyncIterable<Problem>
}
