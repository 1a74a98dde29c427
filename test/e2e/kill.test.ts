/** Killed at any moment, any number of times; interrupted; two at once: the bytes are the same, and nothing finished is done again. */

import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  bench,
  buildOn,
  type Finished,
  filesUnder,
  goldenHub,
  leftoversBeside,
  newRecords,
  outputOf,
  random,
  recordsOf,
  runOn,
  type StoredRecord,
  serve,
  smallRecipe,
  start,
  temporaryFolder,
  testSeed,
} from './cli.ts'
import { buildHere, expectWhole } from './in-process.ts'

const seed = testSeed()

let hub: HubServer
let good: Record<string, string>
let all: Map<string, StoredRecord>
/** How long an undisturbed build takes here and now; random kills are spread over it. */
let usualMs: number

beforeAll(async () => {
  hub = await serve(goldenHub)
  const at = bench(smallRecipe(), hub)
  const startedAt = performance.now()
  await buildOn(at)
  usualMs = performance.now() - startedAt
  good = outputOf(at.out)
  all = recordsOf(at.store)
})

const fresh = (threads = 2) => bench(smallRecipe(), hub, temporaryFolder(), threads)

/** A killed build: its records may only have been added to, and its output folder is not there or whole. */
function expectSoundAfterKill(
  at: Bench,
  before: ReadonlyMap<string, StoredRecord>,
): Map<string, StoredRecord> {
  const after = recordsOf(at.store)
  newRecords(before, after)
  if (existsSync(at.out)) expect(outputOf(at.out)).toEqual(good)
  return after
}

/** The last, undisturbed run: everything is right and whole, and nothing that was finished was done again. */
async function expectFinish(at: Bench, before: ReadonlyMap<string, StoredRecord>): Promise<void> {
  const { run } = await buildHere(at)
  const after = recordsOf(at.store)
  expect(newRecords(before, after)).toHaveLength(run)
  expect([...after.keys()].sort()).toEqual([...all.keys()].sort())
  expect(outputOf(at.out)).toEqual(good)
  expect(leftoversBeside(at.out)).toEqual([])
  expect(readdirSync(join(at.store, 'v1', 'tmp'))).toEqual([])
  await expectWhole(at.store)
}

describe(`SIGKILL at random moments (E2E_SEED=${seed})`, { timeout: 200_000 }, () => {
  test('again and again until it is done', async () => {
    const next = random(seed)
    const at = fresh()
    let before = recordsOf(at.store)
    let kills = 0
    let finished: Finished | undefined
    while (finished?.code !== 0) {
      const running = start(at.args, { env: at.env })
      // Later and later, so that it comes to an end also on a slow machine.
      const timer = setTimeout(
        () => running.child.kill('SIGKILL'),
        usualMs * (0.2 + next() * 0.3 + kills * 0.04),
      )
      finished = await running.done
      clearTimeout(timer)
      if (finished.code !== 0) expect(finished).toMatchObject({ signal: 'SIGKILL' })
      before = expectSoundAfterKill(at, before)
      kills++
    }
    expect(kills).toBeGreaterThan(2)
    await expectFinish(at, before)
  })
})

describe('SIGKILL around a call to the file system', { timeout: 200_000 }, () => {
  // The n-th call of a kind, before, after and in the middle of it; every death goes on from the one before.
  const points: readonly string[] = [
    'write:*:torn',
    'fsync:*:kill-before',
    'rename:*:kill-before',
    'rename:*:kill-after',
    'mkdir:*:kill-after',
    'unlink:*:kill-after',
  ]
  for (const point of points) {
    test(`${point.replace('*', 'n')}, n = 1, 2, 3, 5, 8, …`, async () => {
      // One thread, so that the n-th call is the same one in every run.
      const at = fresh(1)
      let before = recordsOf(at.store)
      let deaths = 0
      for (let [n, more] = [1, 1]; ; [n, more] = [n + more, n]) {
        const report = join(at.folder, 'struck')
        rmSync(report, { force: true })
        const finished = await runOn(at, [], {
          fault: { spec: point.replace('*', String(n)), path: at.folder, report },
        })
        before = expectSoundAfterKill(at, before)
        if (finished.code === 0) break
        expect(finished, JSON.stringify(finished)).toMatchObject({ signal: 'SIGKILL' })
        expect(existsSync(report)).toBe(true)
        deaths++
      }
      expect(deaths).toBeGreaterThan(point.startsWith('unlink') ? 0 : 2)
      await expectFinish(at, before)
    })
  }
})

describe('SIGKILL while the output is published', { timeout: 200_000 }, () => {
  test('over nothing: the folder is absent or whole, and the next run clears up', async () => {
    const at = fresh()
    await buildHere(at)
    const before = recordsOf(at.store)
    for (const spec of [
      'write:2:torn',
      'fsync:1:kill-before',
      'fsync:4:kill-after',
      'rename:1:kill-before',
      'rename:1:kill-after',
    ]) {
      rmSync(at.out, { recursive: true, force: true })
      const beside = `${dirname(at.out)}/.out.shardmill-`
      expect(await runOn(at, [], { fault: { spec, path: beside } }), spec).toMatchObject({
        signal: 'SIGKILL',
      })
      expectSoundAfterKill(at, before)
      if (spec !== 'rename:1:kill-after') expect(leftoversBeside(at.out)).toHaveLength(1)
    }
    await expectFinish(at, before)
  })

  test('over an older output: the folder holds the old, nothing, or the new', async () => {
    const at = fresh()
    await buildHere(at)
    const before = recordsOf(at.store)
    const other = ['--set', 'shardTokens=250']
    await buildOn(at, other)
    const old = outputOf(at.out)
    const paths = (out: string) => `${dirname(out)}/.out.shardmill-`
    for (const spec of [
      'write:1:torn',
      'rename:1:kill-before',
      'rename:1:kill-after',
      'unlink:*:kill-before',
    ]) {
      await buildOn(at, other)
      expect(outputOf(at.out)).toEqual(old)
      // The old folder steps aside with the first rename (from `out`, so not counted), the new one comes with the second.
      const { signal, code } = await runOn(at, [], { fault: { spec, path: paths(at.out) } })
      if (code !== 0) expect(signal).toBe('SIGKILL')
      if (existsSync(at.out)) expect([old, good]).toContainEqual(outputOf(at.out))
    }
    expect(newRecords(before, recordsOf(at.store)).length).toBeGreaterThan(0)
    await buildOn(at)
    expect(outputOf(at.out)).toEqual(good)
    expect(leftoversBeside(at.out)).toEqual([])
  })
})

/** Two seconds, and as much again for a machine that does other things besides. */
const atOnceMs = 4000

describe('interrupted', { timeout: 200_000 }, () => {
  // The signal comes when the build says what it has just done.
  for (const [signal, moment] of [
    ['SIGINT', 'tokenizer'],
    ['SIGINT', 'val finished'],
    ['SIGTERM', 'val finished'],
  ] as const) {
    test(`${signal} after "${moment}": it leaves at once with code 130, says how to go on, and goes on`, async () => {
      const at = fresh()
      const running = start(at.args, { env: at.env })
      await running.says(moment)
      const sentAt = performance.now()
      running.child.kill(signal)
      const { code, stderr } = await running.done
      const took = performance.now() - sentAt
      expect(code, stderr).toBe(130)
      expect(stderr).toContain('run the same command again')
      expect(stderr).not.toMatch(/mistake in shardmill|Error:/)
      expect(took).toBeLessThan(atOnceMs)
      expect(existsSync(at.out)).toBe(false)
      expect(leftoversBeside(at.out)).toEqual([])
      await expectFinish(at, recordsOf(at.store))
    })
  }

  test('while the hub keeps it waiting', async () => {
    const { createServer } = await import('node:http')
    const silent = createServer(() => {}).listen(0)
    const { port } = silent.address() as { port: number }
    const at = { ...fresh(), env: { HF_ENDPOINT: `http://127.0.0.1:${port}` } }
    const running = start(at.args, { env: at.env })
    await new Promise<void>((resolve) => silent.once('request', () => resolve()))
    const sentAt = performance.now()
    running.child.kill('SIGINT')
    expect(await running.done).toMatchObject({ code: 130 })
    expect(performance.now() - sentAt).toBeLessThan(atOnceMs)
    silent.closeAllConnections()
    silent.close()
  })
})

describe('two builds at once on one store', { timeout: 200_000 }, () => {
  test('the same recipe to two folders', async () => {
    const at = fresh()
    const second = join(at.folder, 'second')
    const args = at.args.map((arg) => (arg === at.out ? second : arg))
    const [one, two] = await Promise.all([runOn(at), runOn({ ...at, args })])
    expect([one.code, two.code], `${one.stderr}\n${two.stderr}`).toEqual([0, 0])
    expect(outputOf(at.out)).toEqual(good)
    expect(outputOf(second)).toEqual(good)
    await expectFinish(at, recordsOf(at.store))
  })

  test('two recipes', async () => {
    const at = fresh()
    const other = ['--set', 'maxSeqLen=40', '--set', 'shuffle.seed=9']
    const second = join(at.folder, 'second')
    const args = [...at.args.map((arg) => (arg === at.out ? second : arg)), ...other]
    const [one, two] = await Promise.all([runOn(at), runOn({ ...at, args })])
    expect([one.code, two.code], `${one.stderr}\n${two.stderr}`).toEqual([0, 0])
    expect(outputOf(at.out)).toEqual(good)
    const alone = bench(smallRecipe(), hub, temporaryFolder())
    await buildOn(alone, other)
    expect(outputOf(second)).toEqual(outputOf(alone.out))
  })

  test('the same recipe to the same folder', async () => {
    const at = fresh()
    const [one, two] = await Promise.all([runOn(at), runOn(at)])
    // Both may win; one may find the other's folder in its place. Neither leaves anything half done.
    expect([one.code, two.code], `${one.stderr}\n${two.stderr}`).toContain(0)
    expect(outputOf(at.out)).toEqual(good)
    expect(filesUnder(at.out).length).toBe(Object.keys(good).length + 1)
    await expectFinish(at, recordsOf(at.store))
  })

  test('one is killed while the other goes on', async () => {
    const at = fresh()
    const second = join(at.folder, 'second')
    const doomed = start(at.args, { env: at.env })
    const other = runOn({ ...at, args: at.args.map((arg) => (arg === at.out ? second : arg)) })
    await pause(usualMs * 0.6)
    doomed.child.kill('SIGKILL')
    await doomed.done
    expect(await other).toMatchObject({ code: 0 })
    expect(outputOf(second)).toEqual(good)
    await expectFinish(at, recordsOf(at.store))
  })
})
