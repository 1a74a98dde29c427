/** Locks on disk: `nanochat-sft.lock.json` beside `nanochat-sft.yaml`. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import { type Lock, splitNames } from '../pipeline/lock.ts'
import type { Json } from '../store/types.ts'

export function lockPath(recipe: string): string {
  return join(dirname(recipe), `${basename(recipe).replace(/\.ya?ml$/i, '')}.lock.json`)
}

/** As far as a build relies on a lock before it has compared it with what the recipe resolves to. */
const lockShape = z
  .looseObject({
    schema: z.literal(1),
    tokenizer: z.looseObject({ file: z.looseObject({}) }),
    splitOrder: z.array(z.string()).optional(),
    splits: z.record(z.string(), z.array(sourceShape())),
  })
  .refine((lock) => splitNames(lock as Pick<Lock, 'splitOrder'>).every((name) => name in lock.splits))

function sourceShape() {
  const files = z.record(z.string(), z.looseObject({}))
  return z.looseObject({ origin: z.looseObject({ kind: z.string() }), aux: files })
}

export async function writeLock(path: string, lock: Lock): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(lock, null, 2)}\n`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    const why = code === 'ENOENT' ? 'its folder does not exist' : code === 'EISDIR' ? 'it is a folder' : code
    throw new ShardmillError('OUTPUT', `the lock ${path} cannot be written: ${why}`, {
      hint: 'Name a file in a folder that is there with --write-lock.',
      cause: error,
    })
  }
}

export async function readLock(path: string): Promise<Lock> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    const why = code === 'ENOENT' ? `there is no lock ${path}` : `the lock ${path} cannot be read (${code})`
    throw new ShardmillError('LOCKED', why, {
      hint: 'Write one with `shardmill build … --write-lock`.',
      cause: error,
    })
  }
  try {
    const lock: unknown = JSON.parse(text)
    lockShape.parse(lock)
    return lock as Lock
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
