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
  bench,
  buildOn,
  expectClearError,
  goldenHub,
  leftoversBeside,
  ok,
  outputOf,
  random,
  runOn,
  serve,
  smallRecipe,
  testSeed,
} from './cli.ts'

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
const faults: Readonly<Record<string, readonly string[]>> = {
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

describe(`one call fails (E2E_SEED=${seed})`, () => {
  for (const [place, part] of [
    ['the store', 'store'],
    ['the output folder', 'out'],
  ] as const) {
    for (const [kind, whats] of Object.entries(faults)) {
      test(`${kind} in ${place}: ${whats.join(', ')}`, async () => {
        const next = random(seed + kind.length * 1000 + part.length)
        let at = bench(smallRecipe(), hub)
        const clear = async () => {
          // Only what the build makes: the store stays where the question is the output folder.
          rmSync(at.out, { recursive: true, force: true })
          if (part === 'store') at = bench(smallRecipe(), hub)
        }
        if (part === 'out') await buildOn(at)
        await clear()
        const said: string[] = []
        // The step between two n is 1 for the output folder, whose calls are few, and doubles for the store's hundreds.
        for (let [n, round] = [1, 0]; ; round++) {
          const what = whats[round % whats.length]!
          const report = join(at.folder, 'struck')
          rmSync(report, { force: true })
          // `.out.shardmill-…` and `out` itself, or everything of the store.
          const path =
            part === 'store'
              ? at.store
              : `${at.folder}/${kind === 'rename' || kind === 'mkdir' || kind === 'readdir' ? '' : '.out'}`
          const finished = await runOn(at, [], { fault: { spec: `${kind}:${n}:${what}`, path, report } })
          const struck = existsSync(report) ? readFileSync(report, 'utf8') : ''
          const about = `${struck}${finished.stderr}`
          if (finished.code === 0) {
            expect(outputOf(at.out), about).toEqual(good)
            if (struck === '') break
            await clear()
          } else {
            expectClearError(finished, [1, 2, 5])
            said.push(finished.stderr)
            expect(existsSync(at.out), about).toBe(false)
            expect(finished.stderr, about).toMatch(/hint: /)
          }
          n += part === 'store' ? Math.max(1, Math.floor(n * (0.5 + next()))) : 1
          if (round > 40) throw new Error(`no end: ${about}`)
        }
        await buildOn(at)
        expect(outputOf(at.out)).toEqual(good)
        expect(leftoversBeside(at.out)).toEqual([])
        if (said.some((text) => text.includes('ENOSPC'))) expect(said.join('')).toContain('disk is full')
      })
    }
  }
})

describe('all calls fail', () => {
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
      await buildOn(at)
      expect(outputOf(at.out)).toEqual(good)
      await ok(['store', 'check', '--store', at.store])
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
