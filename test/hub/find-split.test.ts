/** Which files a split is made of: by the card, by the usual names, by a glob, or as the hub has converted them. */
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../errors/index.ts'
import { CONVERTED_BRANCH, findSplit, type SplitWanted } from '../../hub/client/find-split.ts'
import type { Hub } from '../../hub/client/hub.ts'
import { failure, GSM, serve } from './client-fixture.ts'
import { bytesOf, COMMIT, type Fault, gitOid, type Logged, sha256, treeEntry } from './fault-server.ts'

describe('findSplit', () => {
  const find = async (
    wanted: SplitWanted,
    files: Record<string, Uint8Array> = GSM,
    repo = 'openai/gsm8k',
  ) => {
    const [, hub] = await serve({ files })
    return findSplit(hub, repo, wanted)
  }

  test('takes the files that the card names, pinned to the commit', async () => {
    const found = await find({ subset: 'main', split: 'train' })
    expect(found).toMatchObject({
      repo: 'openai/gsm8k',
      revision: 'main',
      commit: COMMIT,
      converted: false,
      subset: 'main',
      split: 'train',
      format: 'parquet',
    })
    expect(found.files.map(({ path }) => path)).toEqual([
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
    ])
    expect(found.files[1]).toMatchObject({
      repo: 'openai/gsm8k',
      commit: COMMIT,
      sha256: sha256(bytesOf(700, 2)),
    })
  })

  test('goes by the usual names without a card', async () => {
    const files = { 'o/d/train.jsonl': Buffer.from('{}\n'), 'o/d/test.jsonl': Buffer.from('{}\n') }
    const found = await find({ split: 'test' }, files, 'o/d')
    expect(found).toMatchObject({
      subset: 'default',
      format: 'jsonl',
      files: [{ path: 'test.jsonl', gitOid: gitOid(Buffer.from('{}\n')) }],
    })
  })

  const wrong: [string, SplitWanted, ErrorCode, RegExp, RegExp][] = [
    [
      'a misspelt subset',
      { subset: 'mian', split: 'train' },
      'NOT_FOUND',
      /no subset "mian"/,
      /mean "main"\? .*"main", "socratic"/,
    ],
    [
      'a far-off subset',
      { subset: 'zzzzzzzz', split: 'train' },
      'NOT_FOUND',
      /no subset/,
      /^Its subsets are "main", "socratic"\.$/,
    ],
    [
      'no subset where there are several',
      { split: 'train' },
      'RECIPE',
      /several subsets/,
      /"main", "socratic"/,
    ],
    [
      'a misspelt split',
      { subset: 'main', split: 'Test' },
      'NOT_FOUND',
      /subset "main" .* no split "Test"/,
      /mean "test"\? .*"train", "test"/,
    ],
    [
      'a split of another subset',
      { subset: 'socratic', split: 'test' },
      'NOT_FOUND',
      /subset "socratic" .* no split "test"/,
      /"train"/,
    ],
    [
      'a glob that matches nothing',
      { subset: 'main', split: 'train', files: 'main/trian-*' },
      'NOT_FOUND',
      /no file .* matches "main\/trian-\*"/,
      /files/,
    ],
    [
      'a glob for files of another split',
      { subset: 'main', split: 'train', files: '**/test-*' },
      'NOT_FOUND',
      /only files of other splits/,
      /split/,
    ],
    [
      'a glob for files that we cannot read',
      { subset: 'main', split: 'train', files: 'README.md' },
      'BAD_FILE',
      /cannot read \("md"\)/,
      /parquet/,
    ],
    [
      'a glob for files of two kinds',
      { subset: 'main', split: 'train', files: '{extra,main}/*' },
      'BAD_FILE',
      /mixes/,
      /parquet/,
    ],
  ]
  test.each(wrong)('gives one clear error for %s', async (_, wanted, code, text, hint) => {
    const error = await failure(find(wanted))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
    expect(error.hint).toMatch(hint)
  })

  test('with a glob never takes files of other splits along', async () => {
    const paths = async (wanted: SplitWanted) => (await find(wanted)).files.map(({ path }) => path)
    expect(await paths({ split: 'train', files: '**/*.parquet' })).toEqual([
      'main/train-00000-of-00002.parquet',
      'main/train-00001-of-00002.parquet',
      'socratic/train-00000-of-00001.parquet',
    ])
    expect(await paths({ subset: 'main', split: 'train', files: '**/*.parquet' })).toHaveLength(2)
    expect(await paths({ split: 'train', files: './main/*-00001-*' })).toEqual([
      'main/train-00001-of-00002.parquet',
    ])
    expect(await paths({ split: 'train', files: 'extra/*.jsonl' })).toEqual(['extra/more.jsonl'])
  })

  test.each(['', '/', './', 'x'.repeat(70_000)])('refuses a glob that is none (%#)', async (files) => {
    const error = await failure(find({ split: 'train', files }))
    expect(error).toMatchObject({ code: 'RECIPE', hint: expect.stringContaining('*.parquet') })
    expect(error.message).toMatch(/is no glob over paths of files$/)
  })

  test('refuses to use a file whose name has a backslash, and only then', async () => {
    const files = { 'o/d/train.jsonl': Buffer.from('{}'), 'o/d/a\\..\\evil.txt': Buffer.from('x') }
    expect((await find({ split: 'train', files: 'train.jsonl' }, files, 'o/d')).files).toHaveLength(1)
    const card = '---\nconfigs:\n- config_name: default\n  data_files: "a*.jsonl"\n---\n'
    const used = { 'o/d/README.md': Buffer.from(card), 'o/d/a\\..\\evil.jsonl': Buffer.from('{}') }
    expect(await failure(find({ split: 'train' }, used, 'o/d'))).toMatchObject({ code: 'HUB_ANSWER' })
  })

  describe('on a dataset that only the hub can read', () => {
    const CONVERTED = 'beefbeef'.repeat(5)
    const converted = ['main', 'default'].flatMap((subset) => [
      `${subset}/train/0001.parquet`,
      `${subset}/train/0000.parquet`,
      `${subset}/partial-test/0000.parquet`,
    ])

    /** Serves `own` at main and the converted files at their branch. */
    async function withConversion(own: Record<string, Uint8Array>, conversion = true): Promise<Hub> {
      const plan = ({ path }: Logged): Fault | undefined => {
        const atBranch = path.includes(`/revision/${CONVERTED_BRANCH}`)
        if (atBranch && !conversion) return { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } }
        if (atBranch) return { body: JSON.stringify({ sha: CONVERTED }) }
        if (!path.includes(`/tree/${CONVERTED}`)) return undefined
        return { body: JSON.stringify(converted.map((name) => treeEntry(name, bytesOf(10)))) }
      }
      const [, hub] = await serve({ files: own, plan })
      return hub
    }
    const own: [string, string, Record<string, Uint8Array>][] = [
      ['a loading script', 'main', { 'o/d/d.py': Buffer.from(''), 'o/d/raw-train.jsonl': Buffer.from('{}') }],
      ['CSV files', 'default', { 'o/d/train.csv': Buffer.from('a') }],
      ['compressed JSON', 'default', { 'o/d/train.jsonl.gz': Buffer.from('a') }],
      ['no data files', 'main', { 'o/d/README.md': Buffer.from('# empty') }],
    ]

    test.each(own)('(%s) takes the converted files', async (_, subset, files) => {
      const hub = await withConversion(files)
      const found = await findSplit(hub, 'o/d', { subset, split: 'train' })
      expect(found).toMatchObject({
        revision: CONVERTED_BRANCH,
        commit: CONVERTED,
        converted: true,
        format: 'parquet',
      })
      expect(found.files.map(({ path }) => path)).toEqual([
        `${subset}/train/0000.parquet`,
        `${subset}/train/0001.parquet`,
      ])
      const { revision: _revision, commit, converted: isConverted, ...again } = found
      const pinned = await findSplit(hub, 'o/d', {
        ...again,
        files: undefined,
        revision: commit,
        converted: isConverted,
      })
      expect(pinned.files).toEqual(found.files)
    })

    test.each(own)('(%s) says so when there is no conversion', async (_, _subset, files) => {
      const error = await failure(findSplit(await withConversion(files, false), 'o/d', { split: 'train' }))
      expect(['BAD_FILE', 'NOT_FOUND']).toContain(error.code)
      expect(error.message).toContain('the hub has no parquet conversion of it (refs/convert/parquet)')
    })

    test('says when a split was converted only in part, by naming what there is', async () => {
      const hub = await withConversion(own[0]![2])
      const error = await failure(findSplit(hub, 'o/d', { subset: 'main', split: 'test' }))
      expect(error).toMatchObject({ code: 'NOT_FOUND', hint: expect.stringContaining('"partial-test"') })
    })

    test('does not take the conversion for an old revision', async () => {
      const hub = await withConversion(own[1]![2])
      const error = await failure(findSplit(hub, 'o/d', { split: 'train', revision: 'ab'.repeat(20) }))
      expect(error).toMatchObject({ code: 'BAD_FILE' })
      expect(error.message).toContain('follows main')
    })
  })
})
