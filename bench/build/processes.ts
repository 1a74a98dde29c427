/** Everything the benchmark runs is a process of its own, so that time and memory are the whole truth. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { StageTime } from './stage-clock.ts'

export const cliPath = fileURLToPath(new URL('../../cli/shardmill.cjs', import.meta.url))
/** What the command loads first. */
const diskThreadsPath = fileURLToPath(new URL('../../cli/disk-threads.cjs', import.meta.url))
const childPath = fileURLToPath(new URL('./child.js', import.meta.url))

export interface BuildFigures {
  readonly seconds: number
  readonly cpuSeconds: number
  /** Of these, in the kernel: copying to and from the page cache, mostly. */
  readonly systemCpuSeconds: number
  readonly publishSeconds: number
  readonly peakRssBytes: number
  readonly stages: readonly StageTime[]
  readonly run: number
  readonly cached: number
  readonly conversations: number
  readonly tokens: number
  readonly shards: number
}

export interface Finished {
  readonly seconds: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; throws with what it said when it fails. */
export function runProcess(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve({ seconds: (performance.now() - started) / 1000, stdout, stderr })
      else reject(new Error(`${command} ${args.join(' ')}: exit code ${code}\n${stderr}`))
    })
  })
}

export async function runBuild(
  recipe: string,
  out: string,
  store: string,
  threads: number,
  endpoint: string,
  { oneCore = false }: { readonly oneCore?: boolean } = {},
): Promise<BuildFigures> {
  const child = [childPath, recipe, out, store, String(threads), endpoint]
  const node = [process.execPath, '--require', diskThreadsPath, ...child]
  const [command, ...args] = oneCore ? ['taskset', '-c', '0', ...node] : node
  return JSON.parse((await runProcess(command!, args)).stdout) as BuildFigures
}

/** Whether `oneCore` can be had: util-linux's taskset, on Linux. */
export function canPin(): boolean {
  return spawnSync('taskset', ['-c', '0', 'true']).status === 0
}

export interface HubServer {
  readonly endpoint: string
  stop(): void
}

/** `shardmill hub` over a folder. */
export async function startHub(folder: string): Promise<HubServer> {
  const child: ChildProcess = spawn(process.execPath, [cliPath, 'hub', folder, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout! })
  const endpoint = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    child.once('close', () => reject(new Error('the hub server ended')))
  })
  return { endpoint, stop: () => void child.kill() }
}
