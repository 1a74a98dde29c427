/**
 * What the end-to-end tests share: the compiled command line as a child process, the small golden recipe and its
 * hub, and ways to look at stores and output folders.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, expect } from 'vitest'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import { asUser } from '../nobody.ts'

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
export const fixtures = join(projectRoot, 'test', 'fixtures')
export const golden = join(fixtures, 'golden-sft')
const main = join(projectRoot, 'dist', 'cli', 'shardmill.cjs')
const preload = pathToFileURL(join(projectRoot, 'test', 'faults', 'fs-preload.mjs')).href

/** No child may outlive this; a test that gets here fails with the child's output. */
const patienceMs = 150_000

const folders: string[] = []
const servers: HubServer[] = []
const children = new Set<ChildProcess>()
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(servers.splice(0).map((server) => server.close()))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}, 200_000)

/** A folder that goes when the test file has ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shardmill-e2e-'))
  folders.push(folder)
  return folder
}

export interface RunOptions {
  /** Added to a bare environment (PATH and a HOME of its own); undefined values are left out. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Runs as this user. */
  readonly uid?: number | undefined
  /** Faults for test/faults/fs-preload.mjs, for paths that contain `path`. */
  readonly fault?: { readonly spec: string; readonly path: string; readonly report?: string }
}

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly pid: number
}

export interface Running {
  readonly child: ChildProcess
  readonly done: Promise<Finished>
  /** What it has said so far, stdout first. */
  readonly output: () => string
  /** Resolves once stderr and stdout together contain `text`, or the child has ended. */
  says(text: string): Promise<void>
}

const home = mkdtempSync(join(tmpdir(), 'shardmill-e2e-home-'))
folders.push(home)

/** Starts `shardmill ...args`. */
export function start(args: readonly string[], { env = {}, cwd, uid, fault }: RunOptions = {}): Running {
  if (!existsSync(main)) throw new Error(`${main} is not there: compile first (npm run build)`)
  const faults =
    fault === undefined
      ? {}
      : {
          SHARDMILL_TEST_FAULT: fault.spec,
          SHARDMILL_TEST_FAULT_PATH: fault.path,
          SHARDMILL_TEST_FAULT_REPORT: fault.report,
        }
  const child = spawn(
    process.execPath,
    [...(fault === undefined ? [] : ['--import', preload]), main, ...args],
    {
      cwd: cwd ?? home,
      env: defined({ PATH: process.env['PATH'], HOME: home, ...env, ...faults }),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...asUser(uid),
    },
  )
  children.add(child)
  let stdout = ''
  let stderr = ''
  const waiting: (() => void)[] = []
  const heard = () => {
    for (const wake of waiting) wake()
  }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    heard()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    heard()
  })
  let ended = false
  const done = new Promise<Finished>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`shardmill ${args.join(' ')} did not end\n${stdout}\n${stderr}`))
    }, patienceMs)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      children.delete(child)
      ended = true
      heard()
      resolve({ code, signal, stdout, stderr, pid: child.pid ?? 0 })
    })
  })
  done.catch(() => {})
  const says = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (ended || stdout.includes(text) || stderr.includes(text)) resolve()
      }
      waiting.push(look)
      look()
    })
  return { child, done, says, output: () => stdout + stderr }
}

/** Runs `shardmill ...args` to its end. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return start(args, options).done
}

/** Runs it and expects exit code 0. */
export async function ok(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const finished = await run(args, options)
  expect(finished.code, `shardmill ${args.join(' ')}\n${finished.stdout}\n${finished.stderr}`).toBe(0)
  return finished
}

/** Runs it with --json, expects exit code 0 and returns the object it printed. */
export async function json<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
  return JSON.parse((await ok([...args, '--json'], options)).stdout) as T
}

export interface BuildReport {
  readonly schema: number
  readonly name: string
  readonly output: string
  readonly published: 'written' | 'unchanged'
  readonly stages: { readonly run: number; readonly cached: number }
  readonly splits: Readonly<
    Record<
      'val' | 'train',
      {
        readonly conversations: number
        readonly tokens: number
        readonly trainedTokens: number
        readonly shards: number
        readonly truncated: number
        readonly sources: readonly {
          readonly label: string
          readonly rows: number
          readonly conversations: number
          readonly rejected: number
        }[]
      }
    >
  >
  readonly vocabularySize: number
  readonly overlap: number
  readonly files: readonly { readonly path: string; readonly sha256: string; readonly bytes: number }[]
}

export interface ErrorReport {
  readonly schema: number
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly hint?: string
  }
}

/** A failed command's one error: the code it ended with, and that it says what and names no bug of ours. */
export function expectClearError(finished: Finished, codes: readonly number[] = [1]): void {
  const shown = JSON.stringify(finished, null, 1)
  expect(codes, shown).toContain(finished.code)
  expect(finished.stderr.match(/^error: /gm), shown).toHaveLength(1)
  expect(finished.stderr, shown).not.toMatch(
    /mistake in shardmill|at .+\(?(file:|node:).+:\d+\)?|\[object |undefined|UnhandledPromise/,
  )
}

// ---- the golden recipe ----

export type Fields = Record<string, unknown>
export interface RecipeObject extends Fields {
  splits: { val: Fields[]; train: Fields[] }
}

/** All sources of the reference, on test/fixtures/golden-sft; paths relative to the recipe. */
export function goldenRecipe(changes: Fields = {}): RecipeObject {
  return {
    kind: 'sft',
    name: 'golden',
    tokenizer: { kind: 'nanochat', path: 'tokenizer.pkl' },
    template: 'nanochat',
    maxSeqLen: 256,
    shardTokens: 400,
    shuffle: { kind: 'python', seed: 42 },
    splits: {
      val: [
        { task: 'smoltalk', split: 'test' },
        { task: 'mmlu', subset: 'all', split: 'test', stop: 4 },
        { task: 'gsm8k', subset: 'main', split: 'test', stop: 2 },
      ],
      train: [
        { task: 'smoltalk', split: 'train' },
        { task: 'mmlu', subset: 'auxiliary_train', split: 'train' },
        { task: 'gsm8k', subset: 'main', split: 'train', repeat: 2 },
        { task: 'custom_json', path: 'identity_conversations.jsonl', repeat: 2, optional: true },
        { task: 'simple_spelling', size: 12, words: 'words.txt' },
        { task: 'spelling_bee', size: 8, words: 'words.txt', phrasebook: 'phrasebook.json' },
      ],
    },
    ...changes,
  }
}

/** A quick recipe that still has downloads, a local file, a generated source, repeats and cut conversations. */
export function smallRecipe(changes: Fields = {}): RecipeObject {
  return {
    ...goldenRecipe({ name: 'small', maxSeqLen: 64, shardTokens: 300 }),
    splits: {
      val: [{ task: 'gsm8k', split: 'test' }],
      train: [
        { task: 'smoltalk', split: 'train' },
        { task: 'custom_json', path: 'identity_conversations.jsonl', repeat: 2 },
        { task: 'simple_spelling', size: 6, words: 'words.txt' },
      ],
    },
    ...changes,
  }
}

/** Writes a recipe into a folder, beside copies of the files it names. JSON is YAML. Returns the recipe's path. */
export function writeRecipe(folder: string, recipe: RecipeObject, name = 'recipe.yaml'): string {
  mkdirSync(folder, { recursive: true })
  for (const file of ['tokenizer.pkl', 'words.txt', 'phrasebook.json', 'identity_conversations.jsonl']) {
    if (!existsSync(join(folder, file))) cpSync(join(golden, file), join(folder, file))
  }
  const path = join(folder, name)
  writeFileSync(path, `${JSON.stringify(recipe, null, 2)}\n`)
  return path
}

/** Serves a folder in the hub's layout until the test file ends. */
export async function serve(dir: string, log?: (line: string) => void): Promise<HubServer> {
  const server = await startHubServer(dir, log === undefined ? {} : { log })
  servers.push(server)
  return server
}

export const goldenHub = join(golden, 'hub')

/** A copy of the golden hub that a test may change. */
export function copyHub(): string {
  const folder = join(temporaryFolder(), 'hub')
  cpSync(goldenHub, folder, { recursive: true })
  return folder
}

/** A place to build in: recipe, store and output folder side by side, and a hub. */
export interface Bench {
  readonly folder: string
  readonly recipe: string
  readonly store: string
  readonly out: string
  readonly env: Readonly<Record<string, string>>
  /** Arguments of the build. */
  readonly args: readonly string[]
}

export function bench(
  recipe: RecipeObject,
  hub: Pick<HubServer, 'url'>,
  folder = temporaryFolder(),
  threads = 2,
): Bench {
  const store = join(folder, 'store')
  const out = join(folder, 'out')
  const path = writeRecipe(folder, recipe)
  return {
    folder,
    recipe: path,
    store,
    out,
    env: { HF_ENDPOINT: hub.url },
    args: ['build', path, '--out', out, '--store', store, '--threads', String(threads)],
  }
}

export function buildOn(
  at: Bench,
  more: readonly string[] = [],
  options: RunOptions = {},
): Promise<BuildReport> {
  return json<BuildReport>([...at.args, ...more], { ...options, env: { ...at.env, ...options.env } })
}

export function runOn(at: Bench, more: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
  return run([...at.args, ...more], { ...options, env: { ...at.env, ...options.env } })
}

// ---- looking at what is there ----

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Every file under a folder, with forward slashes, sorted. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/** Digest of every file of a folder. */
export function digestsOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    filesUnder(folder).map((path) => [path, sha256(readFileSync(join(folder, path)))]),
  )
}

/** Digests of an output folder, without the one file that tells who ran what and when. */
export function outputOf(folder: string): Record<string, string> {
  const { 'provenance.jsonl': _, ...rest } = digestsOf(folder)
  return rest
}

/** The shards alone: what a training run reads. */
export function shardsOf(folder: string): Record<string, string> {
  return Object.fromEntries(Object.entries(digestsOf(folder)).filter(([path]) => path.endsWith('.bin')))
}

export interface StoredRecord {
  readonly key: string
  readonly stage: string
  readonly params: unknown
  readonly inputs: Readonly<Record<string, string>>
  readonly outputs: Readonly<Record<string, { readonly digest: string; readonly bytes: number }>>
  readonly stats: Readonly<Record<string, unknown>>
  readonly circumstances: { readonly startedAt: string; readonly finishedAt: string; readonly pid: number }
}

/** Every stage record of a store, by key. */
export function recordsOf(store: string): Map<string, StoredRecord> {
  const folder = join(store, 'v1', 'records')
  const records = filesUnder(folder).map(
    (path) => (JSON.parse(readFileSync(join(folder, path), 'utf8')) as { value: StoredRecord }).value,
  )
  return new Map(records.map((record) => [record.key, record]))
}

/** How often each stage stands in a list of records, by name. */
export function countByStage(records: Iterable<StoredRecord>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { stage } of records) counts[stage] = (counts[stage] ?? 0) + 1
  return counts
}

/** The records that are in `after` and were not in `before`; every one of `before` must still be there, untouched. */
export function newRecords(
  before: ReadonlyMap<string, StoredRecord>,
  after: ReadonlyMap<string, StoredRecord>,
): StoredRecord[] {
  for (const [key, record] of before)
    expect(after.get(key), `record ${key} of ${record.stage}`).toEqual(record)
  return [...after.values()].filter(({ key }) => !before.has(key))
}

export function blobPath(store: string, digest: string): string {
  return join(store, 'v1', 'blobs', 'sha256', digest.slice(0, 2), digest)
}

export interface ManifestFacts {
  readonly files: readonly {
    readonly path: string
    readonly sha256: string
    readonly bytes: number
    readonly role: string
    readonly stage?: string
  }[]
  readonly stages: readonly Omit<StoredRecord, 'circumstances'>[]
  readonly lock: {
    readonly splits: Readonly<
      Record<
        'val' | 'train',
        readonly {
          readonly files: readonly {
            readonly path: string
            readonly sha256?: string
            readonly hub?: { readonly repo: string; readonly commit: string }
          }[]
        }[]
      >
    >
  }
  readonly lists: Readonly<Record<string, unknown>>
}

export function manifestOf(out: string): ManifestFacts {
  return JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as ManifestFacts
}

/** Whatever a publish put beside the output folder and did not take away. */
export function leftoversBeside(out: string): string[] {
  return readdirSync(dirname(out)).filter((name) => name.startsWith('.'))
}

/** A small generator of its own, so that a printed seed repeats a test exactly. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** The seed of a random test: E2E_SEED, else one from the clock; said on failure by the caller. */
export function testSeed(): number {
  return Number(process.env['E2E_SEED'] ?? Date.now() % 1_000_000)
}

function defined(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
