/**
 * The in-process build, from a recipe's text to a published folder. Everything it needs from the world comes in
 * through BuildOptions; everything it says goes out through the observer.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { isShardmillError } from '../errors/index.ts'
import { createHub, type Hub } from '../hub/client/hub.ts'
import { hubSettings } from '../hub/client/settings.ts'
import { assertUsableOutput } from '../output/folder.ts'
import type { Output } from '../output/manifest.ts'
import type { PublishOptions } from '../output/publish.ts'
import { Staging } from '../output/staging.ts'
import { buildDataset } from '../pipeline/build.ts'
import type { Lock } from '../pipeline/lock.ts'
import type { BuildResult } from '../pipeline/results.ts'
import { assertSameLock } from '../recipe/lock-file.ts'
import { parseRecipe } from '../recipe/parse.ts'
import { pinsOf, resolveRecipe } from '../recipe/resolve.ts'
import { openStore } from '../stages/open-store.ts'
import type { StagePool, Threads } from '../stages/pool.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import type { Digest } from '../store/types.ts'
import type { BuildObserver } from './events.ts'
import { finishBuild } from './finish.ts'
import { InProcessRunner, interrupted } from './in-process.ts'

export interface RecipeText {
  readonly text: string
  /** As the user named it; relative paths in the recipe start from its folder. */
  readonly file: string
  /** `path=value` from the command line. */
  readonly settings: readonly string[]
}

export interface BuildOptions {
  readonly recipe: RecipeText
  readonly out: string
  readonly store: string
  readonly threads: number
  /** Threads that outlive this build, for one who builds often (default: its own, ended with it). */
  readonly sharedThreads?: Threads
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly observer: BuildObserver
  /** The lock to keep to: resolving may not lead anywhere else. */
  readonly locked?: Lock
  readonly recheck?: boolean
  readonly onResolved?: (lock: Lock) => void | Promise<void>
  readonly onPublish?: (bytes: number, total: number) => void
}

export interface BuildOutcome {
  readonly lock: Lock
  readonly result: BuildResult
  readonly output: Output
  readonly published: 'written' | 'unchanged'
  readonly run: number
  readonly cached: number
}

/** A damaged blob is thrown away and made again; a store that keeps damaging them is given up. */
const mostRepairs = 20

export async function build(options: BuildOptions): Promise<BuildOutcome> {
  const recipe = parseRecipe(options.recipe.text, options.recipe.file, options.recipe.settings)
  await assertUsableOutput(options.out, options.store)
  const store = await openStore(options.store, { onWarning: (text) => options.observer.notice(text) })
  const hub = onceHub(options)
  let pool: StagePool | undefined
  const makePool = async () => {
    const { createStagePool } = await import('../stages/pool.ts')
    pool ??= createStagePool(options.store, options.sharedThreads ?? options.threads)
    return pool
  }
  const copyOut = async (blob: Digest, path: string) =>
    (await makePool()).copyOut(store, blob, path, options.signal)
  const staging = new Staging(options.out, copyOut)
  const ran = new Set<Digest>()
  try {
    await store.leaseForBuild({
      signal: options.signal,
      onWait: (text) => options.observer.notice(text),
    })
    // Where there is no output yet, there will be work: threads load while the recipe is resolved.
    if (!existsSync(options.out)) (await makePool()).warm()
    // A repair imports local files again; of the hub it asks only files, of the commits that were found first.
    let resolved = options.locked
    for (let repairs = 0; ; repairs++) {
      try {
        const lock = await resolveRecipe(recipe, {
          store,
          hub,
          folder: dirname(options.recipe.file),
          signal: options.signal,
          retry: () => hubSettings(options.env).retry,
          ...(resolved === undefined ? {} : { pinned: pinsOf(resolved) }),
          ...(repairs > 0 ? {} : { notice: (text: string) => options.observer.notice(text) }),
        })
        if (options.locked !== undefined) assertSameLock(options.locked, lock)
        resolved = lock
        await options.onResolved?.(lock)
        const runner = new InProcessRunner({
          store,
          pool: makePool,
          threads: options.threads,
          hub,
          signal: options.signal,
          observer: options.observer,
          onVerified: (files) => {
            for (const file of files) staging.add(file)
          },
        })
        try {
          return await buildOnce(lock, runner, store, ran, options, { copyOut, staging })
        } finally {
          runner.end()
          for (const key of runner.ran) ran.add(key)
        }
      } catch (error) {
        if (options.signal.aborted) throw interrupted()
        if (repairs >= mostRepairs || !(await discardDamaged(error, store, options.observer))) throw error
      }
    }
  } finally {
    const staged = staging.close()
    await pool?.close()
    await staged
    // With its leases.
    await store.close()
  }
}

async function buildOnce(
  lock: Lock,
  runner: InProcessRunner,
  store: ManagedStore,
  ranBefore: ReadonlySet<Digest>,
  options: BuildOptions,
  publishing: Pick<PublishOptions, 'copyOut' | 'staging'>,
): Promise<BuildOutcome> {
  const result = await buildDataset(lock, runner)
  const { output, published } = await finishBuild(lock, result, runner, {
    store,
    out: options.out,
    signal: options.signal,
    ...publishing,
    ...(options.recheck === undefined ? {} : { recheck: options.recheck }),
    ...(options.onPublish === undefined ? {} : { onProgress: options.onPublish }),
  })
  // What a repair had run already is found in the store by now, and still is no cached work.
  const ran = new Set([...ranBefore, ...runner.ran])
  const cached = [...runner.records.keys()].filter((key) => !ran.has(key)).length
  return { lock, result, output, published, run: ran.size, cached }
}

function onceHub({ env, signal, observer }: BuildOptions): () => Hub {
  let hub: Hub | undefined
  return () => {
    hub ??= createHub(hubSettings(env), { signal, onRetry: ({ message }) => observer.notice(message) })
    return hub
  }
}

/** True when the error was a damaged or missing blob that the next try will make again. */
async function discardDamaged(
  error: unknown,
  store: ManagedStore,
  observer: BuildObserver,
): Promise<boolean> {
  if (!isShardmillError(error, 'CORRUPT_BLOB') && !isShardmillError(error, 'MISSING_BLOB')) return false
  const digest = error.details?.['digest']
  if (typeof digest !== 'string') return false
  observer.notice(`${error.message}; it is made again`)
  await store.discardBlob(digest as Digest)
  return true
}
