import { expect, test } from 'vitest'
import { noProgress, type StageContext } from '../../stages/define-stage.ts'
import { shuffle } from '../../stages/shuffle.ts'
import { TokenBlockWriter, TokenWriter } from '../../stages/token-block.ts'
import type { Json, Store } from '../../store/types.ts'
import { withTempStore } from './temp-store.ts'

interface Row {
  readonly tokens: number
  readonly trained: number
}

/** Rows 10, 11, …; `max` tokens at most. */
async function listOf(store: Store, rows: readonly Row[], max: number) {
  const writer = new TokenWriter({ encode: () => 0 }, max, true)
  const block = new TokenBlockWriter(await store.createBlob(), 2)
  rows.forEach(({ tokens, trained }, r) => {
    writer.begin()
    for (let t = 0; t < tokens; t++) writer.special(r + 1, t < tokens - trained ? 0 : 1)
    const count = writer.end()
    block.add(10 + r, writer, count, writer.over)
  })
  const tokens = (await block.commit()).digest
  const index = (await store.putBlob(block.index())).digest
  return (await store.putBlob(Buffer.from(JSON.stringify([{ tokens, index }])))).digest
}

const rows: Row[] = [
  { tokens: 4, trained: 2 },
  { tokens: 9, trained: 1 }, // cut to 8, so without its trained token
  { tokens: 8, trained: 3 }, // just fits
  { tokens: 5, trained: 0 },
  { tokens: 12, trained: 7 },
]

const slice = { seed: null, start: 0, stop: null, step: 1, repeat: 1 }

function order(policies: Readonly<Record<string, Json>>, places: Json = []) {
  return withTempStore(async (store) => {
    const context: StageContext = {
      store,
      signal: new AbortController().signal,
      progress: noProgress,
      notice: () => {},
      encoderTables: () => Promise.reject(new Error('not needed')),
    }
    const { stats } = await shuffle.run(
      {
        stage: 'shuffle',
        title: 'train: order',
        params: { shuffle: { kind: 'none' }, shardTokens: 1000, sources: [{ ...slice, ...policies }] },
        inputs: { 'source.0': await listOf(store, rows, 8) },
        hints: { labels: ['splits.train[0] (made)'], places },
      },
      context,
    )
    return stats as unknown as { conversations: number; sources: [Record<string, unknown>] }
  })
}

test('kept and cut unless the recipe says otherwise', async () => {
  const { conversations, sources } = await order({})
  expect(conversations).toBe(5)
  expect(sources[0]).toEqual({
    rows: 5,
    conversations: 5,
    tokens: 33,
    trainedTokens: 8,
    truncated: 2,
    untrained: 2,
  })
})

test.each([
  [{ onUntrained: 'drop' }, { conversations: 3, truncated: 1, untrained: 0 }, { untrained: 2, tooLong: 0 }],
  [{ tooLong: 'drop' }, { conversations: 3, truncated: 0, untrained: 1 }, { untrained: 0, tooLong: 2 }],
  [
    { onUntrained: 'drop', tooLong: 'drop' },
    { conversations: 2, truncated: 0, untrained: 0 },
    { untrained: 1, tooLong: 2 },
  ],
  [
    { tooLong: 'drop', repeat: 3 },
    { conversations: 9, untrained: 3 },
    { untrained: 0, tooLong: 6 },
  ],
  [
    { tooLong: 'drop', start: 1, stop: 3 },
    { conversations: 1, tokens: 8 },
    { untrained: 0, tooLong: 1 },
  ],
  [{ tooLong: 'fail', onUntrained: 'drop', stop: 1 }, { conversations: 1 }, { untrained: 0, tooLong: 0 }],
])('%j leaves rows out and counts them', async (policies, figures, dropped) => {
  const [source] = (await order(policies)).sources
  expect(source).toMatchObject({ ...figures, dropped })
})

test.each([
  [{ tooLong: 'fail' }, 11, 'has more tokens than maxSeqLen'],
  [{ onUntrained: 'fail' }, 11, 'has no trained token'],
  [{ tooLong: 'drop', onUntrained: 'fail' }, 13, 'has no trained token'],
])('%j is an error that names source and row', async (policies, row, why) => {
  const message = expect.stringContaining(`splits.train[0] (made): the row ${why}`)
  await expect(order(policies)).rejects.toMatchObject({ code: 'BAD_ROW', at: { row }, message })
})

test.each([
  [{ numbering: 'line' }, { line: 11 }],
  [
    {
      numbering: 'row',
      files: [
        ['a', 0],
        ['b', 1],
        ['c', 2],
      ],
    },
    { file: 'b', row: 11 },
  ],
  [{ numbering: 'line', files: [] }, { line: 11 }],
] as const)('its place, where it is known: %j', async (place, at) => {
  const failing = order({ tooLong: 'fail' }, [place as unknown as Json])
  await expect(failing).rejects.toMatchObject({ code: 'BAD_ROW', at })
})

test('rows that the slice leaves out may be anything', async () => {
  expect((await order({ tooLong: 'fail', onUntrained: 'fail', start: 2, stop: 3 })).conversations).toBe(1)
})
