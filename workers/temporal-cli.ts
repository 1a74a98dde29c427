/**
 * Where the `temporal` command is: named by SHARDMILL_TEMPORAL_CLI, on the PATH, kept from an earlier time, downloaded
 * by the SDK, or built with Go. The last two are done once; what they give is kept in `folder`.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ShardmillError } from '../errors/index.ts'

export const cliVersion = 'v1.5.1'
const cliPackage = `github.com/temporalio/cli/cmd/temporal@${cliVersion}`

/** How long the SDK's download may take, unless SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS says otherwise. */
const downloadSeconds = 60

/** More milliseconds than this and a timer fires at once. */
const longestTimer = 2 ** 31 - 1

export interface FindCliOptions {
  /** Where a CLI that had to be fetched or built is kept. */
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly notice: (text: string) => void
  readonly signal: AbortSignal
}

/** The path of the `temporal` command. Throws TEMPORAL, with all that was tried. */
export async function findTemporalCli(options: FindCliOptions): Promise<string> {
  const { folder, env, notice, signal } = options
  const named = env['SHARDMILL_TEMPORAL_CLI']
  if (named !== undefined && named !== '') {
    if (isProgram(named)) return named
    throw new ShardmillError(
      'TEMPORAL',
      `SHARDMILL_TEMPORAL_CLI is ${named}, which is no program that can be run`,
    )
  }
  const kept = join(folder, 'bin', `temporal-${cliVersion}`)
  const found = onPath('temporal', env) ?? (isProgram(kept) ? kept : undefined)
  if (found !== undefined) return found
  const download = await tryDownload(kept, options)
  if (download === undefined) return kept
  const go = onPath('go', env)
  if (go === undefined) {
    throw new ShardmillError(
      'TEMPORAL',
      `there is no Temporal server here: neither \`temporal\` nor \`go\` is on the PATH, and ${download}`,
      {
        hint: `Install the Temporal CLI (https://docs.temporal.io/cli), or Go to have it built (${cliPackage}), or name a server with TEMPORAL_ADDRESS.`,
      },
    )
  }
  notice(`${download}; building the Temporal CLI ${cliVersion} with Go, once: this takes some minutes`)
  await goInstall(go, kept, env, signal)
  return kept
}

/** Undefined when the CLI lies at `target` now; else why it does not, as half a sentence. */
async function tryDownload(
  target: string,
  { env, notice, signal }: FindCliOptions,
): Promise<string | undefined> {
  const seconds = Number(env['SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS'] || downloadSeconds)
  if (!(seconds >= 0)) {
    throw new ShardmillError(
      'USAGE',
      `SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS is ${JSON.stringify(env['SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS'])}, expected a number of seconds`,
    )
  }
  if (seconds === 0) return 'the download of the CLI is switched off (SHARDMILL_TEMPORAL_DOWNLOAD_SECONDS)'
  const program = downloadProgram()
  if (!existsSync(program)) return 'the download of the CLI is not compiled'
  notice(`downloading the Temporal CLI ${cliVersion}, once`)
  const bin = dirname(target)
  await mkdir(bin, { recursive: true })
  const own = await mkdtemp(join(bin, 'download-'))
  try {
    const { code, words } = await runProgram(
      process.execPath,
      [program, own, cliVersion],
      env,
      signal,
      seconds,
    )
    const path = words.out.trim()
    if (code === 0 && isProgram(path)) {
      await rename(path, target)
      return undefined
    }
    const why = code === 'late' ? `was not through after ${seconds} s` : `failed: ${lastLine(words.err)}`
    return `the SDK's download of the CLI ${why}`
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

/** A program of its own: the SDK's download can neither be cancelled nor share a process with a worker's runtime. */
function downloadProgram(): string {
  const beside = fileURLToPath(new URL('./sdk-download.js', import.meta.url))
  if (existsSync(beside)) return beside
  return fileURLToPath(new URL('../dist/workers/sdk-download.js', import.meta.url))
}

async function goInstall(
  go: string,
  target: string,
  env: FindCliOptions['env'],
  signal: AbortSignal,
): Promise<void> {
  const bin = dirname(target)
  await mkdir(bin, { recursive: true })
  const own = await mkdtemp(join(bin, 'go-'))
  try {
    const { code, words } = await runProgram(go, ['install', cliPackage], { ...env, GOBIN: own }, signal)
    const made = join(own, 'temporal')
    if (code !== 0 || !isProgram(made)) {
      throw new ShardmillError('TEMPORAL', `the Temporal CLI could not be built: ${lastLine(words.err)}`, {
        hint: 'Install it by hand: https://docs.temporal.io/cli.',
      })
    }
    await rename(made, target)
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

interface Ended {
  readonly code: number | null | 'late'
  readonly words: { readonly out: string; readonly err: string }
}

async function runProgram(
  file: string,
  args: readonly string[],
  env: FindCliOptions['env'],
  signal: AbortSignal,
  seconds?: number,
): Promise<Ended> {
  signal.throwIfAborted()
  // A group of its own: what the program has started goes with it.
  const child = spawn(file, args, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const kill = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // it has ended
    }
  }
  const words = { out: '', err: '' }
  child.stdout
    .setEncoding('utf8')
    .on('data', (text: string) => (words.out = (words.out + text).slice(-4_000)))
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (words.err = (words.err + text).slice(-4_000)))
  let late = false
  const timer =
    seconds === undefined
      ? undefined
      : setTimeout(
          () => {
            late = true
            kill()
          },
          Math.min(seconds * 1000, longestTimer),
        )
  signal.addEventListener('abort', kill, { once: true })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    signal.throwIfAborted()
    return { code: late ? 'late' : code, words }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', kill)
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

function onPath(name: string, env: FindCliOptions['env']): string | undefined {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => join(dir, name))
    .find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
