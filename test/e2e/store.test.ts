/** `plan` and the `store` commands, on stores that builds have made. */

import { chmodSync, cpSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import { nobody } from '../nobody.ts'
import {
  type Bench,
  bench,
  blobPath,
  buildOn,
  countByStage,
  digestsOf,
  expectClearError,
  goldenHub,
  json,
  ok,
  outputOf,
  recordsOf,
  run,
  runOn,
  serve,
  smallRecipe,
  start,
  temporaryFolder,
} from './cli.ts'

let hub: HubServer
let at: Bench
let good: Record<string, string>

beforeAll(async () => {
  hub = await serve(goldenHub)
  at = bench(smallRecipe(), hub)
  await buildOn(at)
  good = outputOf(at.out)
})

function copyOfBench(): Bench {
  const folder = join(temporaryFolder(), 'b')
  cpSync(at.folder, folder, { recursive: true })
  const moved = (path: string) => path.replace(at.folder, folder)
  return {
    ...at,
    folder,
    recipe: moved(at.recipe),
    store: moved(at.store),
    out: moved(at.out),
    args: at.args.map(moved),
  }
}

interface Listing {
  readonly builds: readonly { readonly id: string; readonly name: string; readonly records: number }[]
  readonly stages: readonly { readonly stage: string; readonly records: number }[]
  readonly blobs: { readonly count: number; readonly bytes: number }
}
interface Collected {
  readonly removed: {
    readonly blobs: number
    readonly records: number
    readonly builds: number
    readonly bytes: number
  }
  readonly kept: { readonly blobs: number; readonly records: number; readonly builds: number }
}
const list = (store: string) => json<Listing>(['store', 'ls', '--store', store])
const gc = (store: string, ...more: string[]) => json<Collected>(['store', 'gc', '--store', store, ...more])

describe('plan', () => {
  interface PlanReport {
    readonly calls: readonly { readonly stage: string; readonly state: string; readonly why?: string }[]
    readonly unknown: readonly { readonly stage: string }[]
  }

  test('before the first build: everything would run, and no store is made', async () => {
    const store = join(temporaryFolder(), 'none')
    const plan = await json<PlanReport>(['plan', at.recipe, '--store', store], { env: at.env })
    expect(plan.calls.filter(({ state }) => state !== 'run')).toEqual([])
    const named = new Set([...plan.calls, ...plan.unknown].map(({ stage }) => stage))
    expect([...named].sort()).toEqual(Object.keys(countByStage(recordsOf(at.store).values())).sort())
    expect(existsSync(store)).toBe(false)
  })

  test('after a killed build: what it finished is cached, the rest would run, and does', async () => {
    const on = bench(smallRecipe(), hub)
    const running = start(on.args, { env: on.env })
    await running.says('val finished')
    running.child.kill('SIGKILL')
    await running.done
    const before = recordsOf(on.store)
    const plan = await json<PlanReport>(['plan', on.recipe, '--store', on.store], { env: on.env })
    expect(plan.calls.filter(({ state }) => state === 'cached')).toHaveLength(before.size)
    expect(plan.calls.filter(({ state }) => state === 'run').length + plan.unknown.length).toBeGreaterThan(0)
    expect((await buildOn(on)).stages.cached).toBe(before.size)
  })

  test('for people: what would run and why; and that nothing would', async () => {
    const changed = await ok(['plan', at.recipe, '--store', at.store, '--set', 'shuffle.seed=1'], {
      env: at.env,
    })
    expect(changed.stdout).toMatch(/shuffle .*seed \(42 → 1\)/)
    const same = await ok(['plan', at.recipe, '--store', at.store], { env: at.env })
    expect(same.stdout).toContain('everything is cached')
  })

  test('without a hub: exit code 5; with a wrong recipe: 2', async () => {
    const noHub = { HF_ENDPOINT: 'http://127.0.0.1:1', HF_HUB_OFFLINE: '1' }
    expectClearError(await run(['plan', at.recipe, '--store', at.store], { env: noHub }), [5])
    expectClearError(
      await run(['plan', at.recipe, '--store', at.store, '--set', 'maxSeqLan=1'], { env: at.env }),
      [2],
    )
  })
})

describe('store', () => {
  test('ls: what the build left there', async () => {
    const listing = await list(at.store)
    expect(listing.builds).toMatchObject([{ name: 'small', records: recordsOf(at.store).size }])
    expect(Object.fromEntries(listing.stages.map(({ stage, records }) => [stage, records]))).toEqual(
      countByStage(recordsOf(at.store).values()),
    )
    expect((await ok(['store', 'ls', '--store', at.store])).stdout).toContain('small')
  })

  test('check of a whole store changes nothing', async () => {
    const before = digestsOf(join(at.store, 'v1', 'blobs'))
    expect((await ok(['store', 'check', '--store', at.store])).stdout).toContain('ok')
    expect(digestsOf(join(at.store, 'v1', 'blobs'))).toEqual(before)
  })

  test('gc of a store in which everything belongs to a build removes nothing', async () => {
    const on = copyOfBench()
    const before = digestsOf(join(on.store, 'v1', 'blobs'))
    expect((await gc(on.store, '--yes', '--older-than', '0')).removed).toMatchObject({
      blobs: 0,
      records: 0,
      builds: 0,
    })
    expect(digestsOf(join(on.store, 'v1', 'blobs'))).toEqual(before)
  })

  test('gc --forget: what only the forgotten build used goes, and the other one stays cached', async () => {
    const on = copyOfBench()
    await buildOn(on, ['--set', 'name=other', '--set', 'maxSeqLen=50'])
    const dry = await gc(on.store, '--forget', 'other', '--dry-run', '--older-than', '0')
    expect(dry.removed.blobs).toBeGreaterThan(0)
    expect((await list(on.store)).builds).toHaveLength(2)
    const asked = await run(['store', 'gc', '--store', on.store, '--forget', 'other', '--older-than', '0'])
    expectClearError(asked, [2])
    const real = await gc(on.store, '--forget', 'other', '--yes', '--older-than', '0')
    expect(real.removed).toEqual(dry.removed)
    expect((await list(on.store)).builds.map(({ name }) => name)).toEqual(['small'])
    expect([...recordsOf(on.store).keys()].sort()).toEqual([...recordsOf(at.store).keys()].sort())
    expect(await buildOn(on)).toMatchObject({ stages: { run: 0 } })
    expect(outputOf(on.out)).toEqual(good)
    await ok(['store', 'check', '--store', on.store])
  })

  test('gc --dry-run needs no right to write, and touches nothing', async () => {
    const on = copyOfBench()
    for (const folder of [dirname(on.folder), on.folder]) chmodSync(folder, 0o755)
    const paths = readdirSync(on.store, { recursive: true, encoding: 'utf8' }).map((name) =>
      join(on.store, name),
    )
    for (const path of [on.store, ...paths]) chmodSync(path, statSync(path).isDirectory() ? 0o555 : 0o444)
    const times = () => paths.map((path) => [path, statSync(path).mtimeMs, statSync(path).ctimeMs])
    const before = times()
    const args = ['store', 'gc', '--store', on.store, '--forget', 'small', '--older-than', '0', '--json']
    const dry = await run([...args, '--dry-run'], { uid: nobody, cwd: on.store })
    expect(dry, dry.stderr).toMatchObject({ code: 0 })
    expect(JSON.parse(dry.stdout)).toMatchObject({ dryRun: true, kept: { blobs: 0 }, inUse: [] })
    expect(times()).toEqual(before)
    expect(readdirSync(on.store, { recursive: true })).toHaveLength(paths.length)
    expectClearError(await run([...args, '--yes'], { uid: nobody, cwd: on.store }), [1])
  })

  test('gc while a build runs: it keeps away, and the build is right', async () => {
    const on = bench(smallRecipe(), hub)
    const running = start(on.args, { env: on.env })
    await running.says('val finished')
    const refused = await run(['store', 'gc', '--store', on.store, '--yes', '--older-than', '0'])
    // Only if the build was quicker may gc have had its turn.
    if (refused.code !== 0) {
      expectClearError(refused)
      expect(refused.stderr).toContain('a build is using')
    }
    expect(await running.done).toMatchObject({ code: 0 })
    expect(outputOf(on.out)).toEqual(good)
    expect(await buildOn(on)).toMatchObject({ stages: { run: 0 } })
  })

  test('ls, check and gc of a path that holds no store: one error, and nothing is made', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    for (const command of [
      ['ls'],
      ['check'],
      ['check', '--no-repair'],
      ['gc', '--yes'],
      ['gc', '--dry-run'],
    ]) {
      for (const store of [join(folder, 'nosuch'), folder]) {
        const named = await run(['store', ...command, '--store', store])
        expectClearError(named)
        expect(named.stderr).toContain(`error: there is no store in ${store}\n`)
        expect(named.stderr).toContain('--store')
      }
      const named = await run(['store', ...command, '--json'], {
        env: { SHARDMILL_STORE: 'nosuch' },
        cwd: folder,
      })
      expect(JSON.parse(named.stdout)).toMatchObject({ error: { code: 'STORE' } })
      expect(named.stderr).toContain('SHARDMILL_STORE')
      // The usual one that was never used is empty, which is no mistake.
      await ok(['store', ...command], { env: { XDG_CACHE_HOME: join(folder, 'cache') } })
    }
    expect(readdirSync(folder)).toEqual(['notes.txt'])
  })

  test('a store that is a file, or cannot be made: one clear error, before any work', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), 'x')
    for (const store of [join(folder, 'file'), join(folder, 'file', 'deeper')]) {
      const failed = await run(['build', at.recipe, '--out', join(folder, 'out'), '--store', store], {
        env: at.env,
      })
      expectClearError(failed)
      expect(failed.stderr).toContain(store)
    }
    expect(readdirSync(folder)).toEqual(['file'])
  })

  test('a store thrown away: everything is made again, to the same bytes', async () => {
    const on = copyOfBench()
    rmSync(on.store, { recursive: true })
    expect(await buildOn(on)).toMatchObject({ published: 'unchanged', stages: { cached: 0 } })
    expect(outputOf(on.out)).toEqual(good)
    expect(existsSync(blobPath(on.store, good['sft_val_000000.bin']!))).toBe(true)
    expect((await runOn(on)).code).toBe(0)
  })
})
