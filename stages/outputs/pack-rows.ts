/**
 * BOS-aligned best-fit packing, as nanochat's SFT data loader does it: conversations wait in a buffer, in order; a row
 * takes the longest one that still fits (of equals the earliest), until none fits, and the rest of it is padding.
 */

/** A conversation that waits: anything with a length. */
export interface Waiting {
  readonly tokens: number
}

/**
 * Rows of conversations. The buffer is filled from `next` before every choice, as long as there is more; at the end it
 * is emptied, where nanochat would go on with the next epoch.
 * @throws RangeError when a conversation is longer than a row: it would wait for ever
 */
export function* packRows<T extends Waiting>(
  next: () => T | undefined,
  { rowTokens, buffer: size }: { readonly rowTokens: number; readonly buffer: number },
): Generator<T[]> {
  const buffer: T[] = []
  let ended = false
  const refill = () => {
    while (!ended && buffer.length < size) {
      const item = next()
      if (item === undefined) ended = true
      else if (item.tokens > rowTokens)
        throw new RangeError(`a conversation of ${item.tokens} tokens fits no row of ${rowTokens}`)
      else buffer.push(item)
    }
  }
  for (;;) {
    const row: T[] = []
    for (let room = rowTokens; room > 0; ) {
      refill()
      let best = -1
      for (let i = 0, longest = 0; i < buffer.length; i++) {
        const { tokens } = buffer[i]!
        if (tokens <= room && tokens > longest) {
          best = i
          longest = tokens
        }
      }
      if (best < 0) break
      const [item] = buffer.splice(best, 1)
      row.push(item!)
      room -= item!.tokens
    }
    if (row.length === 0) return
    yield row
  }
}

/**
 * Where rows begin, given the conversations in packed order: a row ends where the next one does not fit, since a row
 * is left only when nothing that waits fits.
 */
export function* rowsOf(
  lengths: ArrayLike<number>,
  rowTokens: number,
): Generator<{ first: number; end: number }> {
  for (let first = 0; first < lengths.length; ) {
    let end = first
    let filled = 0
    while (end < lengths.length && filled + lengths[end]! <= rowTokens) filled += lengths[end++]!
    if (end === first)
      throw new RangeError(`a conversation of ${lengths[end]} tokens fits no row of ${rowTokens}`)
    yield { first, end }
    first = end
  }
}
