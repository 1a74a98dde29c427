import { createLogUpdate } from 'log-update'
import { bytes } from './format-text.ts'

/** One bar for one long piece of work; nothing where stderr is no terminal. */
export class Ticker {
  private readonly redraw: ReturnType<typeof createLogUpdate> | undefined
  private readonly name: string
  private last = 0

  constructor(name: string, quiet: boolean) {
    this.name = name
    this.redraw =
      !quiet && process.stderr.isTTY === true && process.env['TERM'] !== 'dumb'
        ? createLogUpdate(process.stderr)
        : undefined
  }

  show(done: number, total: number): void {
    if (this.redraw === undefined) return
    const now = Date.now()
    if (now - this.last < 100 && done < total) return
    this.last = now
    const share = total === 0 ? 1 : Math.min(1, done / total)
    const filled = Math.round(share * 24)
    this.redraw(
      `${this.name} [${'='.repeat(filled)}${' '.repeat(24 - filled)}] ${bytes(done)} of ${bytes(total)}`,
    )
  }

  close(): void {
    this.redraw?.clear()
  }
}
