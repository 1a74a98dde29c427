/** Tasks over tiny tables, held against what the original classes gave for them. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { numpyPermutation } from '../../random/numpy-random.ts'
import {
  type Conversation,
  openArc,
  openCustomJson,
  openGsm8k,
  openHumanEval,
  openMmlu,
  openSimpleSpelling,
  openSmolTalk,
  openSpellingBee,
  openTask,
  Task,
  TaskMixture,
  TaskSequence,
} from '../../tasks/index.ts'
import { messageList, parquetOf } from '../bad-input/support.ts'
import { type TestHub, tinyHub } from './hub.ts'
import { vectors } from './vectors.ts'

let hub: TestHub
beforeAll(async () => {
  hub = await tinyHub()
})
afterAll(() => hub.close())

async function all(task: Task): Promise<Conversation[]> {
  const found: Conversation[] = []
  for await (const conversation of task) found.push(conversation)
  return found
}

const firstUser = ({ messages }: Conversation) => messages[0]!.content

describe('the conversations of', () => {
  test('ARC', async () => {
    const task = await openArc({ subset: 'ARC-Easy', split: 'test' }, hub.context)
    expect(await all(task)).toEqual(vectors.arc)
    expect([task.name, task.task, task.evalType, task.length]).toEqual(['ARC-Easy', 'arc', 'categorical', 5])
    const numbered = (await all(task)).find(({ letters }) => letters?.includes('2'))!
    expect([task.evaluate(numbered, '2'), task.evaluate(numbered, '1')]).toEqual([true, false])
  })

  test('MMLU, also where each row is wrapped', async () => {
    const task = await openMmlu({ split: 'test' }, hub.context)
    expect(await all(task)).toEqual(vectors.mmlu)
    expect(await all(await openMmlu({ subset: 'auxiliary_train', split: 'train' }, hub.context))).toEqual(
      vectors.mmlu,
    )
    expect(task.evalType).toBe('categorical')
    expect(task.evaluate(vectors.mmlu[0]!, 'D')).toBe(true)
  })

  test('GSM8K', async () => {
    const task = await openGsm8k({ split: 'train' }, hub.context)
    expect(await all(task)).toEqual(vectors.gsm8k)
    expect(task.evalType).toBe('generative')
    const problem = await task.conversation(0)
    expect([
      task.evaluate(problem, '#### 6'),
      task.reward(problem, '#### 6'),
      task.reward(problem, '#### 7'),
    ]).toEqual([1, 1, 0])
  })

  test('SmolTalk, which nothing judges', async () => {
    const task = await openSmolTalk({ split: 'train' }, hub.context)
    expect(await all(task)).toEqual(vectors.smoltalk)
    expect([task.evalType, 'evaluate' in task, 'reward' in task]).toEqual([undefined, false, false])
  })

  test('HumanEval', async () => {
    const task = await openHumanEval({}, hub.context)
    expect(await all(task)).toEqual(vectors.humaneval)
    expect(task.evalType).toBe('generative')
  })

  test('CustomJSON, in the order of the file', async () => {
    const path = join(hub.folder, 'own.jsonl')
    writeFileSync(path, vectors.customjson.map(({ messages }) => `${JSON.stringify(messages)}\n`).join('\n'))
    expect(await all(await openCustomJson({ path: 'own.jsonl' }, hub.context))).toEqual(vectors.customjson)
  })

  test('SimpleSpelling and SpellingBee', async () => {
    writeFileSync(join(hub.folder, 'words.txt'), 'pear\nplum\n')
    const options = { size: 3, words: 'words.txt' }
    const simple = await openSimpleSpelling(options, hub.context)
    expect([simple.length, simple.evalType, 'evaluate' in simple]).toEqual([3, 'generative', false])
    expect(await all(simple)).toContainEqual({
      messages: [
        { role: 'user', content: 'Spell the word: pear' },
        { role: 'assistant', content: 'pear:p,e,a,r' },
      ],
    })
    const bee = await openSpellingBee({ ...options, start: 1 }, hub.context)
    expect(bee.length).toBe(2)
    const item = await bee.conversation(0)
    const parts = item.messages[1]!.content as { type: string; text: string }[]
    expect(parts.map(({ type }) => type)).toEqual(['text', 'text', 'python', 'python_output', 'text'])
    expect([bee.evaluate(item, `#### ${parts[3]!.text}`), bee.reward(item, '#### 99')]).toEqual([1, 0])
  })

  test('any other source a recipe can name', async () => {
    const rows = [{ instruction: 'Add.', input: '', output: '2' }]
    writeFileSync(join(hub.folder, 'a.jsonl'), `${JSON.stringify(rows[0])}\n`)
    const task = await openTask({ task: 'messages', path: 'a.jsonl', shape: 'alpaca' }, hub.context)
    expect(await all(task)).toEqual([
      {
        messages: [
          { role: 'user', content: 'Add.' },
          { role: 'assistant', content: '2' },
        ],
      },
    ])
  })
})

describe('rows in any order', () => {
  const talk = (i: number) => [
    { role: 'user', content: `q${i}` },
    { role: 'assistant', content: `a${i} ${'ü'.repeat(i)}` },
  ]
  const forward = Array.from({ length: 23 }, (_, i) => i)

  test('of a parquet file with many row groups', async () => {
    const data = forward.map(talk)
    const bytes = parquetOf({ messages: { type: messageList, data } }, { rowGroupSize: 3 })
    writeFileSync(join(hub.folder, 'many.parquet'), bytes)
    const task = await openTask({ task: 'messages', path: 'many.parquet' }, hub.context)
    expect(task.length).toBe(23)
    for (const i of [...forward].reverse()) expect((await task.conversation(i)).messages).toEqual(data[i])
    const shuffled = await openTask({ task: 'messages', path: 'many.parquet', seed: 42 }, hub.context)
    const places = numpyPermutation(23, 42)
    expect((await all(shuffled)).map(({ messages }) => messages)).toEqual(
      forward.map((i) => data[places[i]!]),
    )
  })

  test('of generated items, alone and one after the other', async () => {
    writeFileSync(join(hub.folder, 'three.txt'), 'pear\nplum\nquince\n')
    const task = await openSpellingBee({ size: 600, words: 'three.txt' }, hub.context)
    const found = await all(task)
    expect(found).toHaveLength(600)
    for (const i of [599, 0, 256, 255, 511]) {
      const alone = await openSpellingBee({ size: 600, words: 'three.txt', start: i }, hub.context)
      expect(await alone.conversation(0)).toEqual(found[i])
    }
  })

  test('asked for at once, a run of rows is read once for all', async () => {
    const task = await openGsm8k({ split: 'train' }, hub.context)
    expect(await Promise.all([0, 1, 2, 3].map((i) => task.conversation(i)))).toEqual(vectors.gsm8k)
  })
})

describe('slices', () => {
  test.each(vectors.slices)('%j', async (slice, length, expected) => {
    const task = await openGsm8k({ split: 'train', ...slice }, hub.context)
    if (typeof length === 'string') {
      expect(() => task.length).toThrow('GSM8K: start 9 is past the end, there are 4 rows')
      return
    }
    expect(task.length).toBe(length)
    for (const [i, question] of (expected as string[]).entries()) {
      if (question.startsWith('ERR'))
        await expect(task.conversation(i)).rejects.toMatchObject({ code: 'USAGE' })
      else expect(firstUser(await task.conversation(i))).toBe(question)
    }
  })

  test.each([{ start: -1 }, { start: 3, stop: 2 }, { step: 0 }, { start: 0.5 }, { stop: Number.NaN }])(
    '%j cannot be',
    async (slice) => {
      await expect(openGsm8k({ split: 'train', ...slice }, hub.context)).rejects.toMatchObject({
        code: 'USAGE',
      })
    },
  )

  test('an index is a whole number; the last one of the table is reached past the slice, as in the reference', async () => {
    const task = await openGsm8k({ split: 'train', stop: 2 }, hub.context)
    await expect(task.conversation(-1)).rejects.toMatchObject({ code: 'USAGE' })
    await expect(task.conversation(0.5)).rejects.toMatchObject({ code: 'USAGE' })
    expect(firstUser(await task.conversation(3))).toBe('g0')
    await expect(task.conversation(4)).rejects.toThrow('GSM8K: index 4 leads to row 4, there are 4 rows')
  })
})

class Numbers extends Task {
  readonly name = 'numbers'
  readonly rows: number

  constructor(rows: number) {
    super()
    this.rows = rows
  }

  protected async example(row: number): Promise<Conversation> {
    return { messages: [{ role: 'user', content: String(row) }] }
  }
}

describe('several tasks as one', () => {
  const three = async () => {
    const gsm8k = await openGsm8k({ split: 'train' }, hub.context)
    return [
      gsm8k,
      await openSmolTalk({ split: 'train' }, hub.context),
      await openGsm8k({ split: 'train', stop: 2 }, hub.context),
    ]
  }

  test('a mixture is shuffled as the reference shuffles it', async () => {
    const mixture = new TaskMixture(await three())
    const places = Array.from({ length: mixture.length }, (_, i) => mixture.originOf(i))
    expect(places.map(({ task, index }) => [task, index])).toEqual(vectors.mixture_index_map_4_4_2)
    expect((await all(mixture)).map(firstUser)).toEqual(vectors.mixture_first_user)
    expect((await all(new TaskMixture(await three(), { start: 1, step: 3 }))).map(firstUser)).toEqual(
      [1, 4, 7].map((i) => vectors.mixture_first_user[i]),
    )
  })

  test('a sequence keeps the order', async () => {
    expect((await all(new TaskSequence(await three()))).map(firstUser)).toEqual(vectors.sequence_first_user)
    expect(new TaskSequence([]).length).toBe(0)
  })

  test.each(Object.entries(vectors.mixture_maps))(
    'the order of %s',
    (sizes, { n, first10, sha256_i64le_pairs: digest }) => {
      const mixture = new TaskMixture(sizes.split(',').map((size) => new Numbers(Number(size))))
      expect(mixture.length).toBe(n)
      const pairs = new BigInt64Array(2 * n)
      for (let i = 0; i < n; i++) {
        const { task, index } = mixture.originOf(i)
        pairs[2 * i] = BigInt(task)
        pairs[2 * i + 1] = BigInt(index)
      }
      expect(Array.from(pairs.subarray(0, 2 * first10.length), Number)).toEqual(first10.flat())
      expect(createHash('sha256').update(pairs).digest('hex')).toBe(digest)
    },
  )

  test('a task whose start is past its end cannot be mixed', async () => {
    const beyond = await openGsm8k({ split: 'train', start: 9 }, hub.context)
    expect(() => new TaskMixture([beyond])).toThrow('GSM8K: start 9 is past the end')
  })
})

describe('what is wrong is one clear error', () => {
  const cases: [string, () => Promise<unknown>, object][] = [
    [
      'a task that is not there',
      () => openTask({ task: 'gsm8' }, hub.context),
      { code: 'USAGE', message: 'there is no task "gsm8"; did you mean gsm8k?' },
    ],
    [
      'an option that is not there',
      () => openTask({ task: 'gsm8k', split: 'train', sise: 3 }, hub.context),
      { code: 'USAGE', message: 'gsm8k has no option sise' },
    ],
    [
      'an option too few',
      () => openTask({ task: 'gsm8k' }, hub.context),
      { code: 'USAGE', message: 'gsm8k needs split' },
    ],
    [
      'no subset',
      () => openTask({ task: 'arc', split: 'test' }, hub.context),
      { code: 'USAGE', message: 'arc needs subset, expected one of ARC-Easy, ARC-Challenge' },
    ],
    [
      'an unknown subset',
      () => openTask({ task: 'arc', subset: 'Hard', split: 'test' }, hub.context),
      { code: 'USAGE', message: 'arc: subset is "Hard", expected one of ARC-Easy, ARC-Challenge' },
    ],
    [
      'a split that is not there',
      () => openGsm8k({ split: 'validation' }, hub.context),
      { code: 'NOT_FOUND' },
    ],
    [
      'no store',
      () => openGsm8k({ split: 'train' }, { env: hub.context.env! }),
      { code: 'USAGE', message: 'files of the hub need a store to be kept in' },
    ],
    [
      'a missing file',
      () => openCustomJson({ path: 'none.jsonl' }, hub.context),
      { code: 'NOT_FOUND', message: 'none.jsonl: the file does not exist.' },
    ],
    [
      'a missing word list',
      () => openSpellingBee({ size: 1, words: 'none.txt' }, hub.context),
      { code: 'NOT_FOUND', message: 'words: there is no file none.txt' },
    ],
    [
      'fields that contradict each other',
      () => openTask({ task: 'messages', path: 'a.jsonl', repo: 'a/b' }, hub.context),
      { code: 'USAGE', message: 'messages: give repo or path, not both' },
    ],
  ]
  test.each(cases)('%s', async (_name, open, error) => {
    await expect(open()).rejects.toMatchObject(error)
  })

  test('a missing file that may be missing is an empty task', async () => {
    const task = await openCustomJson({ path: 'none.jsonl', optional: true }, hub.context)
    expect(task.length).toBe(0)
    await expect(task.conversation(0)).rejects.toMatchObject({ code: 'USAGE' })
  })

  test('a row that is wrong, with its place, whatever its neighbours are', async () => {
    const task = await openArc({ subset: 'ARC-Challenge', split: 'test', seed: null }, hub.context)
    await expect(task.conversation(0)).rejects.toMatchObject({
      code: 'BAD_ROW',
      message:
        'allenai/ai2_arc/ARC-Challenge/test.jsonl, line 1: answerKey is "C", which is none of the labels: "A", "B"',
    })
    await expect(task.conversation(1)).rejects.toThrow('none of the labels: there are none')
    writeFileSync(
      join(hub.folder, 'bad.jsonl'),
      '[]\n\nno\n[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]\n',
    )
    const own = await openCustomJson({ path: 'bad.jsonl' }, hub.context)
    await expect(own.conversation(0)).rejects.toThrow(
      'bad.jsonl, line 1: expected at least 2 messages, found 0',
    )
    await expect(own.conversation(1)).rejects.toThrow('bad.jsonl, line 3: not JSON')
    expect((await own.conversation(2)).messages).toHaveLength(2)
  })
})
