/**
 * The words that generated text is made of, most frequent first: gpt2's own tokens that are words (merge order is
 * about frequency order), then the other words of the npm word list. So common words are one token, as in real
 * text, and the long tail is split, as in real text.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import wordListPath from 'word-list'

export interface Words {
  /** All words' bytes, one after the other. */
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
  /** Words [0, common) are frequent, the others rare. */
  readonly common: number
  readonly count: number
}

export function loadWords(): Words {
  const listed = readFileSync(wordListPath, 'latin1')
    .split('\n')
    .filter((word) => word !== '')
  const real = new Set(listed)
  const { bpe_ranks: ranks } = createRequire(import.meta.url)('tiktoken/encoders/gpt2.json') as {
    bpe_ranks: string
  }
  const common = new Set(['the', 'a', 'i'])
  for (const line of ranks.split('\n')) {
    for (const token of line.split(' ').slice(2)) {
      const text = Buffer.from(token, 'base64').toString('latin1')
      if (/^ [a-z]{2,}$/.test(text) && real.has(text.slice(1))) common.add(text.slice(1))
    }
  }
  const rare = listed.filter((word) => !common.has(word) && word.length < 14)
  // Spread the rare ones over the alphabet: any fixed permutation will do.
  const spread = rare.map((_, i) => rare[(i * 7919 + 13) % rare.length]!)
  const all = [...common, ...spread]
  const offsets = new Uint32Array(all.length + 1)
  for (const [i, word] of all.entries()) offsets[i + 1] = offsets[i]! + word.length
  return { bytes: Buffer.from(all.join(''), 'latin1'), offsets, common: common.size, count: all.length }
}
