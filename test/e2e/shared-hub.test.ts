/** The whole nanochat mixture on real datasets, where they are at hand (../shared/hub): the reference's bytes. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sharedHub, sharedSuite } from '../shared.ts'
import { buildOn, fixtures, ok, outputOf, serve, temporaryFolder } from './cli.ts'

interface Expected {
  readonly sizes: Readonly<Record<'simple_spelling' | 'spelling_bee' | 'mmlu_stop' | 'gsm8k_stop', number>>
  readonly runs: readonly {
    readonly max_seq_len: number
    readonly shard_size: number
    readonly files: Readonly<Record<string, string>>
  }[]
}

sharedSuite('the real mixture', () => {
  const { sizes, runs } = JSON.parse(
    readFileSync(join(fixtures, 'shared-hub-expected.json'), 'utf8'),
  ) as Expected

  test('is what the reference writes, for two lengths and two shard sizes, and then cached', {
    timeout: 300_000,
  }, async () => {
    const folder = temporaryFolder()
    const vectors = JSON.parse(readFileSync(join(fixtures, 'vectors', 'sft-shards.json'), 'utf8')) as {
      sources: { phrasebook: unknown }
    }
    writeFileSync(join(folder, 'phrasebook.json'), JSON.stringify(vectors.sources.phrasebook))
    const words = join(sharedHub, 'words', 'words_alpha.txt')
    const recipe = {
      kind: 'sft',
      name: 'real',
      tokenizer: { kind: 'tiktoken', encoding: 'gpt2' },
      template: 'nanochat',
      maxSeqLen: 2048,
      shardTokens: 10_000_000,
      splits: {
        val: [
          { task: 'smoltalk', split: 'test' },
          { task: 'mmlu', subset: 'all', split: 'test', stop: sizes.mmlu_stop },
          { task: 'gsm8k', subset: 'main', split: 'test', stop: sizes.gsm8k_stop },
        ],
        train: [
          { task: 'smoltalk', split: 'train' },
          { task: 'mmlu', subset: 'auxiliary_train', split: 'train' },
          { task: 'gsm8k', subset: 'main', split: 'train', repeat: 2 },
          { task: 'custom_json', path: join(fixtures, 'identity_conversations.jsonl'), repeat: 2 },
          { task: 'simple_spelling', size: sizes.simple_spelling, words },
          { task: 'spelling_bee', size: sizes.spelling_bee, words, phrasebook: 'phrasebook.json' },
        ],
      },
    }
    const path = join(folder, 'recipe.yaml')
    writeFileSync(path, JSON.stringify(recipe))
    const store = join(folder, 'store')
    const env = { HF_ENDPOINT: (await serve(sharedHub)).url }
    for (const { max_seq_len, shard_size, files } of runs) {
      const out = join(folder, `out-${max_seq_len}`)
      const args = [
        'build',
        path,
        '--out',
        out,
        '--store',
        store,
        '--set',
        `maxSeqLen=${max_seq_len}`,
        '--set',
        `shardTokens=${shard_size}`,
      ]
      const at = { folder, recipe: path, store, out, env, args }
      await buildOn(at)
      const { 'manifest.json': _, ...written } = outputOf(out)
      expect(written).toEqual(files)
      await ok(['verify', out])
      expect(await buildOn(at)).toMatchObject({ stages: { run: 0 }, published: 'unchanged' })
    }
  })
})
