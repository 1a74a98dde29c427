import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { bytesSource, openParquet, readParquet } from '../../parquet/index.ts'
import { damage, seeded } from './mutate.ts'
import { readableColumns } from './values.ts'

/** How many damaged copies of each file; more with `SHARDMILL_FUZZ=1000`. */
const copies = Number(process.env.SHARDMILL_FUZZ ?? 40)
const seed = Number(process.env.SHARDMILL_SEED ?? 1)

const folder = join(import.meta.dirname, '../fixtures/parquet')
const files = ['', 'testing/']
  .flatMap((sub) => readdirSync(join(folder, sub)).map((name) => sub + name))
  .filter((name) => name.endsWith('.parquet') && !name.startsWith('huge-') && !name.startsWith('long-'))

describe(`damaged files (seed ${seed}, ${copies} copies of each)`, () => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  beforeAll(() => void process.on('unhandledRejection', note))
  afterAll(() => void process.off('unhandledRejection', note))

  test.each(files)('%s: rows or one clear error, whatever the damage', async (name) => {
    const original = new Uint8Array(readFileSync(join(folder, name)))
    const whole = await openParquet(bytesSource(original, name))
    const columns = readableColumns(whole)
    const random = seeded(seed * 1000 + files.indexOf(name))
    let errors = 0
    for (let i = 0; i < copies; i++) {
      const bytes = damage(original, random)
      try {
        const file = await openParquet(bytesSource(bytes, name))
        const range = { from: 0, to: file.rowGroups.length }
        let rows = 0
        for await (const batch of readParquet(file, range, columns)) {
          rows += batch.rows
          // A damaged run length can stand for any number of nulls: enough is enough.
          if (rows > 2_000_000) break
        }
      } catch (error) {
        errors++
        if (!isShardmillError(error) || !['BAD_FILE', 'NOT_FOUND'].includes(error.code) || error.retryable) {
          throw new Error(`copy ${i} of ${name}: not a clear error`, { cause: error })
        }
        expect(error.message.startsWith(`${name}: `)).toBe(true)
      }
    }
    expect(errors).toBeGreaterThan(copies / 8)
    expect(unhandled).toEqual([])
    expect(process.memoryUsage().rss).toBeLessThan(1500 * 2 ** 20)
  })
})
