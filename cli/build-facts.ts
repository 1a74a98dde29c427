/** What a finished build came to: the summary for people, and the --json object. The same whichever engine built it. */
import { resolve } from 'node:path'
import type { ChatEvalReport, KindReport, SftReport, SplitReport } from '../pipeline/results.ts'
import { cleanText } from './clean-text.ts'
import { count, duration, table } from './format-text.ts'
import { paint } from './paint.ts'
import { policyRows } from './policy-table.ts'
import { safeJson } from './safe-json.ts'

export type BuildFacts = CommonFacts & KindReport

interface CommonFacts {
  readonly name: string
  readonly published: 'written' | 'unchanged'
  readonly run: number
  readonly cached: number
  readonly fileCount: number
  /** Absent where the store that lists them is not at hand. */
  readonly files?: readonly { readonly path: string; readonly sha256: string; readonly bytes: number }[]
}

export interface ShowOptions {
  readonly out: string
  readonly seconds: number
  readonly json: boolean
  readonly quiet: boolean
}

/** Writes a finished build to stdout. */
export function showFacts(facts: BuildFacts, { out, seconds, json, quiet }: ShowOptions): void {
  if (json) process.stdout.write(`${safeJson(report(facts, out, seconds))}\n`)
  else if (!quiet) process.stdout.write(summary(facts, out, seconds))
}

/** The --json object; its fields are a promise (docs/cli.md). */
function report(facts: BuildFacts, out: string, seconds: number) {
  return {
    schema: 1,
    name: facts.name,
    output: resolve(out),
    published: facts.published,
    stages: { run: facts.run, cached: facts.cached },
    ...(facts.kind === 'chat-eval' ? chatEvalReport(facts) : sftReport(facts)),
    ...(facts.files === undefined ? {} : { files: facts.files }),
    seconds: Math.round(seconds * 1000) / 1000,
  }
}

function sftReport({ splits, vocabularySize, dtype, overlap, overlaps }: SftReport) {
  const split = ({ conversations, tokens, trainedTokens, shards, truncated, sources }: SplitReport) => {
    return { conversations, tokens, trainedTokens, shards, truncated, sources }
  }
  return {
    splits: Object.fromEntries(Object.entries(splits).map(([name, of]) => [name, split(of)])),
    ...{ vocabularySize, dtype, overlap },
    ...(overlaps === undefined ? {} : { overlaps }),
  }
}

function chatEvalReport({ tasks, vocabularySize }: ChatEvalReport) {
  return { tasks, vocabularySize }
}

function summary(facts: BuildFacts, out: string, seconds: number): string {
  const { name, published, run, cached, fileCount } = facts
  const color = paint(process.stdout)
  const {
    rows,
    policies = [],
    notes,
  } = facts.kind === 'chat-eval' ? chatEvalSummary(facts) : sftSummary(facts)
  const work =
    run === 0
      ? `everything was cached (${count(cached)} stages)`
      : `${count(run)} stages run, ${count(cached)} cached`
  return [
    color.bold(name),
    table(rows),
    ...(policies.length > 0 ? [table(policies)] : []),
    ...notes.map((note) => color.yellow(note)),
    `${work}, ${duration(seconds)}`,
    `${out}: ${fileCount} files ${published === 'unchanged' ? 'already there, unchanged' : 'written'}`,
    '',
  ].join('\n')
}

interface Summary {
  readonly rows: string[][]
  /** What was left out, by source; empty where nothing was. */
  readonly policies?: string[][]
  readonly notes: readonly string[]
}

function chatEvalSummary({ tasks }: ChatEvalReport): Summary {
  const rows = [['', 'problems', 'tokens', 'too long', 'guessing']]
  for (const { label, examples, tokens, skipped, randomBaseline } of tasks)
    rows.push([
      cleanText(label),
      count(examples),
      count(tokens),
      count(skipped),
      `${(100 * randomBaseline).toFixed(1)}%`,
    ])
  return { rows, notes: [] }
}

function sftSummary({ splits, overlap, overlaps = { val: overlap } }: SftReport): Summary {
  const rows = [['', 'conversations', 'tokens', 'trained', 'truncated', 'shards']]
  for (const [name, split] of Object.entries(splits)) {
    if (split.sources.length === 0) continue
    rows.push([name, ...figures(split), count(split.shards)])
    for (const source of split.sources) rows.push([`  ${cleanText(source.label)}`, ...figures(source), ''])
  }
  const notes: string[] = []
  const rejected = Object.values(splits)
    .flatMap(({ sources }) => sources)
    .reduce((sum, source) => sum + source.rejected, 0)
  if (rejected > 0) notes.push(`${count(rejected)} bad rows were set aside: rejected.jsonl lists them.`)
  for (const [name, shared] of Object.entries(overlaps))
    if (shared > 0) notes.push(`${count(shared)} conversations stand in ${name} and in train.`)
  for (const [name, { sources }] of Object.entries(splits)) {
    const untrained = sources.reduce((sum, source) => sum + source.untrained, 0)
    const dropped = { untrained: 0, tooLong: 0 }
    for (const source of sources) {
      dropped.untrained += source.dropped?.untrained ?? 0
      dropped.tooLong += source.dropped?.tooLong ?? 0
    }
    if (dropped.tooLong > 0)
      notes.push(`${count(dropped.tooLong)} conversations of ${name} were too long and left out.`)
    if (dropped.untrained > 0)
      notes.push(
        `${count(dropped.untrained)} conversations of ${name} had no trained token and were left out.`,
      )
    if (untrained > 0)
      notes.push(
        `${count(untrained)} conversations of ${name} have no trained token (cut before the answer).`,
      )
  }
  const sources = Object.entries(splits).flatMap(([split, of]) =>
    of.sources.map((source) => ({ split, ...source })),
  )
  const leftOut = sources.some(({ dropped }) => dropped !== undefined)
  return { rows, policies: leftOut ? policyRows(sources) : [], notes }
}

function figures(of: {
  conversations: number
  tokens: number
  trainedTokens: number
  truncated: number
}): string[] {
  const share = of.tokens === 0 ? '-' : `${((100 * of.trainedTokens) / of.tokens).toFixed(1)}%`
  return [count(of.conversations), count(of.tokens), share, count(of.truncated)]
}
