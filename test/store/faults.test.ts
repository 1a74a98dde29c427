/** The store under a failing file system: the n-th call of every kind fails, or the process dies around it. */

import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { checkStore } from '../../store/check.ts'
import { sha256 } from '../../store/digest.ts'
import { openFileStore } from '../../store/file-store.ts'
import { collectGarbage } from '../../store/gc.ts'
import { listStore } from '../../store/list.ts'
import {
  compileStore,
  namesIn,
  noise,
  openStore,
  PRELOAD,
  quickFolder,
  startProgram,
  temporaryFolder,
} from './helpers.ts'
// @ts-expect-error plain JavaScript, so that a process without a compiler can run it too
import { scenario } from './programs/scenario.mjs'

const API = { sha256, openFileStore, collectGarbage, checkStore, listStore }
const base = quickFolder()
const outside = join(base, 'outside.bin')
const UNDER_FAULTS = ['--import', PRELOAD]

// Each test is dozens of runs, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 })

beforeAll(async () => {
  writeFileSync(outside, noise(400_000))
  await compileStore()
})

describe('the n-th call fails, for n = 1, 2, 3 … until a run passes untouched', () => {
  const failing: Record<string, string[]> = {
    open: ['ENOSPC', 'EIO', 'EACCES', 'EROFS'],
    write: ['ENOSPC', 'EIO', 'EDQUOT'],
    fsync: ['EIO', 'ENOSPC'],
    rename: ['EIO', 'ENOSPC', 'EACCES'],
    mkdir: ['ENOSPC', 'EACCES', 'EROFS'],
    read: ['EIO'],
    readdir: ['EIO', 'EACCES'],
    stat: ['EIO'],
    unlink: ['EIO', 'EROFS', 'ENOSPC'],
    utimes: ['EIO', 'EPERM'],
    chmod: ['EIO', 'EPERM'],
    close: ['EIO', 'ENOSPC'],
    rmdir: ['EIO'],
  }
  const passing: Record<string, string[]> = {
    open: ['EMFILE', 'EINTR', 'ENFILE'],
    write: ['short', 'EINTR', 'EAGAIN'],
    read: ['short', 'EINTR', 'EMFILE'],
    fsync: ['EINTR'],
    rename: ['EINTR'],
    mkdir: ['EINTR', 'EAGAIN'],
    readdir: ['EMFILE'],
    unlink: ['EINTR'],
  }
  const cases = [
    ...Object.entries(failing).map(([kind, faults]) => ({ kind, faults, mode: 'once' })),
    ...Object.entries(failing).map(([kind, faults]) => ({ kind, faults, mode: 'from-then-on' })),
    ...Object.entries(passing).map(([kind, faults]) => ({ kind, faults, mode: 'once' })),
  ]
  const sweep = async (program: string, args: string[]) => {
    const { code, stdout, stderr } = await (await startProgram(program, args, {}, UNDER_FAULTS)).ended
    const lines = stdout.trim().split('\n')
    const { struck } = JSON.parse(lines.pop() ?? '{}')
    expect({ broken: lines, code, stderr }).toEqual({ broken: [], code: 0, stderr: '' })
    expect(struck).toBeGreaterThan(0)
  }
  test.each(cases)('$kind: $faults, $mode', async ({ kind, faults, mode }) => {
    const folder = join(base, `${kind}-${faults[0]}-${mode}`)
    await sweep('sweep.mjs', [folder, outside, kind, faults.join('+'), mode])
  })

  const inThreads = cases.filter(
    ({ kind, mode }) => mode === 'once' && ['write', 'read', 'rename', 'stat', 'chmod'].includes(kind),
  )
  test.each(inThreads)('$kind: $faults, in a worker thread', async ({ kind, faults, mode }) => {
    const folder = join(base, `${kind}-${faults[0]}-thread`)
    await sweep('in-thread.mjs', ['sweep.mjs', folder, outside, kind, faults.join('+'), mode])
  })
})

test('a worker thread that writes or reads much lets others have their turn, and makes the same blob', async () => {
  const args = [temporaryFolder(), '16', '1000000']
  const [onMain, inThread] = await Promise.all(
    [startProgram('turns.mjs', args), startProgram('in-thread.mjs', ['turns.mjs', ...args])].map(
      async (program) => {
        const { stdout, stderr } = await (await program).ended
        expect(stderr).toBe('')
        return JSON.parse(stdout) as { digest: string; written: number; read: number }
      },
    ),
  )
  expect(inThread!.digest).toBe(onMain!.digest)
  expect(inThread!.written).toBeGreaterThanOrEqual(16)
  expect(inThread!.read).toBeGreaterThanOrEqual(15)
})

test('a worker thread that met a slow disk reads the rest of the file ahead', async () => {
  const program = await startProgram('in-thread.mjs', ['slow-reads.mjs', temporaryFolder()])
  const { stdout, stderr } = await program.ended
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ reads: 1, same: true })
})

describe('SIGKILL around the n-th call, for n = 1, 2, 3 … until a run passes untouched', () => {
  const cases = [
    { kind: 'write', what: 'kill-before' },
    { kind: 'write', what: 'torn' },
    { kind: 'fsync', what: 'kill-before' },
    { kind: 'rename', what: 'kill-before' },
    { kind: 'rename', what: 'kill-after' },
    { kind: 'unlink', what: 'kill-before' },
    { kind: 'mkdir', what: 'kill-after' },
  ]
  test.each(cases)('$kind: $what', async ({ kind, what }) => {
    const undisturbed = await scenario(API, join(base, `${kind}-${what}-undisturbed`), outside)
    let killed = 0
    for (let n = 1; ; n++) {
      const folder = join(base, `${kind}-${what}-${n}`)
      const report = `${folder}.report`
      const env = {
        SHARDMILL_TEST_FAULT: `${kind}:${n}:${what}`,
        SHARDMILL_TEST_FAULT_PATH: folder,
        SHARDMILL_TEST_FAULT_REPORT: report,
      }
      const ended = await (await startProgram('run-scenario.mjs', [folder, outside], env, UNDER_FAULTS)).ended
      if (!existsSync(report)) {
        expect(JSON.parse(ended.stdout)).toEqual(undisturbed)
        break
      }
      expect(ended.signal, ended.stderr).toBe('SIGKILL')
      killed += 1
      if (existsSync(join(folder, 'v1'))) {
        const looking = await openFileStore(folder, { readOnly: true })
        expect((await checkStore(looking)).findings, `left damaged at ${n}`).toEqual([])
      }
      expect(await scenario(API, folder, outside), `repeated after ${n}`).toEqual(undisturbed)
      expect(await namesIn(join(folder, 'v1', 'tmp'))).toEqual([])
      const leases = await namesIn(join(folder, 'v1', 'leases'))
      expect(leases.filter((name) => !name.startsWith('member-'))).toEqual([])
      rmSync(folder, { recursive: true })
    }
    expect(killed).toBeGreaterThan(0)
  })
})

describe('many processes', () => {
  test('eight writing one blob at once leave one whole blob', async () => {
    const folder = temporaryFolder()
    const args = [folder, '1234567', '4']
    const writers = await Promise.all(Array.from({ length: 8 }, () => startProgram('write-blob.mjs', args)))
    const ended = await Promise.all(writers.map((writer) => writer.ended))
    const digests = new Set(ended.map(({ stdout }) => stdout.trim()))
    expect(digests.size).toBe(1)
    const { store } = await openStore(folder)
    const { blobs, findings } = await checkStore(store)
    expect({ blobs, findings }).toEqual({ blobs: 1, findings: [] })
    expect(await namesIn(store.layout.tmp)).toEqual([])
  })

  test('eight living the same life at once all come to the same end', async () => {
    const folder = join(temporaryFolder(), 'store')
    const args = [folder, outside]
    const lives = await Promise.all(Array.from({ length: 8 }, () => startProgram('run-scenario.mjs', args)))
    const ended = await Promise.all(lives.map((life) => life.ended))
    for (const { code, stderr } of ended) {
      // Their collections get into each other's way; all else must succeed.
      if (code !== 0) expect(stderr).toMatch(/a build is using the store|another gc is cleaning the store/)
    }
    expect((await scenario(API, folder, outside)).findings).toEqual([])
  })
})

describe('the fault preload', () => {
  test('counts calls over worker threads too', async () => {
    const program = join(base, 'threads.mjs')
    const file = join(base, 'threads.txt')
    writeFileSync(
      program,
      `import { writeFile } from 'node:fs/promises'
       import { isMainThread, Worker } from 'node:worker_threads'
       import { fileURLToPath } from 'node:url'
       const name = isMainThread ? 'main' : 'worker'
       for (let i = 1; i <= 2; i++) await writeFile(${JSON.stringify(file)}, 'x').then(() => console.log(name, i, 'ok'), (e) => console.log(name, i, e.code))
       if (isMainThread) await new Promise((resolve) => new Worker(fileURLToPath(import.meta.url)).on('exit', resolve))`,
    )
    const { runNode } = await import('./helpers.ts')
    const env = { SHARDMILL_TEST_FAULT: 'write:3:ENOSPC', SHARDMILL_TEST_FAULT_PATH: file }
    const { stdout, stderr } = await runNode([...UNDER_FAULTS, program], env)
    expect(stderr).toBe('')
    expect(stdout.trim().split('\n')).toEqual(['main 1 ok', 'main 2 ok', 'worker 1 ENOSPC', 'worker 2 ok'])
  })

  test('refuses a specification it does not understand', async () => {
    const { runNode } = await import('./helpers.ts')
    for (const spec of ['wirte:1:EIO', 'write:x:EIO', 'write:1:ENOTHING']) {
      const { code, stderr } = await runNode([...UNDER_FAULTS, '-e', ''], { SHARDMILL_TEST_FAULT: spec })
      expect(code).not.toBe(0)
      expect(stderr).toContain('SHARDMILL_TEST_FAULT')
    }
  })
})
