/** Every kind of recipe, as the orchestration sees it. */
import type { Kind } from '../lock.ts'
import type { BuildOutline, BuildResult, KindReport, Outline } from '../results.ts'
import type { Runner } from '../stage.ts'
import { chatEval } from './chat-eval.ts'
import { mix } from './mix.ts'
import { sft } from './sft.ts'

const kinds = { sft, mix, 'chat-eval': chatEval } as const satisfies Record<Kind, unknown>

/** The entry of the table, as if there were one kind: what goes in and what comes out have the same. */
interface AnyKind {
  orchestrate(outline: Outline, run: Runner): Promise<BuildOutline>
  whole(outline: BuildOutline): BuildResult
  report(result: BuildResult): KindReport
}

export function pipelineKind(kind: Kind): AnyKind {
  return kinds[kind] as unknown as AnyKind
}
