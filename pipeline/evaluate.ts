/** Evaluation: chunks of problems, each scored by an endpoint. Pure, and run by any runner, as a build is. */
import type { Digest, Json } from '../store/types.ts'
import type { Part, Runner } from './stage.ts'

export interface EvaluateArgs {
  readonly model: string
  /** What the endpoint tells of the model. */
  readonly revision: Json
  readonly topLogprobs: number
  readonly endpoint: string
  readonly batch: number
  readonly timeoutMs: number
  /** Chunks in flight. */
  readonly concurrency: number
  readonly chunks: readonly { readonly title: string; readonly problems: Digest }[]
}

export interface Evaluated {
  /** The answers' blob of each chunk. */
  readonly answers: readonly Digest[]
  /** Distinct fingerprints the endpoint gave its answers: more than one means that it changed under way. */
  readonly fingerprints: readonly string[]
}

async function evaluateChunks(args: EvaluateArgs, run: Runner): Promise<Evaluated> {
  const { model, revision, topLogprobs, endpoint, batch, timeoutMs, concurrency, chunks } = args
  run.note({ kind: 'expect', split: '', stage: 'score', count: chunks.length })
  const scored = await run.each(chunks, concurrency, ({ title, problems }) =>
    run.stage({
      stage: 'score',
      title,
      params: { model, revision, topLogprobs },
      inputs: { problems },
      hints: { endpoint, batch, timeoutMs },
    }),
  )
  const fingerprints = scored.flatMap(({ stats }) => stats['fingerprints'] as readonly string[])
  return {
    answers: scored.map(({ outputs }) => outputs['answers']!.digest),
    fingerprints: [...new Set(fingerprints)].sort(),
  }
}

export const evaluatePart: Part<EvaluateArgs, Evaluated> = { name: 'evaluate', run: evaluateChunks }
