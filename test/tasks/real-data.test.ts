/** The real datasets, where ../shared/hub has them: their rows, and HumanEval's own solutions against its tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import {
  type Conversation,
  humanEvalProgram,
  openArc,
  openGsm8k,
  openHumanEval,
  openMmlu,
  type ProgramTask,
  runPython,
  type Task,
  type TaskContext,
} from '../../tasks/index.ts'
import { sharedHub, sharedSuite } from '../shared.ts'
import { hasPython } from './python.ts'

sharedSuite('tasks of real datasets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shardmill-real-'))
  let server: HubServer
  let context: TaskContext
  beforeAll(async () => {
    server = await startHubServer(sharedHub, {})
    context = {
      store: join(folder, 'store'),
      env: { HF_ENDPOINT: server.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
    }
  })
  afterAll(async () => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function all(task: Task): Promise<Conversation[]> {
    const found: Conversation[] = []
    for await (const conversation of task) found.push(conversation)
    return found
  }
  const answerOf = ({ messages }: Conversation) => messages.at(-1)!.content as string

  test.each([
    ['ARC-Easy', 'train', 2251],
    ['ARC-Easy', 'validation', 570],
    ['ARC-Easy', 'test', 2376],
    ['ARC-Challenge', 'train', 1119],
    ['ARC-Challenge', 'validation', 299],
    ['ARC-Challenge', 'test', 1172],
  ] as const)('%s %s: every gold letter is right and no other is', async (subset, split, rows) => {
    const task = await openArc({ subset, split }, context)
    expect(task.length).toBe(rows)
    for (const problem of await all(task)) {
      const right = problem.letters!.filter((letter) => task.evaluate(problem, letter))
      expect(right).toEqual([answerOf(problem)])
    }
  })

  test('MMLU and GSM8K judge their own answers right', async () => {
    const mmlu = await openMmlu({ subset: 'all', split: 'validation' }, context)
    expect(mmlu.length).toBe(1531)
    for (const problem of await all(mmlu)) expect(mmlu.evaluate(problem, answerOf(problem))).toBe(true)
    const gsm8k = await openGsm8k({ split: 'test' }, context)
    expect(gsm8k.length).toBe(1319)
    for (const problem of await all(gsm8k)) {
      const parts = problem.messages[1]!.content as readonly { text: string }[]
      expect(gsm8k.reward(problem, parts.at(-1)!.text)).toBe(1)
      expect(gsm8k.reward(problem, '#### none')).toBe(0)
    }
  })

  describe.runIf(hasPython)('HumanEval', () => {
    let task: ProgramTask
    beforeAll(async () => {
      task = await openHumanEval({}, context)
    })

    /** Two at a time, as fits the smallest machine. */
    async function judged(problems: readonly Conversation[], completion: (problem: Conversation) => string) {
      const results: boolean[] = []
      let next = 0
      const work = async () => {
        for (let i = next++; i < problems.length; i = next++) {
          // A loaded machine is no reason to call a right solution wrong: the time is not what is tested here.
          const { success } = await runPython(humanEvalProgram(problems[i]!, completion(problems[i]!)), {
            seconds: 60,
          })
          results[i] = success
        }
      }
      await Promise.all([work(), work()])
      return results
    }

    test('all 164 solutions pass, plain and in a fence', async () => {
      const problems = await all(task)
      expect(problems).toHaveLength(164)
      const results = await judged(
        problems,
        (problem) => `Here:\n\`\`\`python\n${answerOf(problem)}\n\`\`\`\nDone.`,
      )
      const failed = results.flatMap((passed, i) => (passed ? [] : [problems[i]!.entry_point]))
      expect(failed).toEqual([])
    }, 600_000)

    test('a solution without its body fails, wherever the tests test anything', async () => {
      const problems = (await all(task)).slice(0, 24)
      const results = await judged(problems, ({ messages }) => `${messages[0]!.content as string}    pass\n`)
      expect(results).toEqual(problems.map(() => false))
    }, 300_000)
  })
})
