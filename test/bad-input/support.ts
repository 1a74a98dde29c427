/** What the hostile user's tests share: a folder to do mischief in, the real command line, and what a refusal is. */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ByteWriter, parquetWrite, type SchemaElement } from 'hyparquet-writer'
import { afterAll, expect } from 'vitest'
import { exitCodeOf } from '../../cli/run.ts'
import { type BuildOutcome, build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { Semaphore } from '../../engine/semaphore.ts'
import { isShardmillError, type ShardmillError } from '../../errors/index.ts'
import type { SftResult } from '../../pipeline/results.ts'
import { threadsHere } from '../e2e/in-process.ts'
import { asUser } from '../nobody.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const GOLDEN = join(ROOT, 'test', 'fixtures', 'golden-sft')
const MAIN = join(ROOT, 'dist', 'cli', 'shardmill.cjs')

/** Nothing listens there: a test that should not reach a hub fails at once if it tries. */
const NOWHERE = 'http://127.0.0.1:9'

const toRemove: string[] = []
afterAll(() => {
  for (const folder of toRemove.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** Nothing of this machine's settings, and no patience. */
const quietEnv = {
  HOME: join(tmpdir(), 'shardmill-no-home'),
  HF_ENDPOINT: NOWHERE,
  SHARDMILL_HUB_RETRIES: '1',
  SHARDMILL_HUB_TIMEOUT_MS: '2000',
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly seconds: number
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Runs as this user. */
  readonly uid?: number | undefined
  /** Flags for node itself. */
  readonly node?: readonly string[]
}

/** Two cores is the smallest machine we plan for. */
const turns = new Semaphore(2)

/** The command line as a user has it, with nothing of this machine's settings. */
export function shardmill(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return turns.run(
    () =>
      new Promise((done, failed) => {
        const startedAt = performance.now()
        const child = spawn(process.execPath, [...(options.node ?? []), MAIN, ...args], {
          cwd: options.cwd ?? tmpdir(),
          env: { PATH: process.env['PATH'], ...quietEnv, ...options.env },
          stdio: ['ignore', 'pipe', 'pipe'],
          ...asUser(options.uid),
        })
        const out: Buffer[] = []
        const err: Buffer[] = []
        child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
        child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
        child.on('error', failed)
        child.on('close', (code) =>
          done({
            code,
            stdout: Buffer.concat(out).toString('utf8'),
            stderr: Buffer.concat(err).toString('utf8'),
            seconds: (performance.now() - startedAt) / 1000,
          }),
        )
      }),
  )
}

export interface BuildOptions extends RunOptions {
  /** Further arguments for `build`. */
  readonly args?: readonly string[]
  readonly child?: boolean
}

export interface Refusal {
  /** Exit code. */
  readonly exit: number
  readonly code: string
  /** What the message must say. */
  readonly says: string | RegExp | readonly (string | RegExp)[]
  /** What the hint must say; every refusal that names none is checked for having one where `hint` is true. */
  readonly hint?: string | RegExp | true
}

interface JsonError {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly at?: { readonly file?: string; readonly row?: number; readonly line?: number }
  readonly details?: Readonly<Record<string, unknown>>
}

/** What no text for people holds. */
const nonsense = /[Uu]nhandled|\[object Object\]|\bundefined\b|\bNaN\b/

/** One clear error, and nothing else: no stack, no second error, no control codes, one JSON object on stdout with --json. */
export function expectRefusal(ran: Ran, { exit, code, says, hint }: Refusal, json = true): JsonError {
  if (process.env['SHOW'] !== undefined) process.stderr.write(`[${ran.code}] ${ran.stderr}`)
  expect(ran.stderr).not.toMatch(/^\s+at .+[:(]/m)
  expect(ran.stderr).not.toContain('mistake in shardmill')
  expect(ran.stderr).not.toMatch(nonsense)
  expectClean(ran.stderr)
  const errors = ran.stderr.split('\n').filter((line) => line.startsWith('error:'))
  expect(errors, ran.stderr).toHaveLength(1)
  const message = errors[0]!.slice('error: '.length)
  for (const text of Array.isArray(says) ? says : [says]) expect(message).toMatch(text)
  const hinted = ran.stderr.split('\n').find((line) => line.startsWith('hint:'))
  if (hint !== undefined) expect(hinted ?? 'no hint').toMatch(hint === true ? /^hint: \S/ : hint)
  expect(message.length).toBeLessThan(1200)
  expect(ran.code, ran.stderr).toBe(exit)
  if (!json) {
    expect(ran.stdout).toBe('')
    return { code, message }
  }
  // With --json stderr holds the error and its hint only, stdout one object only.
  expect(
    ran.stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !/^(error|hint): /.test(line)),
  ).toEqual([])
  expect(ran.stdout.endsWith('\n')).toBe(true)
  expect(ran.stdout.trimEnd()).not.toContain('\n')
  const { schema, error } = JSON.parse(ran.stdout) as { schema: number; error: JsonError }
  expect(schema).toBe(1)
  expect(error.code).toBe(code)
  expect(error.message).not.toBe('')
  return error
}

/** No control code but line ends: what data holds must not reach a terminal raw. */
export function expectClean(text: string): void {
  expect(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.exec(text)?.[0]).toBe(undefined)
}

export type Recipe = Record<string, unknown>

/** A folder with a store, an output that is not there yet, and whatever a test puts in. */
export class Lab {
  readonly dir = mkdtempSync(join(tmpdir(), 'shardmill-bad-input-'))
  readonly out = join(this.dir, 'out')
  readonly store = join(this.dir, 'store')

  constructor() {
    toRemove.push(this.dir)
    chmodSync(this.dir, 0o755)
  }

  path(name: string): string {
    return join(this.dir, name)
  }

  write(name: string, content: string | Uint8Array): string {
    const path = this.path(name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    return path
  }

  /** A recipe as text (YAML), or as an object (JSON is YAML). */
  recipe(recipe: string | Recipe, name = 'recipe.yaml'): string {
    return this.write(name, typeof recipe === 'string' ? recipe : `${JSON.stringify(recipe, null, 1)}\n`)
  }

  /** Writes the recipe and builds it with --json. */
  async build(recipe: string | Recipe, { args = [], child: _, ...options }: BuildOptions = {}): Promise<Ran> {
    this.recipe(recipe)
    return shardmill(
      ['build', 'recipe.yaml', '--out', 'out', '--store', 'store', '--threads', '1', '--json', ...args],
      { cwd: this.dir, ...options },
    )
  }

  /**
   * Builds, expects the refusal, and that nothing is left in or beside the output folder. Through the engine, which
   * costs a third of a process; through the command line where `child` says so or the options need one.
   */
  async refuses(recipe: string | Recipe, refusal: Refusal, options: BuildOptions = {}): Promise<JsonError> {
    const { child = options.args !== undefined || options.uid !== undefined || options.node !== undefined } =
      options
    const error = child
      ? expectRefusal(await this.build(recipe, options), refusal)
      : await this.refusesInProcess(recipe, refusal, options)
    this.expectNothingPublished()
    return error
  }

  /** The build's outcome or its failure. */
  private async attempt(
    recipe: string | Recipe,
    env: RunOptions['env'] = {},
  ): Promise<{ outcome: BuildOutcome } | { failure: unknown }> {
    const file = this.recipe(recipe)
    const text = await readFile(file, 'utf8')
    return turns.run(() =>
      build({
        recipe: { text, file, settings: [] },
        out: this.out,
        store: this.store,
        threads: 1,
        sharedThreads: threadsHere,
        env: { ...quietEnv, ...env },
        signal: new AbortController().signal,
        observer: silentObserver,
      }).then(
        (outcome) => ({ outcome }),
        (failure: unknown) => ({ failure }),
      ),
    )
  }

  private async refusesInProcess(
    recipe: string | Recipe,
    { exit, code, says, hint }: Refusal,
    { env }: BuildOptions,
  ): Promise<JsonError> {
    const tried = await this.attempt(recipe, env)
    if ('outcome' in tried) throw new Error('the build went through')
    const error = tried.failure
    if (process.env['SHOW'] !== undefined)
      process.stderr.write(
        `(${(error as ShardmillError)?.code}) ${(error as Error)?.message}\n     hint: ${(error as ShardmillError)?.hint}\n`,
      )
    if (!isShardmillError(error)) throw error
    expect([error.code, exitCodeOf(error.code)]).toEqual([code, exit])
    for (const text of Array.isArray(says) ? says : [says]) expect(error.message).toMatch(text)
    if (hint !== undefined) expect(error.hint ?? 'no hint').toMatch(hint === true ? /\S/ : hint)
    expect(`${error.message} ${error.hint ?? ''}`).not.toMatch(nonsense)
    expect(error.message.length).toBeLessThan(1200)
    return error.toFacts() as JsonError
  }

  expectNothingPublished(): void {
    expect(existsSync(this.out)).toBe(false)
    expect(readdirSync(this.dir).filter((name) => name.includes('.shardmill-'))).toEqual([])
  }

  /** Builds, in process unless the options need the command line. */
  async builds(recipe: string | Recipe, options: BuildOptions = {}): Promise<Report> {
    const { child = options.args !== undefined || options.uid !== undefined || options.node !== undefined } =
      options
    if (!child) {
      const tried = await this.attempt(recipe, options.env)
      if ('failure' in tried) throw tried.failure
      const { output, run, cached } = tried.outcome
      const result = tried.outcome.result as SftResult
      const split = (name: 'val' | 'train') => {
        const whole = result.splits[name]!
        return { ...whole, shards: whole.shards.length }
      }
      return {
        schema: 1,
        stages: { run, cached },
        splits: { val: split('val'), train: split('train') },
        files: output.files,
        dtype: result.dtype,
        vocabularySize: result.vocabularySize,
      }
    }
    const ran = await this.build(recipe, options)
    expect(ran.stderr).toBe('')
    expect(ran.code, ran.stderr).toBe(0)
    expect(ran.stdout.trimEnd()).not.toContain('\n')
    return JSON.parse(ran.stdout) as Report
  }
}

export interface SplitReport {
  readonly conversations: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly shards: number
  readonly truncated: number
  readonly sources: readonly {
    readonly label: string
    readonly rows: number
    readonly rejected: number
    readonly conversations: number
    readonly untrained: number
    readonly truncated: number
  }[]
}

export interface Report {
  readonly schema: 1
  readonly stages: { readonly run: number; readonly cached: number }
  readonly splits: { readonly val: SplitReport; readonly train: SplitReport }
  readonly files: readonly { readonly path: string }[]
  readonly dtype: string
  readonly vocabularySize: number
}

export const tokenizer = { kind: 'nanochat', path: join(GOLDEN, 'tokenizer.pkl') }

/** A small recipe over the given train sources. */
export function recipeOf(train: readonly Recipe[] | Recipe, more: Recipe = {}): Recipe {
  return {
    kind: 'sft',
    name: 'bad',
    tokenizer,
    template: 'nanochat',
    maxSeqLen: 64,
    shardTokens: 1000,
    splits: { train: Array.isArray(train) ? train : [train] },
    ...more,
  }
}

export const customJson = { task: 'custom_json', path: 'a.jsonl' }

export function conversation(...contents: readonly unknown[]): { role: string; content: unknown }[] {
  return contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }))
}

export function jsonLines(rows: readonly unknown[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

export const goodLines = jsonLines([conversation('hi', 'hello'), conversation('1+1?', '2')])

/** Parquet columns by a short notation of their type; `string?[]` and structs of them as datasets write them. */
export type ParquetType =
  | 'string'
  | 'int'
  | 'double'
  | 'bool'
  | { readonly list: ParquetType }
  | { readonly struct: Readonly<Record<string, ParquetType>> }

export function parquetOf(
  columns: Readonly<Record<string, { readonly type: ParquetType; readonly data: readonly unknown[] }>>,
  options: { readonly rowGroupSize?: number } = {},
): Uint8Array {
  const writer = new ByteWriter()
  const names = Object.keys(columns)
  const root: SchemaElement = { name: 'schema', num_children: names.length }
  void parquetWrite({
    writer,
    columnData: names.map((name) => ({ name, data: [...columns[name]!.data] })),
    schema: [root, ...names.flatMap((name) => elements(name, columns[name]!.type))],
    ...options,
  })
  return new Uint8Array(writer.getBuffer())
}

function elements(name: string, type: ParquetType): SchemaElement[] {
  const optional = { name, repetition_type: 'OPTIONAL' } as const
  if (type === 'string') return [{ ...optional, type: 'BYTE_ARRAY', converted_type: 'UTF8' }]
  if (type === 'int') return [{ ...optional, type: 'INT64' }]
  if (type === 'double') return [{ ...optional, type: 'DOUBLE' }]
  if (type === 'bool') return [{ ...optional, type: 'BOOLEAN' }]
  if ('list' in type) {
    return [
      { ...optional, num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...elements('element', type.list),
    ]
  }
  return [
    { ...optional, num_children: Object.keys(type.struct).length },
    ...Object.entries(type.struct).flatMap(([field, inner]) => elements(field, inner)),
  ]
}

export const messageList: ParquetType = { list: { struct: { role: 'string', content: 'string' } } }

/** The tokens of a shard in the output folder (uint16). */
export function tokensOf(lab: Lab, name: string): number[] {
  const bytes = readFileSync(join(lab.out, name))
  return Array.from({ length: (bytes.length - 1024) / 2 }, (_, i) => bytes.readUInt16LE(1024 + 2 * i))
}

/** The lines of rejected.jsonl. */
export function rejectedOf(lab: Lab): {
  split: string
  source: string
  file: string
  row?: number
  line?: number
  why: string
  value?: unknown
}[] {
  const text = readFileSync(join(lab.out, 'rejected.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { split: string; source: string; file: string; why: string })
}

/** A parquet file of rows given as objects. */
export function parquetRows(
  columns: Readonly<Record<string, ParquetType>>,
  rows: readonly Recipe[],
): Uint8Array {
  return parquetOf(
    Object.fromEntries(
      Object.entries(columns).map(([name, type]) => [name, { type, data: rows.map((row) => row[name]) }]),
    ),
  )
}
