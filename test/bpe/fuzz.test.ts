import { expect, test } from 'vitest'
import { buildTables, createDecoder, createEncoder } from '../../bpe/index.ts'
import { generator, randomText } from './texts.ts'
import { CONFIGURATIONS, known } from './vocabularies.ts'

/** FUZZ_SECONDS for all configurations together; FUZZ_SEED to repeat a run. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 4)
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fffffff)

test.each(CONFIGURATIONS)(
  `$name: random texts get the ids of tiktoken (seed ${seed})`,
  ({ ranks, pattern }) => {
    const { vocabulary, tiktoken } = known(ranks, pattern)
    const encoder = createEncoder(buildTables(vocabulary))
    const decoder = createDecoder(vocabulary)
    const oracle = tiktoken()
    const random = generator(seed)
    const end = performance.now() + (1000 * seconds) / CONFIGURATIONS.length
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
