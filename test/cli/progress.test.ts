/** What a build shows of its stages as it goes on. */
import { afterEach, expect, test, vi } from 'vitest'
import { ProgressView } from '../../cli/progress.ts'
import type { StageCall } from '../../pipeline/stage.ts'

afterEach(() => vi.restoreAllMocks())

/** Where the number of stages begins in each line, by the line's name. */
function columnsOf(splits: readonly string[]): Record<string, number> {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const view = new ProgressView({ quiet: false, verbose: false })
  for (const split of splits) {
    view.splitStarted(split)
    for (const stage of ['scan', 'tokenize', 'verify'] as const)
      view.cached({ stage, title: 'x', params: {}, inputs: {} } satisfies StageCall)
    view.splitVerified(split)
  }
  view.close()
  const lines = write.mock.calls.flatMap(([text]) => String(text).split('\n'))
  const found = lines.flatMap((line) => {
    const [, name, gap] = /^ {2}(\S+ \S+)( +)1 /.exec(line) ?? []
    return name === undefined ? [] : [[name, 2 + name.length + gap!.length] as const]
  })
  expect(found).toHaveLength(3 * splits.length)
  return Object.fromEntries(found)
}

test('the usual splits stand in the usual columns', () => {
  expect(new Set(Object.values(columnsOf(['val', 'train'])))).toEqual(new Set([20]))
})

test('a long name moves all lines of its split and of those that follow', () => {
  const columns = columnsOf(['val', 'validation-of-questions', 'train'])
  const { 'val scan': val, 'val tokenize': _, 'val verify': __, ...others } = columns
  expect(val).toBe(20)
  expect(new Set(Object.values(others))).toEqual(new Set([38]))
})
