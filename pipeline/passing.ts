/** How lists pass between processes: both sides of a message have to hold to the same bounds. */
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
