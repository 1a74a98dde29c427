/**
 * A shard is put together a window of two million tokens at a time, the next one while the last is being written. What
 * stands in one large shard must be what stands in small ones, which fit a window, one after the other.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bench, type Fields, goldenHub, goldenRecipe, manifestOf, serve } from './cli.ts'
import { buildHere } from './in-process.ts'

const headBytes = 1024

test('one shard of many windows holds what many shards of one window hold', async () => {
  const hub = await serve(goldenHub)
  const built = async (shardTokens: number) => {
    const train: Fields[] = [{ task: 'gsm8k', split: 'train', repeat: 24_000 }]
    const at = bench(
      {
        ...goldenRecipe({ name: 'windows', shardTokens }),
        splits: { val: [{ task: 'gsm8k', split: 'test' }], train },
      } as unknown as Parameters<typeof bench>[0],
      hub,
    )
    await buildHere(at)
    const digest = (role: string) => {
      const hash = createHash('sha256')
      let tokens = 0
      const files = manifestOf(at.out).files.filter(
        (file) => file.role === role && file.path.includes('_train_'),
      )
      for (const { path } of files) {
        const body = readFileSync(join(at.out, path)).subarray(headBytes)
        tokens += body.length / 2
        hash.update(body)
      }
      return { tokens, sha256: hash.digest('hex') }
    }
    return { shards: manifestOf(at.out).files.length, tokens: digest('tokens'), mask: digest('mask') }
  }
  const large = await built(100_000_000)
  const small = await built(1_000_000)
  expect(large.tokens.tokens).toBeGreaterThan(5_000_000)
  expect(small.shards).toBeGreaterThan(large.shards + 8)
  expect(small.tokens).toEqual(large.tokens)
  expect(small.mask).toEqual(large.mask)
})
