/** `build --temporal`: submits the build and follows it; leaving it does not stop it. */
import type { Client } from '@temporalio/client'
import { readLockBlob } from '../../activities/resolve.ts'
import { isShardmillError, ShardmillError } from '../../errors/index.ts'
import { lockPath, readLock, writeLock } from '../../recipe/lock-file.ts'
import { openStore } from '../../stages/open-store.ts'
import { connectClient, type TemporalSettings, temporalSettings } from '../../workers/connect.ts'
import type { BuildReport } from '../../workflows/types.ts'
import { type BuildFacts, showFacts } from '../build-facts.ts'
import { cleanText } from '../clean-text.ts'
import type { BuildFlags } from '../commands/build.ts'
import { ProgressView } from '../progress.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { storeLocation } from '../settings.ts'
import { followBuild } from './follow.ts'
import { limits } from './limits.ts'
import { submitBuild } from './submit.ts'

export async function buildOnTemporal(
  context: CommandContext,
  recipe: string,
  text: string,
  flags: BuildFlags & { readonly out: string },
): Promise<void> {
  if (flags.threads !== undefined)
    throw new ShardmillError('USAGE', '--threads is for builds in this process', {
      hint: 'Workers take `shardmill worker --concurrency`.',
    })
  const settings = temporalSettings(flags.temporal === true ? undefined : flags.temporal)
  const locked =
    flags.locked === undefined
      ? undefined
      : await readLock(flags.locked === true ? lockPath(recipe) : flags.locked)
  const store = storeLocation(flags.store)
  const client = await connectClient(settings)
  const say = (text: string) => {
    if (!context.quiet && flags.json !== true) process.stderr.write(`${text}\n`)
  }
  try {
    const { workflowId, runId, started } = await submitBuild(client, {
      recipe: { text, file: recipe, settings: flags.set ?? [] },
      out: flags.out,
      store,
      limits: limits(),
      notice: (text) => say(cleanText(text)),
      ...(locked === undefined ? {} : { locked }),
      ...(flags.recheck === undefined ? {} : { recheck: flags.recheck }),
    })
    if (flags.detach === true) {
      const facts = { schema: 1, build: workflowId, run: runId, started }
      process.stdout.write(flags.json === true ? `${safeJson(facts)}\n` : `${workflowId}\n`)
      return
    }
    say(`${started ? 'submitted' : 'already under way'}: ${workflowId}`)
    const report = await follow(context, client, settings, workflowId, {
      out: flags.out,
      json: flags.json === true,
      store,
    })
    if (flags.writeLock !== undefined)
      await keepLock(flags.writeLock === true ? lockPath(recipe) : flags.writeLock, report, store)
  } finally {
    await client.connection.close()
  }
}

/** Follows a build to its end and shows what it came to. */
export async function follow(
  context: CommandContext,
  client: Client,
  { namespace }: TemporalSettings,
  workflowId: string,
  { out, json, store }: { readonly out?: string; readonly json: boolean; readonly store?: string },
): Promise<BuildReport> {
  const startedAt = performance.now()
  const view = new ProgressView({ quiet: context.quiet || json, verbose: context.verbose })
  try {
    const report = await followBuild({
      client,
      namespace,
      workflowId,
      signal: context.signal,
      observer: view,
    })
    view.close()
    const facts = await factsOf(report, store)
    showFacts(facts, {
      out: out ?? report.out,
      seconds: (performance.now() - startedAt) / 1000,
      json,
      quiet: context.quiet,
    })
    return report
  } catch (error) {
    view.close()
    if (!context.signal.aborted || !isShardmillError(error, 'INTERRUPTED')) throw error
    throw new ShardmillError('INTERRUPTED', `the build goes on without this display: ${workflowId}`, {
      hint: `\`shardmill attach ${workflowId}\` follows it again, \`shardmill cancel ${workflowId}\` stops it.`,
    })
  }
}

async function factsOf(report: BuildReport, location: string | undefined): Promise<BuildFacts> {
  const { files: list, ...facts } = report
  if (location === undefined) return facts
  const store = await openStore(location, { readOnly: true })
  try {
    const files = JSON.parse(Buffer.from(await store.readBlobBytes(list)).toString('utf8')) as NonNullable<
      BuildFacts['files']
    >
    return { ...facts, files }
  } finally {
    await store.close()
  }
}

async function keepLock(path: string, { lock }: BuildReport, location: string): Promise<void> {
  const store = await openStore(location, { readOnly: true })
  try {
    await writeLock(path, await readLockBlob(store, lock))
  } finally {
    await store.close()
  }
}
