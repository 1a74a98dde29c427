/**
 * Builds one dataset: the recipe is resolved, its splits are built one after the other by workflows of their own, and the
 * output is published. Only digests and small figures pass through here; the bytes stay in the store.
 */
import { continueAsNew, defineQuery, setHandler, upsertMemo, workflowInfo } from '@temporalio/workflow'
import { datasetPart } from '../pipeline/build.ts'
import { activitiesFor } from './activities.ts'
import { failureOf, needsRepair } from './failures.ts'
import { progressQuery } from './names.ts'
import { walk } from './part.ts'
import type { WorkflowRunner } from './runner.ts'
import { continued } from './totals.ts'
import type { BuildArgs, BuildReport, Carried, Totals, WorkflowProgress } from './types.ts'

/** A damaged blob is thrown away and made again; a store that keeps damaging them is given up. */
const mostRepairs = 20

export async function buildDataset(args: BuildArgs): Promise<BuildReport> {
  const { limits = {} } = args
  const { workflowId, firstExecutionRunId } = workflowInfo()
  const carried: Carried = args.carried ?? {
    build: { workflowId, runId: firstExecutionRunId },
    repairs: 0,
    ran: {},
  }
  const { build } = carried
  let { resolved } = carried
  const { network } = activitiesFor(limits)

  let state: WorkflowProgress['state'] = 'resolving'
  let runner: WorkflowRunner | undefined
  const verified: { split: string; totals: Totals }[] = []
  setHandler(defineQuery<WorkflowProgress>(progressQuery), () => ({
    title: args.name,
    state,
    totals: continued(runner?.totals ?? {}, carried.ran),
    verified,
    children: [...(runner?.children ?? [])].map(([id, place]) => ({
      workflowId: id,
      ...(place.isSplit === true ? { split: place.id } : {}),
    })),
  }))

  try {
    for (let { repairs } = carried; ; repairs++) {
      try {
        state = 'resolving'
        const { lock, outline } = await network.resolve.executeWithOptions(
          { summary: `${args.name}: recipe to lock` },
          [{ request: args.request, ...(resolved === undefined ? {} : { resolved }) }],
        )
        resolved = lock
        state = 'building'
        verified.length = 0
        const walked = await walk(datasetPart, outline, {
          build,
          limits,
          ran: carried.ran,
          title: args.name,
          onStart: (started) => {
            runner = started
            upsertMemo({ state, lock })
          },
          onPartDone: (place, totals) => {
            if (place.isSplit === true) verified.push({ split: place.id, totals })
          },
        })
        if ('tooLong' in walked) {
          return await continueAsNew<typeof buildDataset>({
            ...args,
            limits: walked.limits,
            carried: { build, repairs, ran: walked.ran, resolved },
          })
        }
        state = 'publishing'
        const report = await network.publish.executeWithOptions(
          { summary: `${args.name}: publish to ${args.out}` },
          [{ lock, out: args.out, recheck: args.recheck ?? false, build }],
        )
        state = 'done'
        upsertMemo({ state })
        return report
      } catch (error) {
        if (repairs >= mostRepairs || !needsRepair(error)) throw error
      }
    }
  } catch (error) {
    throw failureOf(error)
  }
}
