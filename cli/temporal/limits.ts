import type { Limits } from '../../workflows/types.ts'
import { wholeNumber } from '../settings.ts'

/** A day. The server refuses durations that are very long, and a workflow that asks for one never goes on. */
const mostHeartbeatMs = 86_400_000

/**
 * For slow or fast clusters, and for tests: how long a silent worker is waited for, and how long histories grow. Throws
 * USAGE for values that cannot be meant.
 */
export function limits(): Limits {
  const { SHARDMILL_HEARTBEAT_TIMEOUT_MS: heartbeat, SHARDMILL_HISTORY_LIMIT: history } = process.env
  return {
    ...(heartbeat === undefined
      ? {}
      : {
          heartbeatMs: wholeNumber(heartbeat, 'SHARDMILL_HEARTBEAT_TIMEOUT_MS', 1_000, mostHeartbeatMs),
        }),
    ...(history === undefined ? {} : { history: wholeNumber(history, 'SHARDMILL_HISTORY_LIMIT', 10) }),
  }
}
