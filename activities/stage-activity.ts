/** A stage as Temporal calls it: looked up, else run, its record written last, and a small answer returned. */
import { Context } from '@temporalio/activity'
import { canonicalJson } from '../pipeline/keys.ts'
import { keyOf, type StageCall, type StageResult, type StoredList } from '../pipeline/stage.ts'
import type { StageOutput } from '../stages/define-stage.ts'
import { Meter } from '../stages/meter.ts'
import { runStage } from '../stages/run-stage.ts'
import type { BlobRef, Json, Store } from '../store/types.ts'
import type { BuildRef } from '../workflows/types.ts'
import type { Dependencies } from './dependencies.ts'
import { inSpan, type SpanAttributes } from './spans.ts'
import { type Translated, translate } from './translate.ts'
import type { StageActivity, StageAnswer } from './types.ts'

/** Does a stage's work and tells the meter how far it is. */
export type Execute = (call: StageCall, meter: Meter, translated: Translated) => Promise<StageOutput>

/** The activity for a stage. */
export function stageActivity(deps: Dependencies, execute: Execute): StageActivity {
  return ({ call, build }) =>
    translate(deps, (translated) =>
      inSpan(deps, call.stage, build, spanOf(call), async (tell): Promise<StageAnswer> => {
        const { store } = deps
        const found = await store.getRecord(keyOf(call))
        if (found !== undefined) {
          count('shardmill_stages_cached', 1, call)
          tell({ 'shardmill.cached': true })
          return {
            result: await small(found, store),
            cached: true,
            figures: { rows: 0, tokens: 0, bytes: 0 },
          }
        }
        const meter = new Meter()
        translated.report(() => ({ title: call.title, ...meter.read() }))
        try {
          const record = await runStage(call, {
            store,
            execute: () => execute(call, meter, translated),
            engine: circumstances(build, deps.identity),
          })
          const { rows, tokens, bytes } = meter.read()
          tell({ 'shardmill.rows': rows, 'shardmill.tokens': tokens, 'shardmill.bytes': bytes })
          count('shardmill_stages_run', 1, call)
          count('shardmill_rows', rows, call)
          count('shardmill_tokens', tokens, call)
          count('shardmill_bytes', bytes, call)
          return { result: await small(record, store), cached: false, figures: { rows, tokens, bytes } }
        } catch (error) {
          if (!translated.signal.aborted) count('shardmill_stages_failed', 1, call)
          throw error
        }
      }),
    )
}

function spanOf(call: StageCall): SpanAttributes {
  return { 'shardmill.title': call.title, 'shardmill.key': keyOf(call) }
}

/** A CPU stage: in a worker thread, so that heartbeats never starve. */
export function cpuActivity(deps: Dependencies): StageActivity {
  return stageActivity(deps, async (call, meter, { signal }) => (await deps.pool()).run(call, meter, signal))
}

function count(name: string, more: number, { stage }: StageCall): void {
  if (more > 0) Context.current().metricMeter.createCounter(name).add(more, { stage })
}

/** From a shard to the exact attempt that wrote it. */
function circumstances(build: BuildRef, identity: string) {
  const { info } = Context.current()
  return {
    engine: 'temporal',
    namespace: info.activityNamespace ?? '',
    workflowId: info.workflowExecution?.workflowId ?? '',
    runId: info.workflowExecution?.runId ?? '',
    activityId: info.activityId,
    attempt: info.attempt,
    identity,
    build: build.workflowId,
    buildRun: build.runId,
  }
}

/** More outputs than this travel as a stored list. */
const mostOutputs = 64

/** What of a record a workflow needs; long runs of numbered outputs become lists. */
export async function small({ key, outputs, stats }: StageResult, store: Store): Promise<StageResult> {
  if (Object.keys(outputs).length <= mostOutputs) return { key, outputs, stats }
  const kept: Record<string, BlobRef> = {}
  const numbered = new Map<string, BlobRef[]>()
  for (const name of Object.keys(outputs).sort()) {
    const base = /^(.+)\.\d+$/.exec(name)?.[1]
    const output = outputs[name]!
    if (base === undefined) kept[name] = output
    else numbered.get(base)?.push(output) ?? numbered.set(base, [output])
  }
  const lists: Record<string, StoredList> = {}
  for (const [base, refs] of numbered) {
    const { digest } = await store.putBlob(Buffer.from(canonicalJson(refs as unknown as Json)))
    lists[base] = { list: digest, count: refs.length }
  }
  return { key, outputs: kept, stats, lists }
}
