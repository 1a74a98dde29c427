/** `eval --temporal`: the chunks lie in the store; a workflow has the workers put them to the endpoint. */
import type { Scored } from '../../engine/evaluate.ts'
import type { EvaluateArgs, Evaluated } from '../../pipeline/evaluate.ts'
import { canonicalJson, digestOfText } from '../../pipeline/keys.ts'
import { keyOf } from '../../pipeline/stage.ts'
import type { Json } from '../../store/types.ts'
import { connectClient, temporalSettings } from '../../workers/connect.ts'
import { queues } from '../../workflows/names.ts'
import type { PartInput, PartOutput } from '../../workflows/types.ts'
import type { CommandContext } from '../run.ts'
import { endOf } from './follow.ts'

/** Throws what the evaluation failed with; leaving with Ctrl-C cancels it: what was answered is kept. */
export async function evaluateOnTemporal(
  args: EvaluateArgs,
  dir: string,
  address: string | undefined,
  { signal }: CommandContext,
): Promise<Scored> {
  const client = await connectClient(temporalSettings(address))
  try {
    const workflowId = `shardmill-eval-${digestOfText(canonicalJson(args as unknown as Json)).slice(0, 16)}`
    const input: PartInput<EvaluateArgs> = {
      args,
      title: `eval ${args.model}`,
      build: { workflowId, runId: '' },
      limits: {},
      ran: {},
    }
    const handle = await client.workflow.start('evaluate', {
      workflowId,
      workflowIdConflictPolicy: 'USE_EXISTING',
      taskQueue: queues.workflows,
      args: [input],
      staticSummary: `eval of ${dir} on ${args.model}`,
    })
    const cancel = () => void handle.cancel().catch(() => undefined)
    signal.addEventListener('abort', cancel, { once: true })
    try {
      const { result, totals } = (await handle.result()) as PartOutput<Evaluated>
      const { run = 0, cached = 0 } = totals['score'] ?? {}
      return { ...result, records: recordKeys(args), run, cached }
    } catch (error) {
      throw endOf(error, workflowId)
    } finally {
      signal.removeEventListener('abort', cancel)
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
