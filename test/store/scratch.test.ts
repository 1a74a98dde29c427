import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sha256 } from '../../store/digest.ts'
import { namesIn, openStore, startProgram, temporaryFolder } from './helpers.ts'

const QUICK = { leaseTimes: { heartbeatMs: 50, staleMs: 400 } }

test('what a process left that ended well is found by the next one', async () => {
  const folder = temporaryFolder()
  const { store: first } = await openStore(folder)
  await writeFile(join(await first.scratch('big.parquet'), 'part'), 'half of it')
  await first.scratch('never used')
  await first.close()
  expect(await namesIn(first.layout.scratch)).toHaveLength(1)
  const { store: second } = await openStore(folder)
  expect(await readFile(join(await second.scratch('big.parquet'), 'part'), 'utf8')).toBe('half of it')
})

test('what a killed process left is taken over at once, by one only', async () => {
  const folder = temporaryFolder()
  const dead = await startProgram('hold.mjs', [folder, 'part:big.parquet:half of it'])
  await dead.printed('ready')
  const { store: early } = await openStore(folder)
  expect(await namesIn(await early.scratch('big.parquet')), 'a living one is left alone').toEqual([])
  await early.close()
  dead.kill('SIGKILL')
  await dead.ended

  const stores = await Promise.all(Array.from({ length: 5 }, () => openStore(folder)))
  const folders = await Promise.all(stores.map(({ store }) => store.scratch('big.parquet')))
  expect(new Set(folders).size).toBe(5)
  const found = await Promise.all(folders.map(namesIn))
  expect(found.flat()).toEqual(['part'])
})

test('of several left-overs the largest is gone on with', async () => {
  const folder = temporaryFolder()
  for (const text of ['x', 'the longest part of all', 'short']) {
    // Alive at the same time, so that none takes over from the other.
    const { store } = await openStore(folder)
    const { store: blocker } = await openStore(folder)
    await blocker.scratch('big.parquet')
    await writeFile(join(await store.scratch('big.parquet'), `part-${text.length}`), text)
    if (text === 'short') for (const one of [store, blocker]) await one.close()
  }
  const { store } = await openStore(folder)
  expect(await namesIn(await store.scratch('big.parquet'))).toEqual(['part-5'])
})

test('a frozen process that wakes does not write into what another one took over', async () => {
  const folder = temporaryFolder()
  const frozen = await startProgram('hold.mjs', [folder, 'part:big.parquet:half'])
  try {
    await frozen.printed('ready')
    frozen.kill('SIGSTOP')
    const { store } = await openStore(folder, QUICK)
    let part = ''
    while (!existsSync(part)) {
      // Stale only after some heartbeats were missed: until then each try gives a fresh folder.
      const { store: taker } = await openStore(folder, QUICK)
      part = join(await taker.scratch('big.parquet'), 'part')
    }
    frozen.kill('SIGCONT')
    frozen.kill('SIGUSR2')
    await frozen.printed('wrote on')
    await writeFile(part, ' and half', { flag: 'a' })
    const ref = await store.importFile(part, { digest: sha256('half and half') })
    expect(ref.bytes).toBe(13)
  } finally {
    frozen.kill('SIGKILL')
    await frozen.ended
  }
})
