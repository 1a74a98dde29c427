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

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.busy++
    clearTimeout(this.timer)
    try {
      this.lease ??= this.store.leaseForBuild()
      // Lost (the process did not run for a while) or never had (no room): taken anew by the next one.
      const lease = await this.lease.catch((error: unknown) => {
        this.lease = undefined
        throw error
      })
      if (lease.lost.aborted) this.lease = undefined
      return await work()
    } finally {
      if (--this.busy === 0) this.letGoLater()
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
