/** kind: mix. As kind sft from the order on: what comes before is an import of shards that were built already. */
import type { MixLock } from '../lock.ts'
import type { SftOutline, SftReport, SftResult } from '../results.ts'
import type { PipelineKind } from './define-kind.ts'
import { buildShards, sft } from './sft.ts'

export const mix: PipelineKind<MixLock, SftOutline, SftResult, SftReport> = {
  orchestrate: (outline, run) => {
    const { digest: vocabulary, size: vocabularySize, bosId } = outline.vocabulary
    return buildShards(outline, { vocabulary, vocabularySize, bosId }, run)
  },
  whole: sft.whole,
  report: sft.report,
}
