import type { Progress } from './define-stage.ts'

/** A stage's progress in shared memory: the thread that works adds, the thread that shows looks. */
export class Meter implements Progress {
  readonly shared: SharedArrayBuffer
  private readonly values: Float64Array

  constructor(shared = new SharedArrayBuffer(5 * 8)) {
    this.shared = shared
    this.values = new Float64Array(shared)
  }

  done(units: number, total?: number): void {
    this.values[0] = units
    if (total !== undefined) this.values[1] = total
  }

  rows(count: number): void {
    this.values[2]! += count
  }

  tokens(count: number): void {
    this.values[3]! += count
  }

  bytes(count: number): void {
    this.values[4]! += count
  }

  read(): { done: number; total: number; rows: number; tokens: number; bytes: number } {
    const [done, total, rows, tokens, bytes] = this.values as unknown as [
      number,
      number,
      number,
      number,
      number,
    ]
    return { done, total, rows, tokens, bytes }
  }
}
