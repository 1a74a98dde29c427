import { createInterface } from 'node:readline/promises'
import { ShardmillError } from '../../errors/index.ts'
import { openStore } from '../../stages/open-store.ts'
import { checkStore, type Finding } from '../../store/check.ts'
import { holdsStore } from '../../store/file-store.ts'
import { collectGarbage, type GcResult } from '../../store/gc.ts'
import { listStore } from '../../store/list.ts'
import type { ManagedStore } from '../../store/managed-store.ts'
import type { Digest } from '../../store/types.ts'
import { cleanText } from '../clean-text.ts'
import { bytes, count, table } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { isStoreNamed, isUrl, storeLocation, wholeNumber } from '../settings.ts'
import { Ticker } from '../ticker.ts'

export interface StoreFlags {
  readonly store?: string
  readonly json?: boolean
  readonly repair?: boolean
  readonly dryRun?: boolean
  readonly forget?: readonly string[]
  readonly olderThan?: string
  readonly yes?: boolean
}

export async function storeLs(context: CommandContext, flags: StoreFlags): Promise<void> {
  await withStore(context, flags, { readOnly: true }, async (store) => {
    const { root, builds, stages, blobs, unreadable, quarantined } = await listStore(store)
    if (flags.json === true) {
      process.stdout.write(
        `${safeJson({ schema: 1, store: root, builds: builds.map(({ id, name, finishedAt, records }) => ({ id, name, finishedAt, records: records.length })), stages, blobs, unreadable, quarantined })}\n`,
      )
      return
    }
    const color = paint(process.stdout)
    const lines = [`${color.bold(root)}: ${count(blobs.count)} blobs, ${bytes(blobs.bytes)}`]
    if (stages.length > 0)
      lines.push(
        '',
        table([
          ['stage', 'records', 'output'],
          ...stages.map((stage) => [
            `${stage.stage} v${stage.version}`,
            count(stage.records),
            bytes(stage.bytes),
          ]),
        ]),
      )
    if (builds.length > 0)
      lines.push(
        '',
        table([
          ['build', 'id', 'finished', 'stages'],
          ...builds.map((build) => [
            cleanText(build.name),
            build.id.slice(0, 16),
            build.finishedAt,
            count(build.records.length),
          ]),
        ]),
      )
    if (unreadable > 0)
      lines.push(
        '',
        color.yellow(`${count(unreadable)} records cannot be read: \`shardmill store check\` says which.`),
      )
    if (quarantined > 0)
      lines.push(
        '',
        `${count(quarantined)} damaged files were moved to quarantine/; \`shardmill store gc\` removes old ones.`,
      )
    process.stdout.write(`${lines.join('\n')}\n`)
  })
}

export async function storeCheck(context: CommandContext, flags: StoreFlags): Promise<number> {
  return withStore(context, flags, { readOnly: flags.repair === false }, async (store) => {
    const ticker = new Ticker('check', context.quiet || flags.json === true)
    const result = await checkStore(store, {
      signal: context.signal,
      repair: flags.repair !== false,
      onProgress: ({ bytes: done, totalBytes }) => ticker.show(done, totalBytes),
    }).finally(() => ticker.close())
    if (flags.json === true)
      process.stdout.write(`${safeJson({ schema: 1, ok: result.findings.length === 0, ...result })}\n`)
    const color = paint(process.stderr)
    for (const finding of result.findings)
      process.stderr.write(
        `${color.red('error:')} ${cleanText(finding.file)}: ${cleanText(finding.why)}${usesOf(finding)}${finding.quarantined === undefined ? '' : `; moved to ${finding.quarantined}`}\n`,
      )
    if (result.findings.length > 0)
      process.stderr.write(
        `hint: ${flags.repair === false ? 'Without --no-repair damaged files are moved away, and the next build makes them again.' : 'The next build makes what is missing again.'}\n`,
      )
    else if (flags.json !== true && !context.quiet)
      process.stdout.write(
        `${store.name}: ${paint(process.stdout).green('ok')}: ${count(result.blobs)} blobs (${bytes(result.bytes)}), ${count(result.records)} records, ${count(result.builds)} builds\n`,
      )
    return result.findings.length === 0 ? 0 : 3
  })
}

function usesOf({ stages, builds }: Finding): string {
  const made = stages
    .filter((use) => use.as === 'output')
    .map(({ stage, key, name }) => `${stage} ${key.slice(0, 16)} (${name})`)
  const read = stages
    .filter((use) => use.as === 'input')
    .map(({ stage, key }) => `${stage} ${key.slice(0, 16)}`)
  const few = (names: readonly string[]) =>
    names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
  return [
    made.length > 0 ? `; made by stage ${few(made)}` : '',
    read.length > 0 && made.length === 0 ? `; read by stage ${few(read)}` : '',
    builds.length > 0 ? `; used by build ${few(builds.map(cleanText))}` : '',
  ].join('')
}

export async function storeGc(context: CommandContext, flags: StoreFlags): Promise<void> {
  await withStore(context, flags, { readOnly: flags.dryRun === true }, async (store) => {
    const olderThanMs = wholeNumber(flags.olderThan ?? '1', '--older-than') * 86_400_000
    const keep = flags.forget === undefined ? 'all' : await keptBuilds(store, flags.forget)
    const options = { keep, olderThanMs, signal: context.signal } as const
    const wouldGo = await collectGarbage(store, { ...options, dryRun: true })
    if (
      flags.dryRun === true ||
      wouldGo.removed.records + wouldGo.removed.blobs + wouldGo.removed.builds + wouldGo.removed.leftovers ===
        0
    ) {
      return tell({ ...wouldGo, dryRun: flags.dryRun === true }, flags, context)
    }
    if (flags.yes !== true) await confirm(wouldGo, context)
    tell(await collectGarbage(store, options), flags, context)
  })
}

function tell(
  { kept, removed, dryRun, inUse = [] }: GcResult,
  { json }: StoreFlags,
  { quiet }: CommandContext,
): void {
  if (json === true) {
    const users = dryRun ? { inUse } : {}
    process.stdout.write(`${safeJson({ schema: 1, dryRun, kept, removed, ...users })}\n`)
    return
  }
  if (quiet && !dryRun) return
  for (const { who, certain } of dryRun && !quiet ? inUse : []) {
    const what = certain ? 'a build is using the store' : 'a build may be using the store'
    const unsure = certain ? '' : '; whether it still runs cannot be told without writing'
    process.stderr.write(`${what} (${cleanText(who)})${unsure}: gc does not begin while one runs\n`)
  }
  process.stdout.write(
    `${dryRun ? 'would remove' : 'removed'} ${count(removed.blobs)} blobs, ${count(removed.records)} records, ${count(removed.builds)} builds, ${count(removed.leftovers)} leftovers: ${bytes(removed.bytes)}\n`,
  )
  process.stdout.write(
    `${dryRun ? 'would keep' : 'kept'} ${count(kept.blobs)} blobs, ${count(kept.records)} records, ${count(kept.builds)} builds: ${bytes(kept.bytes)}\n`,
  )
}

async function confirm({ removed }: GcResult, { signal }: CommandContext): Promise<void> {
  if (process.stdin.isTTY !== true)
    throw new ShardmillError(
      'USAGE',
      `this removes ${count(removed.blobs)} blobs (${bytes(removed.bytes)}) and cannot ask`,
      { hint: 'Say --yes, or look first with --dry-run.' },
    )
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(
      `Remove ${count(removed.blobs)} blobs and ${count(removed.records)} records, ${bytes(removed.bytes)}? [y/N] `,
      { signal },
    )
    if (!/^y(es)?$/i.test(answer.trim())) throw new ShardmillError('INTERRUPTED', 'nothing was removed')
  } finally {
    terminal.close()
  }
}

/** All builds but those forgotten, which are named by id, a beginning of it, or name. */
async function keptBuilds(store: ManagedStore, forget: readonly string[]): Promise<Digest[]> {
  const { builds } = await listStore(store)
  for (const name of forget) {
    if (!builds.some((build) => build.name === name || build.id.startsWith(name))) {
      throw new ShardmillError('NOT_FOUND', `--forget ${name}: the store has no such build`, {
        hint: '`shardmill store ls` lists them.',
      })
    }
  }
  return builds
    .filter((build) => !forget.some((name) => build.name === name || build.id.startsWith(name)))
    .map(({ id }) => id)
}

async function withStore<T>(
  context: CommandContext,
  flags: StoreFlags,
  options: { readonly readOnly?: boolean },
  work: (store: ManagedStore) => Promise<T>,
): Promise<T> {
  const location = storeLocation(flags.store)
  const there = isUrl(location) || (await holdsStore(location))
  if (!there && isStoreNamed(flags.store))
    throw new ShardmillError('STORE', `there is no store in ${location}`, {
      hint: `Look at the path that ${flags.store === undefined ? 'SHARDMILL_STORE' : '--store'} has: a store is made by the first build that uses it.`,
    })
  const store = await openStore(location, {
    // The usual one that was never used is an empty one, and none is made to say so.
    readOnly: options.readOnly === true || !there,
    onWarning: (text) => {
      if (context.verbose) process.stderr.write(`${cleanText(text)}\n`)
    },
  })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}
