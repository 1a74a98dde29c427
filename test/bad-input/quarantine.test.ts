/** onBadRow: what is set aside is counted and listed, up to the limit; the policy changes no stage. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  conversation,
  customJson,
  expectClean,
  jsonLines,
  Lab,
  recipeOf,
  rejectedOf,
  shardmill,
} from './support.ts'

const bad = jsonLines([
  conversation('a', 'b'),
  ['\u001b[31m'],
  conversation('c', 'd'),
  'x'.repeat(100_000),
  [],
])

describe.concurrent('onBadRow', () => {
  test('fail, then quarantine, then fail again: no stage before the order runs twice', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', bad)
    const fail = {
      exit: 1,
      code: 'BAD_ROW',
      says: 'a.jsonl, line 2: expected at least 2 messages, found 1',
      hint: 'onBadRow: quarantine',
    }
    await lab.refuses(recipeOf(customJson), fail)
    const report = await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine' }))
    // What had been done before the refusal (tokenizer, scan, format) is not done again.
    expect(report.stages).toEqual({ run: 4, cached: 3 })
    expect(report.splits.train.sources[0]).toMatchObject({ rows: 2, rejected: 3, conversations: 2 })
    expect(
      (await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine', badRowLimit: 3 }))).stages.run,
    ).toBe(0)
    const published = rejectedOf(lab)
    await expect(lab.builds(recipeOf(customJson))).rejects.toMatchObject({ code: 'BAD_ROW' })
    // The output that was there before is still there, whole.
    expect(rejectedOf(lab)).toEqual(published)
    expect((await shardmill(['verify', lab.out])).code).toBe(0)
  })

  test('rejected.jsonl has the split, source, file, line, reason and the row, where it is not huge', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', bad)
    const ran = await lab.build(recipeOf(customJson, { onBadRow: 'quarantine' }))
    expect(ran.code, ran.stderr).toBe(0)
    const files = (JSON.parse(ran.stdout) as { files: { path: string }[] }).files
    expect(files.map(({ path }) => path)).toContain('rejected.jsonl')
    const at = { split: 'train', source: 'CustomJSON', file: 'a.jsonl' }
    expect(rejectedOf(lab)).toEqual([
      { ...at, line: 2, why: 'expected at least 2 messages, found 1', value: ['\u001b[31m'] },
      { ...at, line: 4, why: 'expected a list of messages, found a string' },
      { ...at, line: 5, why: 'expected at least 2 messages, found 0', value: [] },
    ])
    // For people, too.
    const told = await shardmill(
      ['build', 'recipe.yaml', '--out', 'out', '--store', 'store', '--threads', '1'],
      { cwd: lab.dir },
    )
    expect(told.stdout).toContain('3 bad rows were set aside: rejected.jsonl lists them.')
    expectClean(told.stdout + told.stderr)
  })

  test('past the limit', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', bad)
    const says = [/3 rows of CustomJSON are bad, more than badRowLimit \(2\)/, 'a.jsonl, line 2: ']
    await lab.refuses(recipeOf(customJson, { onBadRow: 'quarantine', badRowLimit: 2 }), {
      exit: 1,
      code: 'BAD_ROW',
      says,
      hint: 'raise badRowLimit',
    })
    await lab.refuses(recipeOf(customJson, { onBadRow: 'quarantine', badRowLimit: 0 }), {
      exit: 1,
      code: 'BAD_ROW',
      says: 'more than badRowLimit (0)',
    })
    await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine', badRowLimit: 3 }))
    expect(existsSync(join(lab.out, 'rejected.jsonl'))).toBe(true)
  })

  test('nothing bad: no rejected.jsonl; everything bad: no conversations', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', jsonLines([[], []]))
    await lab.refuses(recipeOf(customJson, { onBadRow: 'quarantine' }), {
      exit: 2,
      code: 'RECIPE',
      says: 'splits.train has no conversations',
      hint: true,
    })
    lab.write('a.jsonl', jsonLines([conversation('a', 'b')]))
    await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine' }))
    expect(existsSync(join(lab.out, 'rejected.jsonl'))).toBe(false)
  })

  test('the wrong kind of file altogether', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', '{"messages": []}\n'.repeat(20_000))
    await lab.refuses(recipeOf(customJson, { onBadRow: 'quarantine', badRowLimit: 1_000_000 }), {
      exit: 1,
      code: 'BAD_FILE',
      says: ['a.jsonl, line 1: ', 'more than 10000 bad rows'],
      hint: 'another kind of data',
    })
  })
})
