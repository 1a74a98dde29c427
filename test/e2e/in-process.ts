/** Builds through the engine, without a process of the command line each: for tests of what a build does, many times. */
import { readFileSync } from 'node:fs'
import { afterAll, expect } from 'vitest'
import { type BuildOptions, type BuildOutcome, build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { openStore } from '../../stages/open-store.ts'
import { createThreads } from '../../stages/pool.ts'
import { checkStore } from '../../store/check.ts'
import type { Bench } from './cli.ts'

/** Threads for all builds of a test file: to load one costs more than most of these builds. */
export const threadsHere = createThreads(2)
afterAll(() => threadsHere.close())

/** What `shardmill build` does on this bench, in this process. */
export function buildHere(
  { recipe, out, store, env }: Bench,
  more: Partial<BuildOptions> = {},
): Promise<BuildOutcome> {
  return build({
    recipe: { text: readFileSync(recipe, 'utf8'), file: recipe, settings: [] },
    out,
    store,
    threads: 1,
    sharedThreads: threadsHere,
    env,
    signal: new AbortController().signal,
    observer: silentObserver,
    ...more,
  })
}

/** Expects what `shardmill store check --no-repair` answers with 0: nothing in the store is damaged or missing. */
export async function expectWhole(location: string): Promise<void> {
  const store = await openStore(location, { readOnly: true })
  try {
    expect((await checkStore(store, { repair: false })).findings).toEqual([])
  } finally {
    await store.close()
  }
}
