/** Locks on disk: `nanochat-sft.lock.json` beside `nanochat-sft.yaml`. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import type { Lock } from '../pipeline/lock.ts'
import type { Json } from '../store/types.ts'

export function lockPath(recipe: string): string {
  return join(dirname(recipe), `${basename(recipe).replace(/\.ya?ml$/i, '')}.lock.json`)
}

export async function writeLock(path: string, lock: Lock): Promise<void> {
  await writeFile(path, `${JSON.stringify(lock, null, 2)}\n`)
}

export async function readLock(path: string): Promise<Lock> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new ShardmillError('LOCKED', `there is no lock ${path}`, {
      hint: 'Write one with `shardmill build … --write-lock`.',
    })
  }
  try {
    const lock = JSON.parse(text) as Lock
    if (lock.schema !== 1 || lock.splits === undefined) throw new TypeError('not a lock')
    return lock
  } catch {
    throw new ShardmillError('LOCKED', 'is not a lock of this version of shardmill', {
      at: { file: path },
      hint: 'Write it anew with --write-lock.',
    })
  }
}

/** Throws LOCKED, naming the first differences, unless the recipe still resolves to exactly this lock. */
export function assertSameLock(expected: Lock, found: Lock): void {
  if (canonicalJson(expected as unknown as Json) === canonicalJson(found as unknown as Json)) return
  const differences = differencesOf(expected, found, '')
  const shown = differences.slice(0, 5).join('; ')
  throw new ShardmillError(
    'LOCKED',
    `the recipe no longer resolves to its lock: ${shown}${differences.length > 5 ? `; and ${differences.length - 5} more` : ''}`,
    {
      hint: 'Build without --locked to take what is there now, and --write-lock to keep it.',
      details: { differences },
    },
  )
}

function differencesOf(expected: unknown, found: unknown, path: string): string[] {
  if (expected === found) return []
  const bothObjects =
    typeof expected === 'object' && typeof found === 'object' && expected !== null && found !== null
  if (!bothObjects) return [`${path.slice(1)} is ${show(found)}, the lock says ${show(expected)}`]
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])]
  return names.flatMap((name) =>
    differencesOf(
      (expected as Record<string, unknown>)[name],
      (found as Record<string, unknown>)[name],
      `${path}.${name}`,
    ),
  )
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
