/** How long a build spent in each stage: at every moment the time goes, in equal parts, to the stages at work. */
import type { BuildObserver } from '../../engine/events.ts'
import type { StageCall } from '../../pipeline/stage.ts'
import type { Meter } from '../../stages/meter.ts'
import type { Digest, StageRecord } from '../../store/types.ts'

export interface StageTime {
  readonly stage: string
  readonly count: number
  /** Share of the build's wall time. */
  readonly seconds: number
  readonly rows: number
  readonly bytes: number
  readonly tokens: number
}

export class StageClock implements BuildObserver {
  private readonly times = new Map<
    string,
    { count: number; seconds: number; rows: number; bytes: number; tokens: number }
  >()
  private readonly running = new Map<string, string>()
  private readonly meters = new Map<string, Meter>()
  private last = performance.now()

  /** Time up to now in which no stage ran is booked under this name. */
  mark(name: string): void {
    this.book(name)
  }

  cached(): void {}

  started(call: StageCall, key: Digest, meter: Meter): void {
    this.book('between stages')
    this.running.set(key, call.stage)
    this.meters.set(key, meter)
  }

  finished(call: StageCall, record: StageRecord): void {
    this.book('between stages')
    this.running.delete(record.key)
    const of = this.of(call.stage)
    const { rows, tokens, bytes } = this.meters.get(record.key)!.read()
    this.meters.delete(record.key)
    of.count++
    of.rows += rows
    of.bytes += bytes
    of.tokens += tokens
  }

  failed(): void {}
  notice(text: string): void {
    process.stderr.write(`${text}\n`)
  }
  expected(): void {}
  splitStarted(): void {}
  splitVerified(): void {}

  /** Ends with what came after the last stage, up to `end`. */
  report(end: number): StageTime[] {
    this.book('between stages', end)
    return [...this.times].map(([stage, time]) => ({ stage, ...time }))
  }

  private book(idle: string, now = performance.now()): void {
    const span = (now - this.last) / 1000
    this.last = now
    if (this.running.size === 0) this.of(idle).seconds += span
    for (const stage of this.running.values()) this.of(stage).seconds += span / this.running.size
  }

  private of(name: string) {
    let time = this.times.get(name)
    if (time === undefined) {
      time = { count: 0, seconds: 0, rows: 0, bytes: 0, tokens: 0 }
      this.times.set(name, time)
    }
    return time
  }
}
