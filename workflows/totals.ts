/** Counting what a workflow's stages did. */
import type { StageTotals, Totals } from './types.ts'

export type MutableTotals = Record<string, StageTotals>

export function totalsOf(totals: MutableTotals, stage: string): StageTotals {
  totals[stage] ??= { expected: 0, cached: 0, run: 0, rows: 0, tokens: 0, bytes: 0 }
  return totals[stage]
}

export function addTotals(into: MutableTotals, more: Totals): void {
  for (const [stage, { expected, cached, run, rows, tokens, bytes }] of Object.entries(more)) {
    const total = totalsOf(into, stage)
    total.expected += expected
    total.cached += cached
    total.run += run
    total.rows += rows
    total.tokens += tokens
    total.bytes += bytes
  }
}

/** What this run found cached may have been run by the runs it continues: that is no cache hit. */
export function continued(now: Totals, before: Totals): MutableTotals {
  const all: MutableTotals = {}
  addTotals(all, now)
  for (const [stage, { run, rows, tokens, bytes }] of Object.entries(before)) {
    const total = totalsOf(all, stage)
    const again = Math.min(total.cached, run)
    total.cached -= again
    total.run += again
    total.rows += rows
    total.tokens += tokens
    total.bytes += bytes
  }
  return all
}

/** Only what was run, for the run that continues this one. */
export function ranOnly(totals: Totals): Totals {
  const ran: MutableTotals = {}
  for (const [stage, total] of Object.entries(totals)) ran[stage] = { ...total, expected: 0, cached: 0 }
  return ran
}
