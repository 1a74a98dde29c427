import { readFile } from 'node:fs/promises'
import { type BuildOutcome, build } from '../../engine/build.ts'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { pipelineKind } from '../../pipeline/kinds/index.ts'
import { lockPath, readLock, writeLock } from '../../recipe/lock-file.ts'
import { type BuildFacts, showFacts } from '../build-facts.ts'
import { ProgressView } from '../progress.ts'
import type { CommandContext } from '../run.ts'
import { storeLocation, threadCount } from '../settings.ts'

export interface BuildFlags {
  readonly out?: string
  readonly store?: string
  readonly set?: readonly string[]
  readonly threads?: string
  readonly locked?: string | true
  readonly writeLock?: string | true
  readonly recheck?: boolean
  readonly json?: boolean
  /** An address, or true for wherever Temporal's own settings say. */
  readonly temporal?: string | true
  readonly detach?: boolean
}

export async function buildCommand(
  context: CommandContext,
  recipe: string,
  { out, ...flags }: BuildFlags,
): Promise<void> {
  if (out === undefined) {
    throw new ShardmillError('USAGE', "required option '--out <dir>' not specified", {
      hint: 'Name the folder that the build is to write, for example --out out/.',
    })
  }
  if (flags.temporal !== undefined) {
    const { buildOnTemporal } = await import('../temporal/build.ts')
    return buildOnTemporal(context, recipe, await readRecipe(recipe), { ...flags, out })
  }
  if (flags.detach === true) throw new ShardmillError('USAGE', '--detach needs --temporal')
  const startedAt = performance.now()
  const view = new ProgressView({ quiet: context.quiet || flags.json === true, verbose: context.verbose })
  try {
    const locked =
      flags.locked === undefined
        ? undefined
        : await readLock(flags.locked === true ? lockPath(recipe) : flags.locked)
    const outcome = await build({
      recipe: { text: await readRecipe(recipe), file: recipe, settings: flags.set ?? [] },
      out,
      store: storeLocation(flags.store),
      threads: threadCount(flags.threads, '--threads'),
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
    showFacts(factsOf(outcome), { out, seconds, json: flags.json === true, quiet: context.quiet })
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

/** What the report and the summary show of a build in this process. */
function factsOf({ lock, result, output, published, run, cached }: BuildOutcome): BuildFacts {
  return {
    name: lock.name,
    published,
    run,
    cached,
    ...pipelineKind(lock.kind).report(result),
    fileCount: output.files.length,
    files: output.files.map(({ path, sha256, bytes }) => ({ path, sha256, bytes })),
  }
}
