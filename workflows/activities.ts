/** How workflows call activities: on which queue, how long they may take, and what is tried again. */
import { ActivityCancellationType, type ActivityOptions, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/types.ts'
import { queues } from './names.ts'
import type { Limits } from './types.ts'

const defaultHeartbeatMs = 20_000

/**
 * Lost workers and passing trouble are tried again without end: activities themselves turn an error into one that
 * fails at once when it cannot succeed, or has not succeeded for a while (activities/failures.ts).
 */
const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' } as const

export function activitiesFor({ heartbeatMs = defaultHeartbeatMs }: Limits) {
  const common: ActivityOptions = {
    retry,
    // Every activity reports twice a second; silence means that its worker is gone.
    heartbeatTimeout: heartbeatMs,
    // A cancelled build ends when its work has stopped, not before.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  }
  return {
    /**
     * Many gigabytes over a slow line: a file of the hub, where each attempt goes on where the last one stopped, or the
     * output on its way out.
     */
    network: proxyActivities<Activities>({
      ...common,
      taskQueue: queues.io,
      startToCloseTimeout: '12 hours',
    }),
    /** One partition, one shard or one order. */
    cpu: proxyActivities<Activities>({ ...common, taskQueue: queues.cpu, startToCloseTimeout: '6 hours' }),
    /** Look-ups and lists: many small reads. */
    store: proxyActivities<Activities>({ ...common, taskQueue: queues.io, startToCloseTimeout: '1 hour' }),
  }
}
