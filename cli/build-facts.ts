/** What a finished build came to: the summary for people, and the --json object. The same whichever engine built it. */
import { resolve } from 'node:path'
import type { SourceResult } from '../pipeline/results.ts'
import { cleanText } from './clean-text.ts'
import { count, duration, table } from './format-text.ts'
import { paint } from './paint.ts'
import { safeJson } from './safe-json.ts'

interface SplitFacts {
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly shards: number
  readonly truncated: number
  readonly sources: readonly SourceResult[]
}

export interface BuildFacts {
  readonly name: string
  readonly published: 'written' | 'unchanged'
  readonly run: number
  readonly cached: number
  readonly splits: Readonly<Record<string, SplitFacts>>
  readonly vocabularySize: number
  readonly dtype: 'uint16' | 'uint32'
  readonly overlap: number
  readonly overlaps?: Readonly<Record<string, number>>
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
  const split = ({ conversations, tokens, trainedTokens, shards, truncated, sources }: SplitFacts) => ({
    conversations,
    tokens,
    trainedTokens,
    shards,
    truncated,
    sources,
  })
  return {
    schema: 1,
    name: facts.name,
    output: resolve(out),
    published: facts.published,
    stages: { run: facts.run, cached: facts.cached },
    splits: Object.fromEntries(Object.entries(facts.splits).map(([name, of]) => [name, split(of)])),
    vocabularySize: facts.vocabularySize,
    dtype: facts.dtype,
    overlap: facts.overlap,
    ...(facts.overlaps === undefined ? {} : { overlaps: facts.overlaps }),
    ...(facts.files === undefined ? {} : { files: facts.files }),
    seconds: Math.round(seconds * 1000) / 1000,
  }
}

function summary(
  {
    name: title,
    splits,
    overlap,
    overlaps = { val: overlap },
    published,
    run,
    cached,
    fileCount,
  }: BuildFacts,
  out: string,
  seconds: number,
): string {
  const color = paint(process.stdout)
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
  const work =
    run === 0
      ? `everything was cached (${count(cached)} stages)`
      : `${count(run)} stages run, ${count(cached)} cached`
  return [
    color.bold(title),
    table(rows),
    ...notes.map((note) => color.yellow(note)),
    `${work}, ${duration(seconds)}`,
    `${out}: ${fileCount} files ${published === 'unchanged' ? 'already there, unchanged' : 'written'}`,
    '',
  ].join('\n')
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
