/** The golden recipe with its store in a bucket: byte for byte what it is with a store in a folder. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { s3Suite } from '../store/s3-server.ts'
import { backdoor, newLocation } from '../store/s3-support.ts'
import {
  type Bench,
  bench,
  buildOn,
  expectClearError,
  golden,
  goldenHub,
  goldenRecipe,
  json,
  manifestOf,
  ok,
  outputOf,
  run,
  serve,
  smallRecipe,
  temporaryFolder,
  writeRecipe,
} from './cli.ts'

interface ExpectedRun {
  readonly shard_size: number
  readonly max_seq_len: number
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>
}
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as { runs: ExpectedRun[] }

/** Must show up nowhere. */
const SECRET = 'planted-secret-0123456789'

s3Suite('the golden recipe with its store in a bucket', (server) => {
  const { shard_size, max_seq_len, files } = expected.runs[0]!
  const location = newLocation()
  const sizes = ['--set', `shardTokens=${shard_size}`, '--set', `maxSeqLen=${max_seq_len}`]
  const digests = Object.fromEntries(Object.entries(files).map(([path, { sha256 }]) => [path, sha256]))
  const aws = (cache: string) => ({
    AWS_ENDPOINT_URL_S3: server.endpoint,
    AWS_ACCESS_KEY_ID: process.env['AWS_ACCESS_KEY_ID'] ?? '',
    AWS_SECRET_ACCESS_KEY:
      server.kind === 'the server given' ? (process.env['AWS_SECRET_ACCESS_KEY'] ?? '') : SECRET,
    AWS_REGION: process.env['AWS_REGION'] ?? 'us-east-1',
    XDG_CACHE_HOME: cache,
  })
  let here: Bench
  let env: Record<string, string>
  const on = (at: Bench, out: string) => [
    'build',
    at.recipe,
    '--out',
    out,
    '--store',
    location,
    '--threads',
    '2',
    ...sizes,
  ]

  beforeAll(async () => {
    here = bench(goldenRecipe(), await serve(goldenHub))
    env = { ...here.env, ...aws(join(here.folder, 'cache')) }
    const report = await json<{ published: string; stages: { cached: number } }>(on(here, here.out), { env })
    expect(report).toMatchObject({ published: 'written', stages: { cached: 0 } })
  })

  describe('a build with its store in a bucket', () => {
    test('gives the bytes of the reference, and the manifest of a store in a folder', async () => {
      const { 'manifest.json': manifest, 'provenance.jsonl': _, ...written } = outputOf(here.out)
      expect(written).toEqual(digests)
      const folder = join(here.folder, 'beside')
      await buildOn({ ...here, args: ['build', here.recipe, '--out', folder, '--store', here.store] }, sizes)
      expect(outputOf(folder)['manifest.json']).toBe(manifest)
      await ok(['verify', here.out])
    })

    test('again, also on another machine, is cached', async () => {
      const stages = manifestOf(here.out).stages.length
      const again = await json(on(here, here.out), { env })
      expect(again).toMatchObject({ published: 'unchanged', stages: { run: 0, cached: stages } })
      const elsewhere = join(temporaryFolder(), 'out')
      const there = await json(on(here, elsewhere), { env: { ...here.env, ...aws(temporaryFolder()) } })
      expect(there).toMatchObject({ published: 'written', stages: { run: 0, cached: stages } })
      expect(outputOf(elsewhere)).toEqual(outputOf(here.out))
    })

    test('is planned, inspected, listed and checked', async () => {
      const options = { env }
      const plan = await ok(['plan', here.recipe, '--store', location, ...sizes], options)
      expect(plan.stdout).not.toMatch(/\brun\b.*never run before/)
      const shard = Object.keys(digests).find((path) => path.endsWith('000000.bin'))!
      const inspected = await ok(['inspect', join(here.out, shard), '--store', location], options)
      expect(inspected.stdout).toContain('<|assistant_start|>')
      const listed = await json<{ store: string; builds: { name: string }[]; blobs: { count: number } }>(
        ['store', 'ls', '--store', location],
        options,
      )
      expect(listed).toMatchObject({ store: location, builds: [{ name: 'golden' }] })
      const checked = await json(['store', 'check', '--store', location], options)
      expect(checked).toMatchObject({ ok: true, blobs: listed.blobs.count, findings: [], foreign: [] })
    })

    test('heals a damaged blob, and a missing one', async () => {
      const behind = await backdoor(server.endpoint, location)
      const blobs = manifestOf(here.out).stages.filter(({ stage }) => stage === 'shard')
      const [first, second] = blobs.map(({ outputs }) => outputs['tokens']!)
      await behind.changeBlob(first!.digest as never, (bytes) =>
        Buffer.from(bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte))),
      )
      await behind.changeBlob(second!.digest as never, () => undefined)
      const checked = await run(['store', 'check', '--store', location, '--json'], { env })
      expect(checked.code).toBe(3)
      expect(
        JSON.parse(checked.stdout)
          .findings.map(({ kind }: { kind: string }) => kind)
          .sort(),
      ).toEqual(['corrupt', 'missing'])
      const out = join(here.folder, 'healed')
      expect(await json(on(here, out), { env })).toMatchObject({ stages: { run: 2 } })
      expect(outputOf(out)).toMatchObject(digests)
      expect(await json(['store', 'check', '--store', location], { env })).toMatchObject({ ok: true })
      behind.objects.close()
    })

    test('is forgotten by gc, which leaves nothing', async () => {
      const recipe = writeRecipe(here.folder, smallRecipe(), 'small.yaml')
      const own = newLocation()
      await ok(['build', recipe, '--out', join(here.folder, 'gc'), '--store', own], { env })
      const kept = await json(['store', 'gc', '--store', own, '--older-than', '0', '--yes'], { env })
      expect(kept).toMatchObject({ removed: { builds: 0, records: 0, blobs: 0 } })
      await json(['store', 'gc', '--store', own, '--older-than', '0', '--forget', 'small', '--yes'], { env })
      const behind = await backdoor(server.endpoint, own)
      expect(await behind.paths('')).toEqual([])
      behind.objects.close()
    })

    test('keeps the credentials out of everything it writes', async () => {
      const behind = await backdoor(server.endpoint, location)
      for (const path of await behind.paths('')) {
        const found = await behind.objects.getBytes(path, 1 << 30)
        expect(found?.bytes.includes(SECRET), path).toBe(false)
      }
      behind.objects.close()
      for (const bytes of Object.keys(outputOf(here.out)).map((path) => readFileSync(join(here.out, path)))) {
        expect(bytes.includes(SECRET)).toBe(false)
      }
    })
  })

  describe('what is wrong with a bucket is one clear error:', () => {
    const build = (store: string, more: Record<string, string> = {}) =>
      run(['build', here.recipe, '--out', join(here.folder, 'never'), '--store', store], {
        env: { ...env, ...more },
      })

    test.each([
      ['no such bucket', 's3://shardmill-no-such-bucket/x', {}, 1, /does not exist/],
      [
        'nobody there',
        location,
        { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9', AWS_MAX_ATTEMPTS: '2' },
        1,
        /cannot be reached/,
      ],
      ['no address', 's3:/bucket', {}, 2, /no address of a store/],
      ['a secret in the address', `s3://key:${SECRET}@bucket/x`, {}, 2, /no user or password/],
      ['another scheme', 'gs://bucket/x', {}, 2, /a folder or s3:/],
      ['a wrong bound', location, { SHARDMILL_S3_CACHE_BYTES: 'lots' }, 2, /SHARDMILL_S3_CACHE_BYTES/],
    ])('%s', async (_, store, more, code, words) => {
      const ended = await build(store, more)
      expectClearError(ended, [code])
      expect(ended.stderr).toMatch(words)
      expect(ended.stderr + ended.stdout).not.toContain(SECRET)
    })
  })
})
