/** `eval --temporal`: the chunks lie in the store; a workflow has the workers put them to the endpoint. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Scored } from '../../engine/evaluate.ts'
import type { BuildObserver } from '../../engine/events.ts'
import { ShardmillError } from '../../errors/index.ts'
import type { EvaluateArgs, Evaluated } from '../../pipeline/evaluate.ts'
import { canonicalJson, digestOfText } from '../../pipeline/keys.ts'
import { keyOf } from '../../pipeline/stage.ts'
import type { Json } from '../../store/types.ts'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import { queues } from '../../workflows/names.ts'
import type { EvaluateInput, PartOutput } from '../../workflows/types.ts'
import type { CommandContext } from '../run.ts'
import { followBuild } from './follow.ts'
import { limits } from './limits.ts'

/** How long a cancelled evaluation is waited for. */
const stopMs = 15_000

/** Throws what the evaluation failed with; leaving with Ctrl-C cancels it: what was answered is kept. */
export async function evaluateOnTemporal(
  args: EvaluateArgs,
  dir: string,
  address: string | undefined,
  { signal }: CommandContext,
  observer: BuildObserver,
): Promise<Scored> {
  const settings = temporalSettings(address)
  const client = await connectClient(settings)
  try {
    const workflowId = `shardmill-eval-${digestOfText(canonicalJson(args as unknown as Json)).slice(0, 16)}`
    const input: EvaluateInput = { args, title: `eval ${args.model}`, limits: limits() }
    const handle = await client.workflow.start('evaluate', {
      workflowId,
      workflowIdConflictPolicy: 'USE_EXISTING',
      taskQueue: queues.workflows,
      args: [input],
      staticSummary: `eval of ${dir} on ${args.model}`,
    })
    const { namespace } = settings
    try {
      const { result, totals } = await followBuild<PartOutput<Evaluated>>({
        ...{ client, namespace, workflowId, signal, observer },
      })
      const { run = 0, cached = 0 } = totals['score'] ?? {}
      return { ...result, records: recordKeys(args), run, cached }
    } catch (error) {
      if (!signal.aborted) throw error
      await handle.cancel().catch(() => undefined)
      // What is in flight has to have stopped; without a worker nothing is, and nobody answers.
      const ended = handle.result().catch(() => undefined)
      await Promise.race([ended, pause(stopMs, undefined, { ref: false })])
      throw new ShardmillError('INTERRUPTED', 'the evaluation was cancelled; what was answered is kept', {
        hint: 'The same command goes on.',
      })
    }
  } finally {
    await client.connection.close()
  }
}

/** The keys of the stages that the workflow ran or found. */
function recordKeys({ model, revision, topLogprobs, chunks }: EvaluateArgs) {
  return chunks.map(({ title, problems }) =>
    keyOf({ stage: 'score', title, params: { model, revision, topLogprobs }, inputs: { problems } }),
  )
}
