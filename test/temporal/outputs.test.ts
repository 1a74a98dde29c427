/** Other output formats, and a mix of what they wrote, on the real server: the bytes of the builds in process. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Bench, ok, outputOf, smallRecipe } from '../e2e/cli.ts'
import { buildHere } from '../e2e/in-process.ts'
import { suiteWithServer } from './fixture.ts'
import { stopWorker, temporalArgs } from './server.ts'

const patience = 240_000

suiteWithServer('output formats and mixes', (on) => {
  test(
    'JSON lines, rows packed, MDS in folders, and the first of them mixed',
    async () => {
      const first = on.bench(smallRecipe({ output: { format: 'jsonl' } }))
      const worker = await on.worker(first)
      /** The same recipe in process, with a store of its own, and on Temporal. */
      const both = async (at: Bench) => {
        const here = join(at.folder, 'here')
        await buildHere({ ...at, out: here, store: join(at.folder, 'own-store') })
        await ok(temporalArgs(at), { env: on.env(at) })
        expect(outputOf(at.out)).toEqual(outputOf(here))
        await ok(['verify', at.out])
        return Object.keys(outputOf(at.out))
      }
      /** Other recipes beside the first one's, for the same worker and its store. */
      const beside = (name: string, recipe: object): Bench => {
        const path = join(first.folder, `${name}.yaml`)
        writeFileSync(path, JSON.stringify(recipe))
        return {
          ...first,
          folder: join(first.folder, name),
          recipe: path,
          out: join(first.folder, name, 'out'),
        }
      }
      expect(await both(first)).toContain('sft_train_000001.jsonl')
      expect(await both(beside('packed', smallRecipe({ output: { format: 'packed' } })))).toContain(
        'sft_train_000001_segments.npy',
      )
      const mds = beside('mds', smallRecipe({ output: { format: 'mds' } }))
      expect((await both(mds)).some((file) => /^train.index\.json$/.test(file))).toBe(true)
      const splits = {
        train: [{ from: 'out', split: 'train', repeat: 2 }],
        val: [{ from: 'out', split: 'val' }],
      }
      const mix = beside('mix', { kind: 'mix', name: 'mixed', shardTokens: 500, splits })
      expect(await both(mix)).toContain('sft_train_000001.bin')
      await stopWorker(worker)
    },
    patience,
  )
})
