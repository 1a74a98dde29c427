/** Recorded histories of every path (test/soak/record-histories.soak.ts) still replay on the present code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { temporal } from '@temporalio/proto'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { DeterminismViolationError } from '@temporalio/workflow'
import { beforeAll, expect, test } from 'vitest'
import { projectRoot } from '../e2e/cli.ts'

const folder = join(import.meta.dirname, 'histories')
const codePath = join(projectRoot, 'dist', 'workflows', 'bundle.js')

const { History } = temporal.api.history.v1

function recorded(name: string) {
  return History.decode(gunzipSync(readFileSync(join(folder, name))))
}

function replay(name: string, history = recorded(name)): Promise<void> {
  const workflowId = decodeURIComponent(/\.(.+)\.history$/.exec(name)?.[1] ?? '')
  return Worker.runReplayHistory({ workflowBundle: { codePath }, replayName: 'replay' }, history, workflowId)
}

beforeAll(() => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
})

const names = readdirSync(folder).sort()

test('every workflow, continue-as-new, cancellation and failure are among the recorded paths', () => {
  const types = new Set(names.flatMap((name) => /-(build[A-Za-z]+|evaluate)[-.]/.exec(name)?.[1] ?? []))
  expect([...types].sort()).toEqual([
    'buildDataset',
    'buildFiles',
    'buildPartitions',
    'buildShards',
    'buildSource',
    'buildSplit',
    'buildTask',
    'evaluate',
  ])
  const endings = new Set(names.map((name) => endOf(recorded(name).events.at(-1))))
  expect([...endings]).toEqual(expect.arrayContaining(['canceled', 'completed', 'continued', 'failed']))
})

function endOf(event: temporal.api.history.v1.IHistoryEvent | undefined): string {
  if (event?.workflowExecutionCompletedEventAttributes != null) return 'completed'
  if (event?.workflowExecutionCanceledEventAttributes != null) return 'canceled'
  if (event?.workflowExecutionFailedEventAttributes != null) return 'failed'
  return event?.workflowExecutionContinuedAsNewEventAttributes != null ? 'continued' : 'unfinished'
}

test.each(names)('%s', async (name) => {
  await replay(name)
})

test('a history of other decisions is refused', async () => {
  const name = names.find((candidate) => candidate.startsWith('finished-buildSplit'))!
  const history = recorded(name)
  // The same history with another stage where shuffle was scheduled.
  const shuffle = history.events.find(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'shuffle',
  )
  shuffle!.activityTaskScheduledEventAttributes!.activityType!.name = 'tokenize'
  await expect(replay(name, history)).rejects.toThrow(DeterminismViolationError)
})
