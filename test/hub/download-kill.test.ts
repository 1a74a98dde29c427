import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { HubFile } from '../../hub/client/hub.ts'
import { bytesOf, COMMIT, type FaultServer, type Logged, sha256, startFaultServer } from './fault-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const content = bytesOf(6_000_000)
const file: HubFile = {
  repo: 'org/data',
  commit: COMMIT,
  path: 'big.parquet',
  bytes: content.length,
  sha256: sha256(content),
}

let built: string
let folder: string
let partPath: string
let server: FaultServer
const children: ChildProcess[] = []

// Node 20 runs no TypeScript, and a process to be killed must be a real one. Compiled below node_modules, so that
// packages are found from there.
beforeAll(() => {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  built = mkdtempSync(join(cache, 'download-child-'))
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      noCheck: true,
      rootDir: root,
      outDir: built,
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: [join(root, 'test/hub/download-child.ts')],
  }
  writeFileSync(join(built, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(built, 'package.json'), '{"type":"module"}')
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  execFileSync(process.execPath, [tsc, '-p', built], { stdio: 'inherit' })
})
afterAll(() => rmSync(built, { recursive: true, force: true }))

beforeEach(() => {
  folder = mkdtempSync(join(built, 'run-'))
  partPath = join(folder, 'part')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await server.close()
})

interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Settles once a line for which `wanted` holds has come; fails when the process ends before. */
  until(wanted: (line: string) => boolean): Promise<string>
  readonly ended: Promise<void>
}

const preload = fileURLToPath(new URL('../faults/fs-preload.mjs', import.meta.url))

/** With `fault`, calls of the file system on lock files fail: see test/faults/fs-preload.mjs. */
function start(command: readonly string[] = [], fault?: string): Child {
  const child = [join(built, 'test/hub/download-child.js'), JSON.stringify([file, partPath])]
  const args = fault === undefined ? child : ['--import', preload, ...child]
  const faults =
    fault === undefined ? {} : { SHARDMILL_TEST_FAULT: fault, SHARDMILL_TEST_FAULT_PATH: '.lock' }
  const [program = process.execPath, ...before] = [...command, process.execPath]
  const env = { ...process.env, HF_ENDPOINT: server.url, HF_TOKEN: 'hf_x', SHARDMILL_HUB_TIMEOUT_MS: '60000' }
  const started = spawn(program, [...before, ...args], {
    env: { ...env, ...faults },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(started)
  const lines: string[] = []
  const waiting: { wanted: (line: string) => boolean; tell: (line: string) => void }[] = []
  const reader = createInterface({ input: started.stdout! })
  reader.on('line', (line) => {
    lines.push(line)
    for (const { wanted, tell } of waiting) if (wanted(line)) tell(line)
  })
  const ended = new Promise<void>((done) => {
    let left = 2
    const one = () => --left === 0 && done()
    reader.on('close', one)
    started.on('exit', one)
  })
  return {
    process: started,
    lines,
    ended,
    until: (wanted) =>
      new Promise((tell, fail) => {
        const there = lines.find(wanted)
        if (there !== undefined) tell(there)
        waiting.push({ wanted, tell })
        void ended.then(() => fail(new Error(`the process ended after: ${lines.slice(-3).join(' | ')}`)))
      }),
  }
}

const past = (bytes: number) => (line: string) => Number(line) > bytes
const isDone = (line: string) => line.startsWith('done')

describe('a process killed in mid-download', () => {
  test('three times: each next one fetches only what was missing', async () => {
    // Each answer but the last falls silent, so that there is all the time to kill.
    const plan = (_: Logged, nth: number) => (nth < 3 ? { hangAfter: 1_500_000 } : undefined)
    server = await startFaultServer({ files: { 'org/data/big.parquet': content }, plan })
    const kept: number[] = [0]
    for (let i = 0; i < 3; i++) {
      const child = start()
      await child.until(past(kept.at(-1)! + 1_400_000))
      child.process.kill('SIGKILL')
      await child.ended
      kept.push((await stat(partPath)).size)
    }
    const last = start()
    expect(await last.until(isDone)).toBe(`done ${partPath}`)
    await last.ended
    expect(content.equals(await readFile(partPath))).toBe(true)
    // What is lost is less than the block that was not yet written.
    for (const [i, size] of kept.slice(1).entries()) expect(size - kept[i]!).toBeGreaterThanOrEqual(1 << 20)
    const ranges = kept.slice(1).map((n) => `bytes=${n}-`)
    expect(server.log.map(({ headers }) => headers.range)).toEqual([undefined, ...ranges])
    expect(server.log.map(({ status }) => status)).toEqual([200, 206, 206, 206])
    expect(server.log.at(-1)!.sent).toBe(content.length - kept[3]!)
    expect((await readdir(folder)).sort()).toEqual(['part', 'part.json'])
  })

  test('while another one downloads the same file: both end with the same bytes, in files of their own', async () => {
    const plan = (_: Logged, nth: number) => (nth === 0 ? { hangAfter: 3_000_000 } : undefined)
    server = await startFaultServer({ files: { 'org/data/big.parquet': content }, plan })
    const one = start()
    await one.until(past(2_900_000))
    const two = start()
    await two.until(past(100_000))
    one.process.kill('SIGKILL')
    await one.ended
    const three = start()
    const paths = await Promise.all([two.until(isDone), three.until(isDone)])
    await Promise.all([two.ended, three.ended])
    expect(paths).toEqual([`done ${partPath}.1`, `done ${partPath}`])
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(content.equals(await readFile(`${partPath}.1`))).toBe(true)
  })
})

// SIGXFSZ is ignored, so that a write past the limit fails as on a full disk and does not kill.
test.runIf(process.platform === 'linux')(
  'a write that fails in mid-file: STORE, and the next run goes on',
  async () => {
    server = await startFaultServer({ files: { 'org/data/big.parquet': content } })
    const limited = start(['/bin/bash', '-c', 'trap "" XFSZ; ulimit -f 3000; exec "$@"', 'bash'])
    await limited.until(
      (line) => line === `STORE cannot write to ${folder}: the file would be larger than allowed (EFBIG)`,
    )
    await limited.ended
    expect(limited.process.exitCode).toBe(1)
    const kept = (await stat(partPath)).size
    expect(kept).toBeLessThanOrEqual(3000 * 1024)
    const next = start()
    await next.until(isDone)
    await next.ended
    expect(content.equals(await readFile(partPath))).toBe(true)
    expect(server.log.map(({ headers }) => headers.range)).toEqual([undefined, `bytes=${kept}-`])
  },
)

describe('a lock', () => {
  test('that cannot be written leaves none behind, and nobody waits for it', async () => {
    server = await startFaultServer({ files: { 'org/data/big.parquet': content } })
    const child = start([], 'write:1:ENOSPC')
    await child.ended
    expect(child.lines.at(-1)).toMatch(/^STORE cannot write to .* the disk is full \(ENOSPC\)$/)
    expect(await readdir(folder)).toEqual([])
  })

  test('of a dead process that cannot be removed is an error, and no search without end', async () => {
    server = await startFaultServer({ files: { 'org/data/big.parquet': content } })
    const first = start()
    await first.until(past(0))
    first.process.kill('SIGKILL')
    await first.ended
    const child = start([], 'rename:*:EPERM')
    await child.ended
    expect(child.lines.at(-1)).toMatch(/^STORE cannot write to .* no permission \(EPERM\)$/)
  })
})
