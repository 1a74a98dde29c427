import { type Plan, plan } from '../../engine/plan.ts'
import { type StageName, stages } from '../../pipeline/stage.ts'
import { cleanText } from '../clean-text.ts'
import { count, table } from '../format-text.ts'
import { paint } from '../paint.ts'
import { policyRows } from '../policy-table.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { storeLocation } from '../settings.ts'
import { readRecipe } from './build.ts'

export interface PlanFlags {
  readonly store?: string
  readonly set?: readonly string[]
  readonly json?: boolean
}

/** Reasons shown per stage before the rest is counted. */
const fewReasons = 3

export async function planCommand(context: CommandContext, recipe: string, flags: PlanFlags): Promise<void> {
  const planned = await plan({
    recipe: { text: await readRecipe(recipe), file: recipe, settings: flags.set ?? [] },
    store: storeLocation(flags.store),
    env: process.env,
    signal: context.signal,
    notice: (text) => {
      if (!context.quiet && flags.json !== true) process.stderr.write(`${cleanText(text)}\n`)
    },
  })
  const run = planned.stages.filter(({ state }) => state === 'run').length
  const cached = planned.stages.length - run
  if (flags.json === true) {
    process.stdout.write(
      `${safeJson({ schema: 1, name: planned.lock.name, lockDigest: planned.lockDigest, stages: { run, cached }, calls: planned.stages, unknown: planned.unknown, policies: planned.policies })}\n`,
    )
    return
  }
  process.stdout.write(textOf(planned, run, cached))
}

function textOf(planned: Plan, run: number, cached: number): string {
  const color = paint(process.stdout)
  const lines = [color.bold(planned.lock.name)]
  const rows = [['stage', 'cached', 'to run', '']]
  for (const stage of Object.keys(stages) as StageName[]) {
    const calls = planned.stages.filter((call) => call.stage === stage)
    const open = planned.unknown.some((call) => call.stage === stage)
    const toRun = calls.filter(({ state }) => state === 'run').length
    if (calls.length === 0 && !open) continue
    rows.push([stage, count(calls.length - toRun), count(toRun), open ? 'and more' : ''])
  }
  lines.push(table(rows))
  for (const stage of Object.keys(stages) as StageName[]) {
    const reasons = new Map<string, string[]>()
    for (const { why = '', title } of planned.stages.filter(
      (call) => call.stage === stage && call.state === 'run',
    ))
      reasons.set(why, [...(reasons.get(why) ?? []), title])
    for (const { why, title } of planned.unknown.filter((call) => call.stage === stage))
      reasons.set(why, [...(reasons.get(why) ?? []), title])
    const shown = [...reasons].slice(0, fewReasons)
    for (const [why, titles] of shown)
      lines.push(
        `${color.cyan(stage)} ${cleanText(titles[0]!)}${titles.length > 1 ? ` and ${count(titles.length - 1)} more` : ''}: ${cleanText(why)}`,
      )
    if (reasons.size > shown.length)
      lines.push(
        `${color.cyan(stage)}: ${count(reasons.size - shown.length)} more reasons (--json lists all)`,
      )
  }
  if (planned.policies.length > 0)
    lines.push('What tooLong and onUntrained do, in conversations:', table(policyRows(planned.policies)))
  lines.push(
    run === 0 && planned.unknown.length === 0
      ? `everything is cached (${count(cached)} stages): a build would only look at the output folder`
      : `a build would run ${count(run)} stages${planned.unknown.length > 0 ? ' and some that cannot be counted yet' : ''}; ${count(cached)} are cached`,
  )
  return `${lines.join('\n')}\n`
}
