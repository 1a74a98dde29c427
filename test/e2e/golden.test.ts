/** The golden recipe, byte for byte what the reference wrote, wherever and however it is built. */

import { cpSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type Bench,
  bench,
  buildOn,
  copyHub,
  digestsOf,
  filesUnder,
  golden,
  goldenHub,
  goldenRecipe,
  manifestOf,
  ok,
  outputOf,
  serve,
  temporaryFolder,
} from './cli.ts'

interface ExpectedRun {
  readonly shard_size: number
  readonly max_seq_len: number
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>
}
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as { runs: ExpectedRun[] }

let at: Bench
beforeAll(async () => {
  at = bench(goldenRecipe(), await serve(goldenHub))
})

describe('the four runs of the reference', () => {
  // One store for all four: what a run takes from the run before must not show in its bytes.
  for (const { shard_size, max_seq_len, files } of expected.runs) {
    test(`shards of ${shard_size} tokens, conversations of at most ${max_seq_len}`, async () => {
      const out = join(at.folder, `out-${shard_size}-${max_seq_len}`)
      const report = await buildOn({ ...at, args: ['build', at.recipe, '--out', out, '--store', at.store] }, [
        '--set',
        `shardTokens=${shard_size}`,
        '--set',
        `maxSeqLen=${max_seq_len}`,
      ])
      const wanted = Object.entries(files).map(([path, { sha256, bytes }]) => ({ path, sha256, bytes }))
      const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1)
      expect([...report.files].sort(byPath)).toEqual(wanted.sort(byPath))
      const { 'manifest.json': manifest, ...written } = outputOf(out)
      expect(written).toEqual(Object.fromEntries(wanted.map(({ path, sha256 }) => [path, sha256])))
      expect(manifest).toBeDefined()

      const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<
        string,
        number | Record<string, number>
      >
      expect(report).toMatchObject({
        schema: 1,
        name: 'golden',
        output: out,
        published: 'written',
        vocabularySize: config['vocab_size'],
        overlap: 0,
      })
      for (const split of ['val', 'train'] as const) {
        const { conversations, tokens, shards, truncated, sources } = report.splits[split]
        expect({ conversations, tokens, shards, truncated }).toEqual({
          conversations: config[`${split}_conversations`],
          tokens: config[`${split}_tokens`],
          shards: config[`${split}_shards`],
          truncated: config[`${split}_truncated`],
        })
        expect(Object.fromEntries(sources.map((source) => [source.label, source.conversations]))).toEqual(
          config[`${split}_source_counts`],
        )
      }
      expect(report.stages.run + report.stages.cached).toBe(manifestOf(out).stages.length)
      expect(await ok(['verify', out])).toMatchObject({ stderr: '' })
    })
  }
})

describe('whatever must not matter does not', () => {
  let first: Record<string, string>
  beforeAll(async () => {
    await buildOn(at)
    first = outputOf(at.out)
  })

  for (const threads of ['1', '3']) {
    test(`threads: ${threads}`, async () => {
      const other = bench(goldenRecipe(), { url: at.env['HF_ENDPOINT']! })
      await buildOn({ ...other, args: [...other.args.slice(0, -1), threads] })
      expect(outputOf(other.out)).toEqual(first)
    })
  }

  test('another folder, clock, locale, file age and file order, another hub: only provenance.jsonl differs', async () => {
    const hubFolder = copyHub()
    filesUnder(hubFolder).forEach((path, i) => {
      utimesSync(join(hubFolder, path), new Date(1e12 - i * 1e9), new Date(1e12 - i * 1e9))
    })
    const other = bench(
      goldenRecipe(),
      await serve(hubFolder),
      join(temporaryFolder(), 'a folder', 'mit Umläuten'),
    )
    for (const name of ['words.txt', 'tokenizer.pkl', 'phrasebook.json'])
      utimesSync(join(other.folder, name), new Date(2e12), new Date(1e9))
    const env = {
      TZ: 'Pacific/Kiritimati',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
      TMPDIR: temporaryFolder(),
      COLUMNS: '20',
      FORCE_COLOR: '1',
    }
    await buildOn(other, [], { env, cwd: other.folder })
    expect(outputOf(other.out)).toEqual(first)
    const [mine, theirs] = [digestsOf(at.out), digestsOf(other.out)]
    expect(Object.keys(mine)).toEqual(Object.keys(theirs))
    expect(Object.keys(mine).filter((path) => mine[path] !== theirs[path])).toEqual(['provenance.jsonl'])
  })

  test('names given as absolute paths leave no trace of the folder they lie in', async () => {
    const builtIn = async (folder: string) => {
      const place = bench(goldenRecipe(), { url: at.env['HF_ENDPOINT']! }, folder)
      const absolute = (path: string, file: string) => [
        '--set',
        `${path}=${JSON.stringify(join(folder, file))}`,
      ]
      await buildOn(place, [
        ...absolute('tokenizer.path', 'tokenizer.pkl'),
        ...absolute('splits.train[3].path', 'identity_conversations.jsonl'),
        ...absolute('splits.train[4].words', 'words.txt'),
      ])
      return outputOf(place.out)
    }
    const one = await builtIn(temporaryFolder())
    expect(await builtIn(temporaryFolder())).toEqual(one)
    const { 'manifest.json': _, ...shards } = one
    expect(first).toMatchObject(shards)
  })

  test('a copy of the output folder is as good as the first', async () => {
    const copy = join(temporaryFolder(), 'copy')
    cpSync(at.out, copy, { recursive: true })
    await ok(['verify', copy])
  })
})
