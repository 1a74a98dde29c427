import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { buildTables, createDecoder, createEncoder } from '../../bpe/index.ts'
import { readPickle } from '../../stages/tokenizers/pickle.ts'
import { generator, randomText } from './texts.ts'
import { CONFIGURATIONS, known, tiktokenOf } from './vocabularies.ts'

/** FUZZ_SECONDS for all configurations together, where CI is set a minute; FUZZ_SEED to repeat a run. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? (process.env['CI'] ? 60 : 4))
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fffffff)

const pickle = 'rustbpe-2048.protocol4.pkl'
const cases = [
  ...CONFIGURATIONS.map(({ name, ranks, pattern }) => ({ name, load: () => known(ranks, pattern) })),
  {
    name: `nanochat's ${pickle}`,
    load: () => {
      const file = new URL(`../fixtures/tokenizers/${pickle}`, import.meta.url)
      const vocabulary = readPickle(readFileSync(file), pickle)
      return { vocabulary, tiktoken: () => tiktokenOf(vocabulary) }
    },
  },
]

test.each(cases)(
  `$name: random texts get the ids of tiktoken (seed ${seed})`,
  ({ load }) => {
    const { vocabulary, tiktoken } = load()
    const encoder = createEncoder(buildTables(vocabulary))
    const decoder = createDecoder(vocabulary)
    const oracle = tiktoken()
    const random = generator(seed)
    const end = performance.now() + (1000 * seconds) / cases.length
    let texts = 0
    do {
      const text = randomText(random)
      const ids = encoder.encodeString(text)
      const expected = oracle.encode_ordinary(text)
      if (Buffer.compare(Buffer.from(ids.buffer), Buffer.from(expected.buffer)) !== 0) {
        expect(Array.from(ids), `seed ${seed}, text ${texts}: ${JSON.stringify(text)}`).toEqual(
          Array.from(expected),
        )
      }
      if (texts % 16 === 0)
        expect(Buffer.from(decoder.decode(ids)).equals(Buffer.from(text, 'utf8'))).toBe(true)
      texts++
    } while (performance.now() < end)
    oracle.free()
    expect(texts).toBeGreaterThan(0)
  },
  60_000 + 2000 * seconds,
)
