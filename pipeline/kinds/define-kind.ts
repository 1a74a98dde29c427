/** A kind of recipe to the orchestration: which stages its lock unfolds into, and what they come to. */
import type { Lock } from '../lock.ts'
import type { OutlineOf } from '../results.ts'
import type { Runner } from '../stage.ts'

export interface PipelineKind<L extends Lock, BuildOutline, Result, Report> {
  /** The whole build: deterministic and pure, since a Temporal workflow runs it too. */
  orchestrate(outline: OutlineOf<L>, run: Runner): Promise<BuildOutline>
  /** The result with its lists, where no list was stored elsewhere. */
  whole(outline: BuildOutline): Result
  /** What clients are told of it. */
  report(result: Result): Report
}
