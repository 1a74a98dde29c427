/** What tooLong and onUntrained do to each source: `plan` says it once tokens are known, the report in the end. */
import { expect, test } from 'vitest'
import { bench, goldenHub, goldenRecipe, json, ok, serve } from './cli.ts'

interface Figures {
  readonly label: string
  readonly conversations: number
  readonly truncated: number
  readonly untrained: number
  readonly dropped?: { readonly tooLong: number; readonly untrained: number }
}
interface Report {
  readonly splits: Readonly<Record<string, { readonly sources: readonly Figures[] }>>
}
interface Plan {
  readonly policies: readonly (Figures & { readonly split: string; readonly tooLong: string })[]
}

test('nothing before the order is known, then the figures of the report, policy by policy', async () => {
  const hub = await serve(goldenHub)
  const at = bench(goldenRecipe({ name: 'policies', maxSeqLen: 40 }), hub)
  const recipe = at.args[1]!
  const plan = (...more: string[]) =>
    json<Plan>(['plan', recipe, '--store', at.store, ...more], { env: at.env })
  expect((await plan()).policies).toEqual([])

  const seen = new Map<string, number>()
  for (const tooLong of ['truncate', 'drop']) {
    const change = ['--set', `tooLong=${tooLong}`]
    const { splits } = await json<Report>([...at.args, ...change], { env: at.env })
    const told = Object.entries(splits).flatMap(([split, { sources }]) =>
      sources
        .filter(({ conversations, dropped }) => conversations + (dropped?.tooLong ?? 0) > 0)
        .map(({ label, conversations, truncated, untrained, dropped = { tooLong: 0, untrained: 0 } }) => {
          return { split, label, conversations, truncated, untrained, dropped }
        }),
    )
    const { policies } = await plan(...change)
    const shown = policies.map(({ split, label, conversations, truncated, untrained, dropped }) => {
      return { split, label, conversations, truncated, untrained, dropped }
    })
    expect(shown).toEqual(told)
    expect(new Set(policies.map((policy) => policy.tooLong))).toEqual(new Set([tooLong]))
    seen.set(
      `${tooLong} truncated`,
      policies.reduce((sum, { truncated }) => sum + truncated, 0),
    )
    seen.set(
      `${tooLong} dropped`,
      policies.reduce((sum, { dropped }) => sum + dropped!.tooLong, 0),
    )

    const text = (await ok(['plan', recipe, '--store', at.store, ...change], { env: at.env })).stdout
    expect(text).toMatch(
      /What tooLong and onUntrained do[\s\S]*taken +truncated +untrained +too long, left out/,
    )
    const summary = (await ok(at.args.concat(change), { env: at.env })).stdout
    if (tooLong === 'drop') expect(summary).toMatch(/too long, left out/)
  }
  expect(seen.get('truncate truncated')).toBeGreaterThan(0)
  expect(seen.get('truncate dropped')).toBe(0)
  expect(seen.get('drop truncated')).toBe(0)
  expect(seen.get('drop dropped')).toBeGreaterThan(0)
})
