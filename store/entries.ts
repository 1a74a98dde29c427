/** What lies in a store, found by listing its folders. */

import { join } from 'node:path'
import { isDigest } from './digest.ts'
import { list } from './fs-calls.ts'
import type { Layout } from './layout.ts'
import type { Held } from './managed-store.ts'
import type { Digest } from './types.ts'

export interface Entry {
  /** A blob's digest, a record's key, a build's id. */
  readonly digest: Digest
  readonly path: string
  /** Where the listing itself tells size and time. */
  readonly held?: Held
}

/** Told of the paths that have no business there; hidden files (of the system's) are passed over. */
export type OnForeign = (path: string) => void

export function blobEntries(layout: Layout, onForeign?: OnForeign): AsyncGenerator<Entry> {
  return entriesBelow(layout.blobs, '', onForeign)
}

export function recordEntries(layout: Layout, onForeign?: OnForeign): AsyncGenerator<Entry> {
  return entriesBelow(layout.records, '.json', onForeign)
}

export function buildEntries(layout: Layout, onForeign?: OnForeign): AsyncGenerator<Entry> {
  return entriesIn(layout.builds, '', '.json', onForeign)
}

async function* entriesBelow(folder: string, ending: string, onForeign?: OnForeign): AsyncGenerator<Entry> {
  for (const entry of await list(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && /^[0-9a-f]{2}$/.test(entry.name)) {
      yield* entriesIn(path, entry.name, ending, onForeign)
    } else if (!entry.name.startsWith('.')) {
      onForeign?.(path)
    }
  }
}

async function* entriesIn(
  folder: string,
  start: string,
  ending: string,
  onForeign?: OnForeign,
): AsyncGenerator<Entry> {
  for (const { name } of await list(folder)) {
    const digest = name.endsWith(ending) ? name.slice(0, name.length - ending.length) : ''
    if (isDigest(digest) && digest.startsWith(start)) {
      yield { digest, path: join(folder, name) }
    } else if (!name.startsWith('.')) {
      onForeign?.(join(folder, name))
    }
  }
}

/** Runs `work` on every item, at most `width` at once. The first failure is thrown once all have stopped. */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failed: { error: unknown } | undefined
  let turn: Promise<unknown> = Promise.resolve()
  const next = (): Promise<IteratorResult<T>> => {
    const result = turn.then(() => source.next())
    turn = result.catch(() => undefined)
    return result
  }
  const lane = async () => {
    try {
      while (failed === undefined) {
        const { done, value } = await next()
        if (done) return
        await work(value)
      }
    } catch (error) {
      failed ??= { error }
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  if (failed !== undefined) throw failed.error
}
