import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const preload = join(root, 'dist', 'cli', 'disk-threads.cjs')
const dir = mkdtempSync(join(tmpdir(), 'shardmill-disk-threads-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/**
 * Opening a named pipe to read keeps one of libuv's threads until somebody opens it to write; and opening it to write,
 * without waiting, fails until somebody reads. So the last pipe can only be opened when all are being opened at once.
 */
const program = `
import { closeSync, constants, open, openSync } from 'node:fs'
const pipes = process.argv.slice(2)
for (const pipe of pipes) open(pipe, 'r', (error, fd) => { if (error === null) closeSync(fd) })
const until = Date.now() + Number(process.env.WAIT_MS)
let last
const look = () => {
  try { last = openSync(pipes.at(-1), constants.O_WRONLY | constants.O_NONBLOCK) } catch {}
  if (last === undefined && Date.now() < until) return setTimeout(look, 5)
  console.log(last === undefined ? 'waited in vain' : 'all at once')
  process.kill(process.pid, 'SIGKILL')
}
look()
`

function openAtOnce(pipes: number, waitMs: number, env: Record<string, string>, ...flags: string[]): string {
  const paths = Array.from({ length: pipes }, (_, i) => join(dir, `${pipes}-${flags.length}-${i}`))
  execFileSync('mkfifo', paths)
  const file = join(dir, 'program.mjs')
  writeFileSync(file, program)
  const { UV_THREADPOOL_SIZE: _, ...inherited } = process.env
  const options = { encoding: 'utf8', env: { ...inherited, ...env, WAIT_MS: String(waitMs) } } as const
  return spawnSync(process.execPath, [...flags, file, ...paths], options).stdout.trim()
}

test('the command’s disk threads are there before an ES module can run, and more than Node’s four', () => {
  expect(openAtOnce(8, 10_000, {}, '--require', preload)).toBe('all at once')
})

test('how many somebody wants is left to them', () => {
  expect(openAtOnce(5, 300, { UV_THREADPOOL_SIZE: '4' }, '--require', preload)).toBe('waited in vain')
})

test('the command begins with them', () => {
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    bin: { shardmill: string }
  }
  const entry = readFileSync(join(root, bin.shardmill), 'utf8')
  expect(entry.indexOf('disk-threads')).toBeGreaterThan(0)
  expect(entry.indexOf('disk-threads')).toBeLessThan(entry.indexOf('./main.js'))
})
