/** The `Range` header (RFC 9110, section 14) for a body of known size. */

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

// More than this many parts, or parts that together exceed the file, cost more than the whole file would.
const MOST_RANGES = 100

/**
 * The ranges asked for, clipped to `size`, in the order asked; `'unsatisfiable'` when none touches the body (416);
 * undefined when the header is absent, malformed, in another unit or abusive, which means the whole body.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange[] | 'unsatisfiable' | undefined {
  const list = header === undefined ? undefined : /^bytes *=(.*)$/i.exec(header)?.[1]
  if (list === undefined) return undefined
  const ranges: ByteRange[] = []
  let total = 0
  for (const text of list.split(',')) {
    if (text.trim() === '') continue
    const match = /^\s*(\d*)\s*-\s*(\d*)\s*$/.exec(text)
    const [, first = '', last = ''] = match ?? []
    if (first === '' && last === '') return undefined
    if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
    const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
    const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
    if (start > end) continue // beyond the end, or the last 0 bytes
    ranges.push({ start, end })
    total += end - start + 1
  }
  if (ranges.length === 0) return list.trim() === '' ? undefined : 'unsatisfiable'
  if (ranges.length > 1 && (ranges.length > MOST_RANGES || total > size)) return undefined
  return ranges
}

/** True when `header` (If-None-Match) names `etag` or anything; weak tags compare like strong ones here. */
export function matchesAny(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
