/** Every kind of recipe, as the output folder sees it. */
import type { Kind, Lock } from '../../pipeline/lock.ts'
import type { BuildResult } from '../../pipeline/results.ts'
import { chatEval } from './chat-eval.ts'
import type { OutputKind } from './define-kind.ts'
import { sft } from './sft.ts'

const kinds = { sft, mix: sft, 'chat-eval': chatEval } as const satisfies Record<Kind, unknown>

export const kindNames = Object.keys(kinds) as [Kind, ...Kind[]]

export function outputKind(kind: Kind): OutputKind<Lock, BuildResult> {
  return kinds[kind] as unknown as OutputKind<Lock, BuildResult>
}
