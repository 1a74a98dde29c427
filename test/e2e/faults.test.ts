/**
 * The n-th call to the file system fails, for n growing until a build passes untouched (as SQLite tests itself): the
 * build ends with the right bytes, or with one clear error and nothing published; and the next build goes on from
 * what it left, to the right bytes.
 */

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  bench,
  buildOn,
  expectClearError,
  goldenHub,
  leftoversBeside,
  outputOf,
  random,
  runOn,
  serve,
  smallRecipe,
  temporaryFolder,
  testSeed,
} from './cli.ts'
import { buildHere, expectWhole } from './in-process.ts'

const seed = testSeed()

let hub: HubServer
let good: Record<string, string>

beforeAll(async () => {
  hub = await serve(goldenHub)
  const at = bench(smallRecipe(), hub)
  await buildOn(at)
  good = outputOf(at.out)
})

/** What may be the matter with each kind of call. */
const inStore: Readonly<Record<string, readonly string[]>> = {
  open: ['EACCES', 'EMFILE', 'ENOSPC', 'EROFS', 'EIO'],
  read: ['EIO', 'short', 'EINTR'],
  write: ['ENOSPC', 'EIO', 'short', 'EINTR'],
  fsync: ['EIO', 'ENOSPC'],
  rename: ['ENOSPC', 'EACCES', 'EIO', 'EROFS'],
  mkdir: ['ENOSPC', 'EACCES', 'EROFS'],
  unlink: ['EIO', 'EACCES'],
  readdir: ['EIO', 'EMFILE'],
  stat: ['EIO', 'EACCES'],
  chmod: ['EIO', 'EROFS'],
  close: ['EIO'],
}
const inOutput: Readonly<Record<string, readonly string[]>> = {
  open: ['EACCES', 'EMFILE', 'ENOSPC', 'EROFS', 'EIO'],
  write: ['ENOSPC', 'EIO', 'short'],
  fsync: ['EIO', 'ENOSPC'],
  rename: ['ENOSPC', 'EACCES', 'EIO', 'EROFS'],
  mkdir: ['ENOSPC', 'EACCES', 'EROFS'],
}

/** One thread, so that the n-th call is the same one in every run. */
const fresh = () => bench(smallRecipe(), hub, temporaryFolder(), 1)

/** Nobody needs more steps than this to the end of a small build. */
const mostRounds = 40

describe(`one call fails (E2E_SEED=${seed})`, { timeout: 200_000 }, () => {
  for (const [kind, whats] of Object.entries(inStore)) {
    test(`${kind} in the store: ${whats.join(', ')}`, async () => {
      const next = random(seed + kind.length)
      let at = fresh()
      let failures = 0
      let n = 1
      for (let round = 0; ; round++) {
        const what = whats[round % whats.length]!
        const { code, stderr, struck, about } = await runWithFault(at, `${kind}:${n}:${what}`, at.store)
        if (code === 0) {
          expect(outputOf(at.out), about).toEqual(good)
          if (!struck) break
          at = fresh()
        } else {
          // The next round goes on from the store as this one leaves it.
          // A source file is read out of the store, but called by the name it has on the hub.
          expect(stderr.includes(at.store) || stderr.includes('the file cannot be read'), about).toBe(true)
          expect(existsSync(at.out), about).toBe(false)
          if (what === 'ENOSPC') expect(stderr, about).toContain('disk is full')
          failures++
        }
        n += Math.max(1, Math.floor(n * (0.5 + next())))
        expect(round, about).toBeLessThan(mostRounds)
      }
      expect(n).toBeGreaterThan(1)
      // Some kinds are only used where a failure does not matter; of the others, chance may have met only such calls.
      if (['unlink', 'close', 'readdir'].includes(kind) || failures > 0) return
      at = fresh()
      const { code, about } = await runWithFault(at, `${kind}:1+:${whats[0]}`, at.store)
      expect(code, about).not.toBe(0)
    })
  }

  for (const [kind, whats] of Object.entries(inOutput)) {
    test(`${kind} in the output folder: ${whats.join(', ')}`, async () => {
      const at = fresh()
      await buildHere(at)
      let failures = 0
      for (let n = 1; ; n++) {
        rmSync(at.out, { recursive: true, force: true })
        const what = whats[n % whats.length]!
        const { code, stderr, struck, about } = await runWithFault(
          at,
          `${kind}:${n}:${what}`,
          `${at.folder}/.out`,
        )
        expect(leftoversBeside(at.out), about).toEqual([])
        if (code === 0) {
          expect(outputOf(at.out), about).toEqual(good)
          if (!struck) break
        } else {
          expect(stderr, about).toContain(at.out)
          expect(existsSync(at.out), about).toBe(false)
          if (what === 'ENOSPC') expect(stderr, about).toContain('disk is full')
          failures++
        }
        expect(n, about).toBeLessThan(mostRounds)
      }
      expect(failures).toBeGreaterThan(0)
    })
  }
})

/** One build with a fault in it: it ends well, or with one clear error and a hint. */
async function runWithFault(
  at: Bench,
  spec: string,
  path: string,
): Promise<{ code: number; stderr: string; struck: boolean; about: string }> {
  const report = join(at.folder, 'struck')
  rmSync(report, { force: true })
  const finished = await runOn(at, [], { fault: { spec, path, report } })
  const struck = existsSync(report) ? readFileSync(report, 'utf8') : ''
  const about = `${spec}\n${struck}${finished.stderr}`
  if (finished.code !== 0) {
    expectClearError(finished)
    expect(finished.stderr, about).toMatch(/^hint: /m)
  }
  return { code: finished.code!, stderr: finished.stderr, struck: struck !== '', about }
}

describe('all calls fail', { timeout: 200_000 }, () => {
  for (const [what, spec] of [
    ['a full disk', 'write:1+:ENOSPC'],
    ['a read-only store', 'open:*:EROFS,mkdir:*:EROFS,rename:*:EROFS,write:*:EROFS'],
    ['a store that may not be written', 'mkdir:*:EACCES,rename:*:EACCES'],
  ] as const) {
    test(`${what}: one clear error, nothing published, and the next build is right`, async () => {
      const at = bench(smallRecipe(), hub)
      const finished = await runOn(at, [], { fault: { spec, path: at.store } })
      expectClearError(finished)
      expect(finished.stderr).toContain(at.store)
      expect(existsSync(at.out)).toBe(false)
      await buildHere(at)
      expect(outputOf(at.out)).toEqual(good)
      await expectWhole(at.store)
    })
  }

  test('the disk fills up at the output folder: the old output stays', async () => {
    const at = bench(smallRecipe(), hub)
    await buildOn(at)
    const finished = await runOn(at, ['--set', 'shardTokens=200'], {
      fault: { spec: 'write:2+:ENOSPC', path: `${at.folder}/.out` },
    })
    expectClearError(finished)
    expect(finished.stderr).toContain('disk is full')
    expect(outputOf(at.out)).toEqual(good)
    expect(leftoversBeside(at.out)).toEqual([])
  })
})
