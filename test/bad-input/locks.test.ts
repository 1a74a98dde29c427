/** Locks, manifests and servers' folders that are not what they should be. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { readManifest } from '../../output/manifest.ts'
import { readProvenance, traceFile } from '../../output/trace.ts'
import { verifyFolder } from '../../output/verify-folder.ts'
import { customJson, expectRefusal, goodLines, Lab, recipeOf, shardmill } from './support.ts'

function lab(): Lab {
  const made = new Lab()
  made.write('a.jsonl', goodLines)
  return made
}

describe.concurrent('--locked', () => {
  const locked = { exit: 4, code: 'LOCKED' }
  const broken: [content: string | undefined, says: string][] = [
    [undefined, 'there is no lock my.lock.json'],
    ['', 'my.lock.json: is not a lock of this version of shardmill'],
    ['null', 'my.lock.json: is not a lock of this version of shardmill'],
    ['{"schema": 2}', 'my.lock.json: is not a lock of this version of shardmill'],
    ['{"schema": 1, "splits": {}}', 'my.lock.json: is not a lock of this version of shardmill'],
    [
      '{"schema": 1, "tokenizer": {}, "splits": {"val": [], "train": [{}]}}',
      'my.lock.json: is not a lock of this version of shardmill',
    ],
  ]
  test.each(broken)('%j', async (content, says) => {
    const here = lab()
    if (content !== undefined) here.write('my.lock.json', content)
    await here.refuses(
      recipeOf(customJson),
      { ...locked, says, hint: '--write-lock' },
      { args: ['--locked', 'my.lock.json'] },
    )
  })

  test('a folder; a recipe that has moved', async () => {
    const here = lab()
    await here.refuses(
      recipeOf(customJson),
      { ...locked, says: 'the lock . cannot be read (EISDIR)' },
      { args: ['--locked', '.'] },
    )
    const unwritable = { exit: 1, code: 'OUTPUT', hint: '--write-lock' }
    await here.refuses(
      recipeOf(customJson),
      { ...unwritable, says: 'the lock no/such/lock.json cannot be written: its folder does not exist' },
      { args: ['--write-lock', 'no/such/lock.json'] },
    )
    await here.refuses(
      recipeOf(customJson),
      { ...unwritable, says: 'the lock . cannot be written: it is a folder' },
      { args: ['--write-lock', '.'] },
    )
    await here.builds(recipeOf(customJson), { args: ['--write-lock'] })
    const text = readFileSync(here.path('recipe.lock.json'), 'utf8')
    writeFileSync(here.path('recipe.lock.json'), text.replace('"maxSeqLen": 64', '"maxSeqLen": 65'))
    const moved = expectRefusal(await here.build(recipeOf(customJson), { args: ['--locked'] }), {
      ...locked,
      says: 'the recipe no longer resolves to its lock: maxSeqLen is 64, the lock says 65',
      hint: '--locked',
    })
    expect(moved.details).toEqual({ differences: ['maxSeqLen is 64, the lock says 65'] })
  })
})

test('a manifest with any field gone, null, or of another kind: said, never a crash', async () => {
  const here = lab()
  await here.builds(recipeOf(customJson, { onBadRow: 'quarantine' }))
  const whole = JSON.parse(readFileSync(join(here.out, 'manifest.json'), 'utf8')) as Record<string, unknown>
  const { signal } = new AbortController()
  const told: string[] = []
  const attempt = async (manifest: unknown) => {
    writeFileSync(join(here.out, 'manifest.json'), JSON.stringify(manifest))
    try {
      const { problems } = await verifyFolder(here.out, { signal })
      told.push(...problems.map(({ why }) => why))
      const read = await readManifest(here.out)
      const file = read?.files[0]
      if (read !== undefined && file !== undefined) traceFile(read, await readProvenance(here.out), file)
    } catch (error) {
      if (!isShardmillError(error)) throw Object.assign(error as Error, { manifest })
      told.push(error.message)
    }
  }
  /** The manifest with one thing in it changed, for each thing in it. */
  function* changes(value: unknown, rebuild: (changed: unknown) => unknown): Generator<unknown> {
    for (const other of [null, 'text']) yield rebuild(other)
    if (typeof value !== 'object' || value === null) return
    for (const [name, inner] of Object.entries(value)) {
      const without = Array.isArray(value)
        ? value.filter((_, i) => i !== Number(name))
        : Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))
      yield rebuild(without)
      yield* changes(inner, (changed) =>
        rebuild(
          Array.isArray(value)
            ? value.map((old, i) => (i === Number(name) ? changed : old))
            : { ...value, [name]: changed },
        ),
      )
    }
  }
  let count = 0
  for (const changed of changes(whole, (value) => value)) {
    await attempt(changed)
    count++
  }
  expect(count).toBeGreaterThan(300)
  for (const text of told)
    expect(text).not.toMatch(/is not a function|Cannot read|\[object Object\]|not iterable/)
})

describe.concurrent('the hub command', () => {
  test('a folder that is not there, a file, a port that is taken or none', async () => {
    const here = lab()
    const run = (...args: string[]) => shardmill(['hub', ...args], { cwd: here.dir })
    expectRefusal(
      await run('nope'),
      { exit: 1, code: 'NOT_FOUND', says: 'the folder "nope" does not exist', hint: true },
      false,
    )
    expectRefusal(
      await run('a.jsonl'),
      { exit: 1, code: 'NOT_FOUND', says: '"a.jsonl" is a file, expected a folder', hint: true },
      false,
    )
    expectRefusal(
      await run('.', '--port', '99999'),
      { exit: 2, code: 'USAGE', says: '99999 is not a port' },
      false,
    )
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    expectRefusal(
      await run('.', '--port', String(port)),
      { exit: 2, code: 'USAGE', says: 'already in use', hint: 'another port' },
      false,
    )
    taken.close()
  })
})

test('empty arguments', async () => {
  const here = lab()
  here.recipe(recipeOf(customJson))
  const run = (...args: string[]) => shardmill(args, { cwd: here.dir })
  expectRefusal(await run('build', 'recipe.yaml', '--out', '', '--store', 'store', '--json'), {
    exit: 2,
    code: 'USAGE',
    says: '--out is empty',
    hint: true,
  })
  expectRefusal(await run('plan', '', '--json'), { exit: 2, code: 'RECIPE', says: 'there is no such file' })
})

// Below a file there are no folders on any system; below /proc there is nobody who may make one.
test.each([
  ['a.jsonl/x', 'a.jsonl is a file'],
  ...(process.platform === 'linux' ? [['/proc/shardmill', '/proc/shardmill/out'] as const] : []),
] as const)('folders that can never be made: below %s', async (place, says) => {
  const here = lab()
  here.recipe(recipeOf(customJson))
  const run = (out: string, store: string) =>
    shardmill(['build', 'recipe.yaml', '--out', out, '--store', store, '--threads', '1', '--json'], {
      cwd: here.dir,
    })
  expectRefusal(await run(`${place}/out`, 'store'), {
    exit: 1,
    code: 'OUTPUT',
    says,
    hint: true,
  })
  expectRefusal(await run('out', `${place}/store`), {
    exit: 1,
    code: 'STORE',
    says: `${place}/store`,
    hint: true,
  })
})
