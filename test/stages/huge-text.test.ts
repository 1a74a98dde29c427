import { constants } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import type { StageCall } from '../../pipeline/stage.ts'
import { ConversationWriter } from '../../stages/conversations.ts'
import { noProgress, type Stage, type StageContext } from '../../stages/define-stage.ts'
import { problems } from '../../stages/problems.ts'
import { templateOf } from '../../stages/templates/index.ts'
import { tokenize } from '../../stages/tokenize.ts'
import { readTokenizer } from '../../stages/tokenizers/index.ts'
import { buildTextTables } from '../../stages/tokenizers/text-encoder.ts'
import { encodeVocabulary } from '../../stages/tokenizers/vocabulary.ts'
import { inRow } from '../../stages/vocabulary-encoder.ts'
import type { Json, Store } from '../../store/types.ts'
import { customJson, goodLines, Lab, recipeOf } from '../bad-input/support.ts'
import { threadsHere } from '../e2e/in-process.ts'
import { withTempStore } from './temp-store.ts'
import { write } from './write-conversation.ts'

const pickle = readFileSync(join(import.meta.dirname, '../fixtures/golden-sft/tokenizer.pkl'))
const vocabulary = readTokenizer('nanochat', pickle, 'tokenizer.pkl', templateOf('nanochat').specials)
const tables = buildTextTables(vocabulary)

afterEach(() => vi.restoreAllMocks())

/** Conversations of these questions, at the rows 10, 11, … of their file. */
async function conversationsOf({ name }: Stage, store: Store, questions: readonly string[]) {
  const out = new ConversationWriter(await store.createBlob())
  questions.forEach((question, i) => {
    const letters = ['A', 'B'].map((text) => ({ type: 'text', text }))
    const messages = [
      { role: 'user', content: question },
      { role: 'assistant', content: 'A' },
      { role: 'assistant', content: letters },
    ]
    write(out, name === 'problems' ? messages : messages.slice(0, 2), 10 + i)
    out.endRow()
  })
  return (await out.commit()).digest
}

async function run(stage: Stage, store: Store, questions: readonly string[], hints: Json = {}) {
  const context: StageContext = {
    store,
    signal: new AbortController().signal,
    progress: noProgress,
    notice: () => {},
    encoderTables: () => Promise.resolve(tables),
  }
  const call: StageCall = {
    stage: stage.name,
    title: 'train a part 1/1',
    params: { template: { name: 'nanochat', version: 1 }, maxSeqLen: 64 },
    inputs: {
      vocabulary: (await store.putBlob(encodeVocabulary(vocabulary))).digest,
      conversations: await conversationsOf(stage, store, questions),
    },
    hints,
  }
  return stage.run(call, context)
}

test('a build tells the stage which file it is, and how its rows are counted', async () => {
  const lab = new Lab()
  lab.write('a.jsonl', goodLines)
  const hints: unknown[] = []
  await build({
    recipe: { text: JSON.stringify(recipeOf(customJson)), file: lab.path('recipe.yaml'), settings: [] },
    ...{ out: lab.out, store: lab.store, threads: 1, sharedThreads: threadsHere, env: {} },
    signal: new AbortController().signal,
    observer: {
      ...silentObserver,
      finished: (call) => void (call.stage === 'tokenize' && hints.push(call.hints)),
    },
  })
  expect(hints).toEqual([{ file: 'a.jsonl', numbering: 'line' }])
})

test('a text that is longer than a string can be has its place, too; other errors are what they were', () => {
  const call: StageCall = {
    stage: 'tokenize',
    title: 'train a part 1/1',
    params: {},
    inputs: {},
    hints: { file: 'a.parquet' },
  }
  expect(inRow(tooLongForAString(), call, 7)).toMatchObject({
    code: 'BAD_ROW',
    message: 'a.parquet, row 7: the text is longer than a string can be',
    hint: 'Split the text.',
  })
  const mistake = new TypeError('ours')
  expect(inRow(mistake, call, 7)).toBe(mistake)

  /** Of memory that is never touched. */
  function tooLongForAString(): unknown {
    try {
      Buffer.allocUnsafeSlow(constants.MAX_STRING_LENGTH + 1).toString('latin1')
    } catch (error) {
      return error
    }
    return undefined
  }
})

test.each([tokenize, problems])('$name names the row whose text is more than an encoder takes', (stage) =>
  withTempStore(async (store) => {
    expect((await run(stage, store, ['short', 'short'])).stats['rows']).toBe(2)
    // In place of a text of half a gigabyte: the encoder's memory is at its end now.
    vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
      throw new RangeError('WebAssembly.Memory.grow(): Maximum memory size exceeded')
    })
    const questions = ['short', 'x'.repeat(1 << 20)]
    await expect(run(stage, store, questions, { file: 'a.jsonl', numbering: 'line' })).rejects.toMatchObject({
      code: 'BAD_ROW',
      at: { file: 'a.jsonl', line: 11 },
      message: expect.stringMatching(/^a\.jsonl, line 11: no memory for a text/),
      hint: expect.stringContaining('split the text'),
    })
    await expect(run(stage, store, questions, { file: 'a.parquet', numbering: 'row' })).rejects.toMatchObject(
      {
        at: { file: 'a.parquet', row: 11 },
      },
    )
    expect((await run(stage, store, ['short'])).stats['rows']).toBe(1)
  }),
)
