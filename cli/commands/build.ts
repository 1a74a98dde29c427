import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type BuildOutcome, build } from '../../engine/build.ts'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { lockPath, readLock, writeLock } from '../../recipe/lock-file.ts'
import { cleanText } from '../clean-text.ts'
import { count, duration, table } from '../format-text.ts'
import { paint } from '../paint.ts'
import { ProgressView } from '../progress.ts'
import type { CommandContext } from '../run.ts'
import { storeLocation, threadCount } from '../settings.ts'

export interface BuildFlags {
  readonly out: string
  readonly store?: string
  readonly set?: readonly string[]
  readonly threads?: string
  readonly locked?: string | true
  readonly writeLock?: string | true
  readonly recheck?: boolean
  readonly json?: boolean
}

export async function buildCommand(
  context: CommandContext,
  recipe: string,
  flags: BuildFlags,
): Promise<void> {
  const startedAt = performance.now()
  const view = new ProgressView({ quiet: context.quiet || flags.json === true, verbose: context.verbose })
  try {
    const locked =
      flags.locked === undefined
        ? undefined
        : await readLock(flags.locked === true ? lockPath(recipe) : flags.locked)
    const outcome = await build({
      recipe: { text: await readRecipe(recipe), file: recipe, settings: flags.set ?? [] },
      out: flags.out,
      store: resolve(storeLocation(flags.store)),
      threads: threadCount(flags.threads),
      env: process.env,
      signal: context.signal,
      observer: view,
      ...(locked === undefined ? {} : { locked }),
      ...(flags.recheck === undefined ? {} : { recheck: flags.recheck }),
      onResolved: async (lock) => {
        if (flags.writeLock !== undefined)
          await writeLock(flags.writeLock === true ? lockPath(recipe) : flags.writeLock, lock)
      },
      onPublish: (done, total) => view.published(done, total),
    })
    view.close()
    const seconds = (performance.now() - startedAt) / 1000
    if (flags.json === true) process.stdout.write(`${JSON.stringify(report(outcome, flags.out, seconds))}\n`)
    else if (!context.quiet) process.stdout.write(summary(outcome, flags.out, seconds))
  } catch (error) {
    view.close()
    if (isShardmillError(error, 'INTERRUPTED')) {
      throw new ShardmillError(
        'INTERRUPTED',
        'interrupted; finished stages are kept: run the same command again to go on',
      )
    }
    throw error
  }
}

export async function readRecipe(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'is a folder, expected a YAML file'
          : `cannot be read (${code})`
    throw new ShardmillError('RECIPE', why, {
      at: { file },
      hint: 'Name a recipe, for example recipes/nanochat-sft.yaml.',
    })
  }
}

/** The --json object; its fields are a promise (docs/cli.md). */
function report(
  { lock, result, output, published, run, cached }: BuildOutcome,
  out: string,
  seconds: number,
) {
  const split = (name: 'val' | 'train') => {
    const { conversations, tokens, trainedTokens, truncated, shards, sources } = result.splits[name]
    return { conversations, tokens, trainedTokens, shards: shards.length, truncated, sources }
  }
  return {
    schema: 1,
    name: lock.name,
    output: resolve(out),
    published,
    stages: { run, cached },
    splits: { val: split('val'), train: split('train') },
    vocabularySize: result.vocabularySize,
    dtype: result.dtype,
    overlap: result.overlap,
    files: output.files.map(({ path, sha256, bytes }) => ({ path, sha256, bytes })),
    seconds: Math.round(seconds * 1000) / 1000,
  }
}

function summary(
  { lock, result, output, published, run, cached }: BuildOutcome,
  out: string,
  seconds: number,
): string {
  const color = paint(process.stdout)
  const rows = [['', 'conversations', 'tokens', 'trained', 'truncated', 'shards']]
  for (const name of ['val', 'train'] as const) {
    const split = result.splits[name]
    if (split.sources.length === 0) continue
    rows.push([name, ...figures(split), count(split.shards.length)])
    for (const source of split.sources) rows.push([`  ${cleanText(source.label)}`, ...figures(source), ''])
  }
  const notes: string[] = []
  const rejected = [...result.splits.val.sources, ...result.splits.train.sources].reduce(
    (sum, source) => sum + source.rejected,
    0,
  )
  if (rejected > 0) notes.push(`${count(rejected)} bad rows were set aside: rejected.jsonl lists them.`)
  if (result.overlap > 0) notes.push(`${count(result.overlap)} conversations stand in val and in train.`)
  for (const name of ['val', 'train'] as const) {
    const untrained = result.splits[name].sources.reduce((sum, source) => sum + source.untrained, 0)
    if (untrained > 0)
      notes.push(
        `${count(untrained)} conversations of ${name} have no trained token (cut before the answer).`,
      )
  }
  const work =
    run === 0
      ? `everything was cached (${count(cached)} stages)`
      : `${count(run)} stages run, ${count(cached)} cached`
  const size = output.files.length
  return [
    color.bold(lock.name),
    table(rows),
    ...notes.map((note) => color.yellow(note)),
    `${work}, ${duration(seconds)}`,
    `${out}: ${size} files ${published === 'unchanged' ? 'already there, unchanged' : 'written'}`,
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
