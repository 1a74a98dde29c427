/** A span for an attempt at a stage, or at publishing: what tracing is told, whoever records it. */
import { Context } from '@temporalio/activity'
import type { BuildRef } from '../workflows/types.ts'
import type { Dependencies } from './dependencies.ts'

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

export interface SpanFacts {
  readonly name: string
  /** Digits of the build's run id: all spans of a build are one trace, whichever worker they come from. */
  readonly trace: string
  readonly attributes: SpanAttributes
}

/** Runs `work` in a span that ends with it; what it tells is added to the span. */
export type Tracer = <T>(
  facts: SpanFacts,
  work: (tell: (attributes: SpanAttributes) => void) => Promise<T>,
) => Promise<T>

/** Without a tracer just the work. */
export function inSpan<T>(
  { tracer }: Pick<Dependencies, 'tracer'>,
  name: string,
  build: BuildRef,
  attributes: SpanAttributes,
  work: (tell: (attributes: SpanAttributes) => void) => Promise<T>,
): Promise<T> {
  if (tracer === undefined) return work(() => {})
  const { info } = Context.current()
  return tracer(
    {
      name,
      trace: build.runId.replaceAll('-', ''),
      attributes: {
        'shardmill.build': build.workflowId,
        'temporal.workflow_id': info.workflowExecution?.workflowId ?? '',
        'temporal.run_id': info.workflowExecution?.runId ?? '',
        'temporal.activity_id': info.activityId,
        'temporal.attempt': info.attempt,
        'temporal.task_queue': info.taskQueue,
        'temporal.waited_ms': Math.max(0, Date.now() - info.currentAttemptScheduledTimestampMs),
        ...attributes,
      },
    },
    work,
  )
}
