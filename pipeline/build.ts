/**
 * The orchestration: a lock unfolds into stages, as its kind says (kinds/). Deterministic and pure (no clock, no I/O,
 * no Node built-ins), so the laptop calls it with a runner that runs stages in process, and a Temporal workflow calls
 * the same function with a runner that executes activities.
 */
import { pipelineKind } from './kinds/index.ts'
import type { Lock } from './lock.ts'
import type { BuildOutline, BuildResult, Outline } from './results.ts'
import type { Part, Runner } from './stage.ts'

/** Builds one dataset where lists stay lists: in process. */
export async function buildDataset(lock: Lock, run: Runner): Promise<BuildResult> {
  return pipelineKind(lock.kind).whole(await orchestrate(lock, run))
}

function orchestrate(outline: Outline, run: Runner): Promise<BuildOutline> {
  return pipelineKind(outline.kind).orchestrate(outline, run)
}

/** The whole, as something that may be run elsewhere. */
export const datasetPart: Part<Outline, BuildOutline> = { name: 'buildDataset', run: orchestrate }
