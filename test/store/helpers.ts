/** What the store's tests share: temporary stores, records to put in, programs to run in processes of their own. */

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll } from 'vitest'
import { sha256 } from '../../store/digest.ts'
import { type FileStore, type FileStoreOptions, openFileStore } from '../../store/file-store.ts'
import type { BlobRef, BuildRecord, Digest, Json, StageRecord } from '../../store/types.ts'
import { asUser } from '../nobody.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const PRELOAD = join(ROOT, 'test', 'faults', 'fs-preload.mjs')

const toRemove: string[] = []
const toEnd = new Set<() => void>()
afterAll(() => {
  for (const end of toEnd) end()
  for (const folder of toRemove.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** In memory where the system has such a place: thousands of fsyncs are not what a test should wait for. */
export function quickFolder(): string {
  return existsSync('/dev/shm') ? temporaryFolder('/dev/shm') : temporaryFolder()
}

/** A temporary folder that goes when the test file has ended. */
export function temporaryFolder(within: string = tmpdir()): string {
  const folder = mkdtempSync(join(within, 'shardmill-store-test-'))
  toRemove.push(folder)
  return folder
}

export interface OpenedStore {
  readonly store: FileStore
  readonly warnings: string[]
}

export async function openStore(folder: string, options: FileStoreOptions = {}): Promise<OpenedStore> {
  const warnings: string[] = []
  const onWarning = (message: string) => void warnings.push(message)
  return { store: await openFileStore(folder, { keyOf, onWarning, ...options }), warnings }
}

/** Stands for the pipeline's key function: any hash of the pre-image that does not depend on field order. */
export function keyOf(record: Pick<StageRecord, 'stage' | 'version' | 'params' | 'inputs'>): Digest {
  const { stage, version, params, inputs } = record
  return sha256(JSON.stringify([stage, version, sorted(params), sorted(inputs)]))
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}

export function makeRecord(
  outputs: Record<string, BlobRef>,
  about: { stage?: string; params?: Json; inputs?: Record<string, Digest> } = {},
): StageRecord {
  const asked = {
    stage: about.stage ?? 'tokenize',
    version: 1,
    params: about.params ?? { seed: 42 },
    inputs: about.inputs ?? {},
  }
  return {
    schema: 1,
    key: keyOf(asked),
    ...asked,
    outputs,
    stats: { rows: 3 },
    circumstances: {
      startedAt: '2026-01-01T00:00:00.000Z',
      finishedAt: '2026-01-01T00:00:01.000Z',
      host: 'somewhere',
      pid: 7,
      user: 'someone',
      engine: 'in-process',
      tool: 'shardmill 0.1.0',
      node: 'v20.19.0',
    },
  }
}

export function makeBuild(
  name: string,
  lock: BlobRef,
  records: readonly StageRecord[],
  blobs: readonly Digest[] = [],
): BuildRecord {
  return {
    schema: 1,
    id: lock.digest,
    name,
    finishedAt: '2026-01-01T00:00:02.000Z',
    lock,
    records: records.map((record) => record.key),
    blobs,
  }
}

/** Deterministic bytes that do not compress or repeat. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

/** Overwrites a file of the store, which are read-only. */
export async function overwrite(path: string, bytes: Uint8Array): Promise<void> {
  await chmod(path, 0o644)
  writeFileSync(path, bytes)
}

/** Names in a folder of the store, to say that nothing was left there. */
export async function namesIn(folder: string): Promise<string[]> {
  return existsSync(folder) ? (await readdir(folder)).sort() : []
}

let compiled: Promise<string> | undefined

/**
 * Compiles store/ and errors/ to a temporary folder, so that a plain Node process (of the oldest version we
 * support) can run today's sources; returns the URL of the compiled folder.
 */
export function compileStore(): Promise<string> {
  compiled ??= (async () => {
    const out = temporaryFolder()
    const config = join(out, 'tsconfig.json')
    writeFileSync(
      config,
      JSON.stringify({
        extends: join(ROOT, 'tsconfig.json'),
        compilerOptions: {
          noEmit: false,
          rootDir: ROOT,
          outDir: join(out, 'js'),
          typeRoots: [join(ROOT, 'node_modules/@types')],
        },
        include: [join(ROOT, 'store/**/*.ts'), join(ROOT, 'memory/*.d.ts')],
        exclude: [],
      }),
    )
    writeFileSync(join(out, 'package.json'), '{"type":"module"}')
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const { code, stdout } = await runNode([tsc, '-p', config])
    if (code !== 0) throw new Error(`store/ does not compile:\n${stdout}`)
    return pathToFileURL(join(out, 'js')).href
  })()
  return compiled
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly pid: number
  readonly ended: Promise<Ended>
  /** Resolves when the program has printed this line. */
  printed(line: string): Promise<void>
  kill(signal: NodeJS.Signals): void
}

export function startNode(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  uid?: number,
): Running {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...asUser(uid),
  })
  const end = () => void child.kill('SIGKILL')
  toEnd.add(end)
  let stdout = ''
  let stderr = ''
  const waiting: { line: string; resolve: () => void; reject: (error: Error) => void }[] = []
  const look = () => {
    for (const wait of waiting) if (stdout.split('\n').includes(wait.line)) wait.resolve()
  }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    look()
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      toEnd.delete(end)
      resolve({ code, signal, stdout, stderr })
      for (const wait of waiting)
        wait.reject(new Error(`ended before it printed ${wait.line}:\n${stdout}${stderr}`))
    })
  })
  return {
    pid: child.pid!,
    ended,
    printed: (line) =>
      new Promise((resolve, reject) => {
        waiting.push({ line, resolve, reject })
        look()
      }),
    kill: (signal) => void child.kill(signal),
  }
}

export function runNode(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return startNode(args, env).ended
}

/** Runs a program of test/store/programs with today's store. */
export async function startProgram(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
): Promise<Running> {
  const store = await compileStore()
  const program = join(ROOT, 'test', 'store', 'programs', name)
  return startNode([...nodeArgs, program, store, ...args], env)
}
