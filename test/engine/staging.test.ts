import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { siblingName } from '../../output/siblings.ts'
import { Staging } from '../../output/staging.ts'
import type { Digest } from '../../store/types.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardmill-staging-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const blob = (name: string) => name as Digest
const write = (digest: Digest, path: string) => writeFile(path, `content of ${digest}`, { flag: 'wx' })

test('a staged file takes its place once; what nobody takes is removed', async () => {
  const staging = new Staging(join(folder, 'out'), write)
  for (const name of ['a', 'b', 'a', 'c']) staging.add(blob(name))
  expect(await staging.take(blob('a'), join(folder, 'first'))).toBe(true)
  expect(await staging.take(blob('a'), join(folder, 'second'))).toBe(false)
  expect(await staging.take(blob('never added'), join(folder, 'third'))).toBe(false)
  await staging.close()
  expect(readdirSync(folder)).toEqual(['first'])
  expect(readFileSync(join(folder, 'first'), 'utf8')).toBe('content of a')
})

test('what a killed build left beside the output goes before anything is written, so that it takes no room twice', async () => {
  const out = join(folder, 'out')
  const { pid } = spawnSync(process.execPath, ['--version'])
  const left = siblingName(out, 'new').replace(`-${process.pid}-`, `-${pid}-`)
  // The last output, put aside by a publish that was killed: until a new one is whole it is the only one.
  const last = siblingName(out, 'old').replace(`-${process.pid}-`, `-${pid}-`)
  const others = siblingName(join(folder, 'other'), 'new').replace(`-${process.pid}-`, `-${pid}-`)
  const alive = siblingName(out, 'new')
  for (const name of [left, last, others, alive]) mkdirSync(name)
  const present: boolean[] = []
  const staging = new Staging(out, async (digest, path) => {
    present.push(...[left, last, others, alive].map((name) => existsSync(name)))
    await write(digest, path)
    // What it holds may be for the owner only.
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
  })
  staging.add(blob('a'))
  expect(await staging.take(blob('a'), join(folder, 'a'))).toBe(true)
  await staging.close()
  expect(present).toEqual([false, true, true, true])
})

test('a file that cannot be written is left to publishing, and the next ones are written', async () => {
  const staging = new Staging(join(folder, 'out'), async (digest, path) => {
    await write(digest, path)
    if (digest === 'bad') throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
  })
  for (const name of ['bad', 'good']) staging.add(blob(name))
  expect(await staging.take(blob('bad'), join(folder, 'bad'))).toBe(false)
  const [beside] = readdirSync(folder)
  expect(readdirSync(join(folder, beside!))).not.toContain('bad')
  expect(await staging.take(blob('good'), join(folder, 'good'))).toBe(true)
  await staging.close()
  expect(readdirSync(folder)).toEqual(['good'])
})

test('once closed it writes nothing more, and it makes no folder above the output', async () => {
  const begun: Digest[] = []
  const staging = new Staging(join(folder, 'out'), async (digest, path) => {
    begun.push(digest)
    await write(digest, path)
  })
  for (const name of ['a', 'b', 'c']) staging.add(blob(name))
  await staging.close()
  expect(begun.length).toBeLessThan(3)
  expect(readdirSync(folder)).toEqual([])

  const below = new Staging(join(folder, 'not', 'there', 'out'), write)
  below.add(blob('a'))
  expect(await below.take(blob('a'), join(folder, 'a'))).toBe(false)
  await below.close()
  expect(existsSync(join(folder, 'not'))).toBe(false)
})
