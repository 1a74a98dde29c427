/** Slices, lengths and mixtures at their borders. */
import { describe, expect, test } from 'vitest'
import { conversation, customJson, goodLines, jsonLines, Lab, recipeOf, tokensOf } from './support.ts'

const past = { exit: 2, code: 'RECIPE' }

describe.concurrent('a slice', () => {
  test('past the end of its source', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    await lab.refuses(recipeOf({ ...customJson, stop: 3 }), {
      ...past,
      says: 'splits.train[0] (CustomJSON): stop 3 is past the end, the source has 2 rows',
      hint: 'Lower stop',
    })
    await lab.refuses(recipeOf({ ...customJson, start: 3 }), {
      ...past,
      says: 'splits.train[0] (CustomJSON): start 3 is past the end, the source has 2 rows',
      hint: 'Lower start',
    })
    await lab.refuses(recipeOf({ ...customJson, start: 3, stop: 2 }), {
      ...past,
      says: 'splits.train[0].start: is 3, which is past stop (2)',
    })
    await lab.refuses(recipeOf({ ...customJson, stop: 9_007_199_254_740_991 }), {
      ...past,
      says: 'is past the end',
    })
  })

  test('at its borders', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    const train = [
      { ...customJson, label: 'none', stop: 0 },
      { ...customJson, label: 'end', start: 2, stop: 2 },
      { ...customJson, label: 'step', step: 9_007_199_254_740_991 },
      { ...customJson, label: 'never', repeat: 0 },
      { ...customJson, label: 'thrice', repeat: 3 },
    ]
    const report = await lab.builds(recipeOf(train))
    expect(report.splits.train.sources.map(({ label, conversations }) => [label, conversations])).toEqual([
      ['none', 0],
      ['end', 0],
      ['step', 1],
      ['never', 0],
      ['thrice', 6],
    ])
  })

  test('repeated without measure', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    await lab.refuses(
      recipeOf([
        { ...customJson, repeat: 2 ** 31 - 1 },
        { ...customJson, repeat: 2 ** 31 - 1 },
      ]),
      { ...past, says: /train.* 8589934588 conversations/, hint: 'repeat' },
    )
    const report = await lab.builds(recipeOf([{ ...customJson, repeat: 2 ** 31 - 1, stop: 0 }, customJson]))
    expect(report.splits.train.conversations).toBe(2)
  })
})

describe.concurrent('lengths', () => {
  test('every row too long: cut, counted, and told', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    const report = await lab.builds(recipeOf(customJson, { maxSeqLen: 1 }))
    expect(report.splits.train).toMatchObject({ conversations: 2, tokens: 2, trainedTokens: 0, truncated: 2 })
    expect(report.splits.train.sources[0]).toMatchObject({ truncated: 2, untrained: 2 })
    expect(tokensOf(lab, 'sft_train_000000.bin')).toEqual([416, 416])
  })

  test('shards of one token', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', jsonLines([conversation('a', 'b')]))
    const report = await lab.builds(recipeOf(customJson, { shardTokens: 1 }))
    expect(report.splits.train.shards).toBe(7)
    expect(Array.from({ length: 7 }, (_, i) => tokensOf(lab, `sft_train_00000${i}.bin`)).flat()).toEqual([
      416, 417, 97, 418, 419, 98, 420,
    ])
  })

  test('a row longer than a shard, and than the largest lengths there are', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', jsonLines([conversation('x '.repeat(500), 'y')]))
    const report = await lab.builds(recipeOf(customJson, { maxSeqLen: 2 ** 31 - 1, shardTokens: 100 }))
    expect(report.splits.train.truncated).toBe(0)
    expect(report.splits.train.shards).toBe(Math.ceil(report.splits.train.tokens / 100))
    const whole = await lab.builds(recipeOf(customJson, { maxSeqLen: 2 ** 31 - 1, shardTokens: 2 ** 31 - 1 }))
    expect(whole.splits.train).toMatchObject({ tokens: report.splits.train.tokens, shards: 1 })
  })

  test('the largest seeds', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    for (const kind of ['python', 'numpy', 'seedrandom']) {
      const report = await lab.builds(
        recipeOf(customJson, { shuffle: { kind, seed: 9_007_199_254_740_991 } }),
      )
      expect(report.splits.train.conversations).toBe(2)
    }
  })
})
