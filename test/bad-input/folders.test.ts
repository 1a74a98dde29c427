/** Output folders and stores that cannot be used, or may not be. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nobody } from '../nobody.ts'
import { customJson, expectRefusal, goodLines, Lab, type Ran, ROOT, recipeOf, shardmill } from './support.ts'

const preload = join(ROOT, 'test', 'faults', 'fs-preload.mjs')
const asNobody = { uid: nobody }

function lab(): Lab {
  const made = new Lab()
  made.write('a.jsonl', goodLines)
  made.recipe(recipeOf(customJson))
  return made
}

const build = (
  of: Lab,
  out: string,
  store: string,
  options: Parameters<typeof shardmill>[1] = {},
): Promise<Ran> =>
  shardmill(['build', 'recipe.yaml', '--out', out, '--store', store, '--threads', '1', '--json'], {
    cwd: of.dir,
    ...options,
  })

const output = { exit: 1, code: 'OUTPUT' }
const stored = { exit: 1, code: 'STORE' }

describe.concurrent('the output', () => {
  test('is a file', async () => {
    const here = lab()
    here.write('out', 'mine')
    expectRefusal(await build(here, 'out', 'store'), {
      ...output,
      says: 'out is a file, expected a folder',
      hint: '--out',
    })
    expect(readFileSync(here.out, 'utf8')).toBe('mine')
    // Nothing was done for it.
    expect(existsSync(here.store)).toBe(false)
  })

  test('lies in a file: the file is named', async () => {
    const here = lab()
    here.write('a/file', '')
    for (const out of ['a/file/', 'a/file/out', 'a/file/b/out/']) {
      expectRefusal(await build(here, out, 'store'), {
        ...output,
        says: /^a\/file is a file, expected a folder$/,
        hint: '--out',
      })
    }
  })

  test('holds files that are not ours', async () => {
    const here = lab()
    here.write('out/thesis.txt', 'mine')
    expectRefusal(await build(here, 'out', 'store'), {
      ...output,
      says: 'out has files that shardmill did not write',
      hint: /new folder/,
    })
    expect(readFileSync(join(here.out, 'thesis.txt'), 'utf8')).toBe('mine')
    // Also beside our own, also when they come later.
    expect((await build(here, 'out2', 'store')).code).toBe(0)
    here.write('out2/notes.txt', 'mine')
    expectRefusal(await build(here, 'out2', 'store'), { ...output, says: 'it holds "notes.txt"', hint: true })
    expect(readdirSync(here.path('out2'))).toContain('sft_train_000000.bin')
  })

  test('holds files of the kinds that we write, which are not ours: none is lost', async () => {
    const here = lab()
    expect((await build(here, 'out', 'store')).code).toBe(0)
    const theirs = ['ckpt/step100.pt', 'model.pt', 'my-conversations.jsonl', 'embeddings.parquet']
    const ours = ['sft_train_000007.bin', 'val/index.json']
    for (const name of [...theirs, ...ours]) {
      here.write(`out/${name}`, 'mine')
      const refused = { ...output, says: `it holds "${name}"`, hint: true as const }
      expectRefusal(await build(here, 'out', 'store'), refused)
      // Also when either of the two files that tell what is ours is gone.
      for (const lost of ['manifest.json', 'provenance.jsonl']) {
        renameSync(here.path(`out/${lost}`), here.path(lost))
        expectRefusal(await build(here, 'out', 'store'), refused)
        renameSync(here.path(lost), here.path(`out/${lost}`))
      }
      expect(readFileSync(here.path(`out/${name}`), 'utf8')).toBe('mine')
      const verified = await shardmill(['verify', 'out'], { cwd: here.dir })
      expect(verified.code).toBe(3)
      expect(verified.stderr).toMatch(/hint: Move away what is not in the manifest/)
      rmSync(here.path(`out/${name.split('/')[0]}`), { recursive: true })
    }
    expect((await build(here, 'out', 'store')).code).toBe(0)
  })

  test('is the folder that the command runs in', async () => {
    const here = lab()
    mkdirSync(here.out)
    expectRefusal(
      await shardmill(['build', '../recipe.yaml', '--out', '.', '--store', '../store', '--json'], {
        cwd: here.out,
      }),
      { ...output, says: '. is the folder this runs in, or holds it', hint: '--out' },
    )
    expect(existsSync(here.store)).toBe(false)
  })

  test('is a link that leads nowhere', async () => {
    const here = lab()
    symlinkSync('gone', here.out)
    expectRefusal(await build(here, 'out', 'store'), {
      ...output,
      says: 'out is a symbolic link to gone, which is not there',
      hint: '--out',
    })
    expect(existsSync(here.store)).toBe(false)
  })

  test('stays as private as it was', async () => {
    const here = lab()
    mkdirSync(here.out)
    chmodSync(here.out, 0o700)
    for (const recipe of [recipeOf(customJson), { ...recipeOf(customJson), maxSeqLen: 7 }]) {
      here.recipe(recipe)
      expect((await build(here, 'out', 'store')).code).toBe(0)
      expect(statSync(here.out).mode & 0o777).toBe(0o700)
    }
    chmodSync(here.out, 0o2750)
    here.recipe(recipeOf(customJson))
    expect((await build(here, 'out', 'store')).code).toBe(0)
    expect(statSync(here.out).mode & 0o7777).toBe(0o2750)
  })

  test('cannot be named from a folder that is gone', async () => {
    const here = lab()
    mkdirSync(here.path('gone'))
    const ran = spawnSync(
      '/bin/sh',
      [
        '-c',
        `cd gone && rmdir ../gone && exec "$0" "$@"`,
        process.execPath,
        join(ROOT, 'dist', 'cli', 'shardmill.cjs'),
        ...['build', here.path('recipe.yaml'), '--out', here.out, '--store', here.store],
      ],
      { cwd: here.dir, encoding: 'utf8' },
    )
    expect(ran.stderr).toBe(
      'error: the folder this runs in is not there any more\nhint: Run the command from a folder that is.\n',
    )
    expect(ran.status).toBe(2)
  })

  test('holds a manifest that is damaged', async () => {
    const here = lab()
    here.write('out/manifest.json', '{')
    expectRefusal(await build(here, 'out', 'store'), {
      ...output,
      says: 'manifest.json is damaged',
      hint: true,
    })
  })

  test('is the recipe’s own folder', async () => {
    const here = lab()
    expectRefusal(await build(here, '.', new Lab().store), {
      ...output,
      says: 'has files that shardmill did not write',
      hint: true,
    })
    expect(existsSync(here.path('recipe.yaml'))).toBe(true)
  })

  test('is the store, lies in it, or holds it', async () => {
    const here = lab()
    for (const [out, store] of [
      ['same', 'same'],
      ['store/out', 'store'],
      ['whole', 'whole/store'],
      ['same2/', './same2'],
    ] as const) {
      expectRefusal(await build(here, out, store), { ...output, says: 'the store', hint: '--out' })
    }
    symlinkSync('store3', here.path('link'))
    mkdirSync(here.path('store3'))
    expectRefusal(await build(here, 'link', 'store3'), { ...output, says: 'the store', hint: '--out' })
  })

  test('lies in folders that are not there yet: they are made', async () => {
    const here = lab()
    expect((await build(here, 'new/deep/out', 'other/deep/store')).code).toBe(0)
    expect(existsSync(here.path('new/deep/out/manifest.json'))).toBe(true)
  })

  test('may not be written', async () => {
    const here = lab()
    mkdirSync(here.path('locked'))
    chmodSync(here.path('locked'), 0o555)
    mkdirSync(here.path('store'))
    chmodSync(here.path('store'), 0o777)
    expectRefusal(await build(here, 'locked/out', 'store', asNobody), {
      ...output,
      says: ['locked/out', 'EACCES'],
      hint: '--out',
    })
    mkdirSync(here.path('locked2'))
    chmodSync(here.path('locked2'), 0o000)
    expectRefusal(await build(here, 'locked2/out', 'store', asNobody), {
      ...output,
      says: ['locked2/out', 'EACCES'],
      hint: '--out',
    })
    chmodSync(here.path('locked2'), 0o755)
  })

  for (const fault of ['ENOSPC', 'EIO', 'EROFS']) {
    test(`fails with ${fault} while it is written`, async () => {
      const here = lab()
      const env = { SHARDMILL_TEST_FAULT: `write:*:${fault}`, SHARDMILL_TEST_FAULT_PATH: '.shardmill-new-' }
      const says = fault === 'ENOSPC' ? 'out: the disk is full' : /^out cannot be written/
      expectRefusal(await build(here, 'out', 'store', { env, node: ['--import', preload] }), {
        ...output,
        says,
        hint: true,
      })
      here.expectNothingPublished()
      expect((await build(here, 'out', 'store')).code).toBe(0)
    })
  }

  test('refuses one write while the build goes on: that file is written again', async () => {
    const here = lab()
    const env = { SHARDMILL_TEST_FAULT: 'write:1:EIO', SHARDMILL_TEST_FAULT_PATH: '.shardmill-new-' }
    expect((await build(here, 'out', 'store', { env, node: ['--import', preload] })).code).toBe(0)
    expect((await shardmill(['verify', 'out'], { cwd: here.dir })).code).toBe(0)
    expect(readdirSync(here.dir).filter((name) => name.includes('shardmill-new'))).toEqual([])
  })
})

describe.concurrent('the store', () => {
  test('is a file, or lies in one', async () => {
    const here = lab()
    here.write('store', 'mine')
    expectRefusal(await build(here, 'out', 'store'), { ...stored, says: here.store, hint: true })
    expectRefusal(await build(here, 'out', 'store/deep'), { ...stored, says: here.store, hint: true })
    expect(readFileSync(here.store, 'utf8')).toBe('mine')
    here.expectNothingPublished()
  })

  test('is a folder with other things in it', async () => {
    const here = lab()
    here.write('store/thesis.txt', 'mine')
    const ran = await build(here, 'out', 'store')
    // Refused or left alone; never removed.
    expect([0, 1]).toContain(ran.code)
    expect(readFileSync(join(here.store, 'thesis.txt'), 'utf8')).toBe('mine')
  })

  test('may not be written', async () => {
    const here = lab()
    mkdirSync(here.path('locked'))
    chmodSync(here.path('locked'), 0o555)
    mkdirSync(here.path('open'))
    chmodSync(here.path('open'), 0o777)
    expectRefusal(await build(here, 'open/out', 'locked', asNobody), {
      ...stored,
      says: ['no permission', here.path('locked')],
      hint: '--store',
    })
    expectRefusal(await build(here, 'open/out', 'locked/store', asNobody), {
      ...stored,
      says: ['no permission', here.path('locked')],
      hint: '--store',
    })
    expect(readdirSync(here.path('open'))).toEqual([])
  })

  test('is read-only but has everything: the same output still verifies', async () => {
    const here = lab()
    expect((await build(here, 'out', 'store')).code).toBe(0)
    expect((await shardmill(['verify', here.out], asNobody)).code).toBe(0)
  })

  for (const fault of ['ENOSPC', 'EIO', 'EROFS']) {
    test(`fails with ${fault} while a stage works`, async () => {
      const here = lab()
      const kind = fault === 'EROFS' ? 'open' : 'write'
      const env = { SHARDMILL_TEST_FAULT: `${kind}:9+:${fault}`, SHARDMILL_TEST_FAULT_PATH: here.store }
      const ran = await build(here, 'out', 'store', { env, node: ['--import', preload] })
      expectRefusal(ran, { ...stored, says: [fault, here.store], hint: true })
      here.expectNothingPublished()
      expect((await build(here, 'out', 'store')).code).toBe(0)
    })
  }
})

describe.concurrent('commands that read a folder', () => {
  const nothing: [args: string[], code: string, says: string | RegExp][] = [
    [['verify', 'nope'], 'OUTPUT', 'nope has no manifest.json'],
    [['verify', 'recipe.yaml'], 'OUTPUT', 'recipe.yaml'],
    [['verify', 'empty'], 'OUTPUT', 'empty has no manifest.json'],
    [['inspect', 'nope.bin'], 'OUTPUT', /manifest\.json|nope\.bin/],
    [['inspect', 'empty/x.bin'], 'OUTPUT', 'empty'],
    [['trace', 'nope.bin'], 'OUTPUT', /manifest\.json|nope\.bin/],
    [['trace', 'empty'], 'OUTPUT', /manifest\.json|empty/],
  ]
  test.each(nothing)('%j', async (args, code, says) => {
    const here = lab()
    mkdirSync(here.path('empty'))
    expectRefusal(await shardmill([...args, '--json'], { cwd: here.dir }), {
      exit: 1,
      code,
      says,
      hint: true,
    })
  })

  test('a shard that is not there, past its end, or no shard', async () => {
    const here = lab()
    expect((await build(here, 'out', 'store')).code).toBe(0)
    const run = (...args: string[]) => shardmill([...args, '--store', 'store', '--json'], { cwd: here.dir })
    expectRefusal(await run('inspect', 'out/sft_train_000009.bin'), {
      exit: 1,
      code: 'OUTPUT',
      says: 'sft_train_000009.bin',
      hint: true,
    })
    expectRefusal(await run('inspect', 'out/sft_train_000000.bin', '--at', '99999'), {
      exit: 2,
      code: 'USAGE',
      says: ['--at', '99999'],
    })
    expectRefusal(await run('inspect', 'out/sft_train_000000.bin', '--at', '-1'), {
      exit: 2,
      code: 'USAGE',
      says: '--at is "-1"',
    })
    expectRefusal(await run('inspect', 'out/sft_train_000000.bin', '--conversations', '0'), {
      exit: 2,
      code: 'USAGE',
      says: '--conversations is "0"',
    })
    expectRefusal(await run('inspect', 'out/config.json'), {
      exit: 1,
      code: 'OUTPUT',
      says: 'out/config.json is no shard of this folder (llmc-bin)',
      hint: true,
    })
    expectRefusal(await shardmill(['trace', 'out/sft_train_000009.bin', '--json'], { cwd: here.dir }), {
      exit: 1,
      code: 'OUTPUT',
      says: 'the manifest of out has no file sft_train_000009.bin; did you mean sft_train_000000.bin?',
    })
    // Damaged: said by verify, with exit code 3.
    writeFileSync(join(here.out, 'sft_train_000000.bin'), 'short')
    const verified = await shardmill(['verify', 'out', '--json'], { cwd: here.dir })
    expect(verified.code).toBe(3)
    expect(verified.stderr).toContain('sft_train_000000.bin')
    writeFileSync(join(here.out, 'manifest.json'), '{"schema": 1')
    expectRefusal(await shardmill(['verify', 'out', '--json'], { cwd: here.dir }), {
      exit: 3,
      code: 'VERIFY',
      says: 'manifest.json: is not JSON',
      hint: true,
    })
  })
})
