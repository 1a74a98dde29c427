/** resolve: recipe → lock, where the hub can be reached and the token is. The lock goes into the store. */
import { dirname } from 'node:path'
import type { Lock } from '../pipeline/lock.ts'
import type { Outline } from '../pipeline/results.ts'
import { assertSameLock } from '../recipe/lock-file.ts'
import { parseRecipe } from '../recipe/parse.ts'
import { pinsOf, resolveRecipe } from '../recipe/resolve.ts'
import type { Digest, Json, Store } from '../store/types.ts'
import type { Dependencies } from './dependencies.ts'
import { storeList } from './lists.ts'
import { readRequest } from './request.ts'
import { discardDamaged, translate } from './translate.ts'
import type { IoActivities } from './types.ts'

export function createResolve(deps: Dependencies): IoActivities['resolve'] {
  return ({ request: digest, resolved }) =>
    translate(deps, async ({ signal, report }) => {
      const { store } = deps
      const { recipe, locals, locked } = await readRequest(store, digest)
      const keepTo = locked ?? (resolved && (await earlierLock(resolved, deps)))
      let waiting: string | undefined
      report(() => ({ title: 'resolve', ...(waiting === undefined ? {} : { waiting }) }))
      const lock = await resolveRecipe(parseRecipe(recipe.text, recipe.file, recipe.settings), {
        store,
        hub: () => deps.hub(signal, (text) => (waiting = text)),
        folder: dirname(recipe.file),
        signal,
        locals,
        ...(keepTo === undefined ? {} : { pinned: pinsOf(keepTo) }),
      })
      if (locked !== undefined) assertSameLock(locked, lock)
      // Not in canonical form: the manifest shows a lock's fields in the order in which the resolver writes them.
      const { digest: stored } = await store.putBlob(Buffer.from(JSON.stringify(lock)))
      return { lock: stored, outline: await outlineOf(lock, store) }
    })
}

/** Undefined when its blob is lost: the build may then move to where branches are by now, and goes on. */
async function earlierLock(digest: Digest, deps: Pick<Dependencies, 'store'>): Promise<Lock | undefined> {
  try {
    return await readLockBlob(deps.store, digest)
  } catch (error) {
    if (await discardDamaged(error, deps)) return undefined
    throw error
  }
}

/** A source with more files than this has their list stored. */
const mostFiles = 8

async function outlineOf(lock: Lock, store: Store): Promise<Outline> {
  const split = (sources: Lock['splits'][string]) =>
    Promise.all(
      sources.map(async (source) => ({
        ...source,
        files:
          source.files.length <= mostFiles
            ? source.files
            : await storeList([source.files as unknown as readonly Json[]], store),
      })),
    )
  const splits: Record<string, Awaited<ReturnType<typeof split>>> = {}
  for (const [name, sources] of Object.entries(lock.splits)) splits[name] = await split(sources)
  return { ...lock, splits }
}

export async function readLockBlob(store: Store, digest: Digest): Promise<Lock> {
  return JSON.parse(Buffer.from(await store.readBlobBytes(digest)).toString('utf8')) as Lock
}
