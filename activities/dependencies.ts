/** What activities are made from: a store, worker threads and a hub, once a worker process. */
import type { Hub } from '../hub/client/hub.ts'
import type { Environment } from '../hub/client/settings.ts'
import type { StagePool } from '../stages/pool.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import type { Tracer } from './spans.ts'

export interface Dependencies {
  readonly store: ManagedStore
  /** Threads start with the first CPU stage. */
  readonly pool: () => Promise<StagePool>
  /** Settings and token come from this process's environment; nothing of them travels. */
  readonly hub: (signal: AbortSignal, onRetry: (message: string) => void) => Hub
  readonly env: Environment
  /** The worker's, as Temporal shows it. */
  readonly identity: string
  /** Absent unless traces are asked for. */
  readonly tracer?: Tracer
  /** Keeps garbage collection away while `work` runs, and a while longer. */
  readonly holdingStore: <T>(work: () => Promise<T>) => Promise<T>
}
