/** Lists that are too long for a message: stored as blobs, read a piece at a time. */
import { canonicalJson } from '../pipeline/keys.ts'
import { isStored, type Long, type StoredList } from '../pipeline/stage.ts'
import type { Json, Store } from '../store/types.ts'
import type { Dependencies } from './dependencies.ts'
import { translate } from './translate.ts'
import type { IoActivities } from './types.ts'

export async function storeList(lists: readonly Long<Json>[], store: Store): Promise<StoredList> {
  const items: Json[] = []
  for (const list of lists)
    for (const item of isStored(list) ? await itemsIn(list, store) : list) items.push(item)
  const { digest } = await store.putBlob(Buffer.from(canonicalJson(items)))
  return { list: digest, count: items.length }
}

export async function readList(
  list: StoredList,
  from: number,
  to: number,
  store: Store,
): Promise<readonly Json[]> {
  return (await itemsIn(list, store)).slice(from, to)
}

async function itemsIn({ list }: StoredList, store: Store): Promise<readonly Json[]> {
  return JSON.parse(Buffer.from(await store.readBlobBytes(list)).toString('utf8')) as readonly Json[]
}

export function createListActivities(deps: Dependencies): Pick<IoActivities, 'storeList' | 'readList'> {
  return {
    storeList: ({ lists }) => translate(deps, () => storeList(lists, deps.store)),
    readList: ({ list, from, to }) => translate(deps, () => readList(list, from, to, deps.store)),
  }
}
