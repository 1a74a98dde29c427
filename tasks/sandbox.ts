/**
 * Runs a Python program that nobody has read: in a process of its own, in an empty folder that is removed afterwards,
 * with limits of time, memory, CPU and file size, next to no environment, no input, and, on Linux where the system
 * allows namespaces, without network and with every process it leaves behind ended.
 *
 * It holds up mistakes and clumsy mischief. It is no wall: a program can still read, and outside its folder write,
 * what the user can. Who runs models that may be hostile does so in a container or a virtual machine.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { strip } from '../stages/sources/spelling/words.ts'
import { findPython, type PythonCommand, programEnv } from './find-python.ts'
import { checkLimits, guardedRun, type Limits, programFd } from './guard.ts'

export interface RunOptions extends Limits {
  /** Ends the program; `runPython` then fails with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface ProgramResult {
  /** The program ended by itself, with exit code 0: also by `sys.exit(0)` before its tests, as in the reference. */
  readonly success: boolean
  /** At most a mebibyte, its beginning. Empty after a timeout. */
  readonly stdout: string
  /** At most a mebibyte, its end. Empty after a timeout. */
  readonly stderr: string
  /** The last line of stderr, or what else there is to say; null after success. */
  readonly error: string | null
  readonly timeout: boolean
  /** stderr speaks of a MemoryError. */
  readonly memoryExceeded: boolean
}

/** Of each output stream. What comes after is read and forgotten, so that a program never waits for us. */
const keptBytes = 1 << 20

/**
 * Runs `program` and says how it went. Whatever the program does is a result and no error.
 *
 * Errors: NOT_FOUND where there is no Python 3 (`python3` of the PATH, or SHARDMILL_PYTHON), USAGE for limits that
 * cannot be.
 */
export async function runPython(program: string, options: RunOptions = {}): Promise<ProgramResult> {
  checkLimits(options)
  return runWith(await findPython(works), program, options)
}

/** Whether programs are kept from the network here, and their processes ended with them. */
export async function runsApart(): Promise<boolean> {
  return (await findPython(works)).wrapper.length > 0
}

async function works(command: PythonCommand): Promise<string | undefined> {
  try {
    const { success, stdout, error } = await runWith(command, 'print(1)', { seconds: 30 })
    return success && stdout === '1\n' ? undefined : (error ?? 'it prints nothing')
  } catch (error) {
    return (error as Error).message
  }
}

async function runWith(command: PythonCommand, program: string, options: RunOptions): Promise<ProgramResult> {
  const folder = await mkdtemp(join(tmpdir(), 'shardmill-program-'))
  try {
    return await runIn(folder, command, program, options)
  } finally {
    // What a program has made unremovable is left to the system's own cleaning of temporary files.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** Process groups of programs that are running: none outlives us where we can help it. */
const running = new Set<number>()
let watched = false

function watch(group: number): void {
  running.add(group)
  if (watched) return
  watched = true
  process.on('exit', () => {
    for (const left of running) killGroup(left)
  })
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

function runIn(
  folder: string,
  { python, wrapper }: PythonCommand,
  program: string,
  { signal, ...limits }: RunOptions,
): Promise<ProgramResult> {
  return new Promise((done, failed) => {
    signal?.throwIfAborted()
    const [command, ...args] = [...wrapper, python, '-c', guardedRun(limits)]
    const stdio: ('ignore' | 'pipe')[] = ['ignore', 'pipe', 'pipe']
    stdio[programFd] = 'pipe'
    const child = spawn(command!, args, { cwd: folder, env: programEnv, stdio, detached: true })
    const group = child.pid
    if (group !== undefined) watch(group)
    const out = new Head()
    const err = new Tail()
    child.stdout!.on('data', (chunk: Buffer) => out.add(chunk))
    child.stderr!.on('data', (chunk: Buffer) => err.add(chunk))
    const input = child.stdio[programFd] as Writable
    // A program that ends early has not read all of itself.
    input.on('error', () => undefined)
    input.end(program)

    let timedOut = false
    const end = () => {
      if (group !== undefined) killGroup(group)
      // A process that has left the group may hold the streams open for ever.
      for (const stream of child.stdio) stream?.destroy()
    }
    const timer = setTimeout(
      () => {
        timedOut = true
        end()
      },
      (limits.seconds ?? 5) * 1000,
    )
    signal?.addEventListener('abort', end, { once: true })
    const finish = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      if (group !== undefined) running.delete(group)
    }
    child.on('error', (error) => {
      finish()
      failed(error)
    })
    // Not before both streams have ended: whatever still writes to them belongs to the program and its time.
    child.on('close', (code) => {
      finish()
      // Processes it has left behind.
      if (group !== undefined) killGroup(group)
      if (signal?.aborted === true) return failed(signal.reason)
      done(timedOut ? timeoutResult : resultOf(code, out.text(), err.text()))
    })
  })
}

const timeoutResult: ProgramResult = {
  success: false,
  stdout: '',
  stderr: '',
  error: 'Execution timed out (process killed)',
  timeout: true,
  memoryExceeded: false,
}

function resultOf(code: number | null, stdout: string, stderr: string): ProgramResult {
  const success = code === 0
  const said = strip(stderr).split('\n').at(-1)!
  return {
    success,
    stdout,
    stderr,
    error: success ? null : said === '' ? 'Execution failed' : said,
    timeout: false,
    memoryExceeded: stderr.includes('MemoryError'),
  }
}

/** The first bytes of a stream. */
class Head {
  private readonly chunks: Buffer[] = []
  private bytes = 0

  add(chunk: Buffer): void {
    if (this.bytes >= keptBytes) return
    const kept = chunk.subarray(0, keptBytes - this.bytes)
    this.chunks.push(kept)
    this.bytes += kept.length
  }

  text(): string {
    return asPythonReads(Buffer.concat(this.chunks))
  }
}

/** The last bytes of a stream. */
class Tail {
  private chunks: Buffer[] = []
  private bytes = 0

  add(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    if (this.bytes < 2 * keptBytes) return
    const all = this.end()
    this.chunks = [all]
    this.bytes = all.length
  }

  text(): string {
    return asPythonReads(this.end())
  }

  private end(): Buffer {
    const all = Buffer.concat(this.chunks)
    return Buffer.from(all.subarray(Math.max(0, all.length - keptBytes)))
  }
}

/** In text mode Python makes every line end `\n`. */
function asPythonReads(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\r\n?/g, '\n')
}
