/** How lists pass between processes: both sides of a message have to hold to the same bounds. */
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { isStored, type Long } from './stage.ts'

/** A list of more items than this is stored, and travels as its digest. */
export const mostItems = 100

/** The lists as one, if that may travel as it is. */
export function inlineList<T>(lists: readonly Long<T>[]): readonly T[] | undefined {
  let count = 0
  const items: T[] = []
  for (const list of lists) {
    if (isStored(list)) return undefined
    count += list.length
    if (count > mostItems) return undefined
    items.push(...list)
  }
  return items
}

/** Bytes of JSON that lists come to in one message at most: Temporal takes 2 MB, and warns from half a MB on. */
export const mostBytes = 500_000

/** Lists that are stored one after the other, as runs of lists that fit into a message each. */
export function inMessages<T>(lists: readonly Long<T>[]): Long<T>[][] {
  const messages: Long<T>[][] = [[]]
  let room = mostBytes
  const take = (list: Long<T>, bytes: number) => {
    messages.at(-1)!.push(list)
    room -= bytes
  }
  for (const list of lists) {
    const sizes = isStored(list) ? [100] : list.map((item) => utf8ToBytes(JSON.stringify(item)).length + 1)
    let from = 0
    let bytes = 0
    for (const [i, size] of sizes.entries()) {
      if (bytes + size > room && (bytes > 0 || messages.at(-1)!.length > 0)) {
        if (!isStored(list) && i > from) take(list.slice(from, i), bytes)
        messages.push([])
        room = mostBytes
        from = i
        bytes = 0
      }
      bytes += size
    }
    take(isStored(list) ? list : list.slice(from), bytes)
  }
  return messages
}
