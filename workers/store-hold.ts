/** Keeps garbage collection away from the store while a worker has work, and for a while after it. */
import type { Lease } from '../store/leases.ts'
import type { ManagedStore } from '../store/managed-store.ts'

/** Between two stages of a build a worker may have nothing to do for a moment. */
const lingerMs = 60_000

export class StoreHold {
  private readonly store: ManagedStore
  private readonly lingering: number
  private busy = 0
  private lease: Promise<Lease> | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(store: ManagedStore, lingering = lingerMs) {
    this.store = store
    this.lingering = lingering
  }

  /** Runs `work` under a build's lease. Throws what taking the lease throws: STORE. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.busy++
    clearTimeout(this.timer)
    try {
      await this.take()
      return await work()
    } finally {
      if (--this.busy === 0) this.letGoLater()
    }
  }

  /** Until there is a lease that holds. One that was lost (the process did not run for a while) is taken anew. */
  private async take(): Promise<void> {
    for (;;) {
      this.lease ??= this.store.leaseForBuild()
      const taking = this.lease
      let lease: Lease | undefined
      try {
        lease = await taking
        if (!lease.lost.aborted) return
      } finally {
        // Another one may have taken a new one already.
        if (lease?.lost.aborted !== false && this.lease === taking) this.lease = undefined
      }
      await lease.release()
    }
  }

  private letGoLater(): void {
    this.timer = setTimeout(() => void this.letGo(), this.lingering)
    this.timer.unref()
  }

  private async letGo(): Promise<void> {
    const lease = this.lease
    this.lease = undefined
    await (await lease?.catch(() => undefined))?.release().catch(() => undefined)
  }

  async close(): Promise<void> {
    clearTimeout(this.timer)
    await this.letGo()
  }
}
