/** Every output format holds the very ids and masks that the llm.c pairs hold, and is verified, inspected and traced. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asSft, mainFiles } from '../../output/find-shard.ts'
import { readManifest } from '../../output/manifest.ts'
import { readShard } from '../../output/read-shard.ts'
import { traceFile } from '../../output/trace.ts'
import { verifyFolder } from '../../output/verify-folder.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import { Bench, type ReadSplit, readSplit } from './support.ts'

const bench = new Bench()
const reference: Record<string, ReadSplit> = {}
const splits = ['val', 'train']
const signal = new AbortController().signal

/** Sorted, for formats that put conversations in another order. */
const conversations = ({ ids, mask }: ReadSplit, bosId: number) => {
  const found: string[] = []
  for (let from = 0; from < ids.length; ) {
    let to = from + 1
    while (to < ids.length && ids[to] !== bosId) to++
    found.push(`${ids.slice(from, to)} ${mask.slice(from, to)}`)
    from = to
  }
  return found.sort()
}

beforeAll(async () => {
  const { out } = await bench.build('reference', '')
  for (const split of splits) reference[split] = await readSplit(out, split)
})
afterAll(() => bench.close())

test('the lock of a recipe that names the usual format is as if it named none', async () => {
  const { lock, cached, run } = await bench.build('named', 'output: { format: llmc-bin }')
  expect(lock.output).toBeUndefined()
  expect({ run, cached: cached > 0 }).toEqual({ run: 0, cached: true })
})

test('names of the files are in no stage key', async () => {
  await bench.build('usual-names', 'output: { format: jsonl }')
  const named = await bench.build('own-names', "output: { format: jsonl, names: 'my_{split}' }")
  expect(named.run).toBe(0)
  expect(readdirSync(named.out).filter((file) => file.startsWith('my_val'))).toEqual(['my_val.jsonl'])
  expect((await verifyFolder(named.out, { signal })).problems).toEqual([])
})

// `text` holds bytes only: test/e2e/slamkit.test.ts.
describe.each(outputFormats.map(({ name }) => name).filter((name) => name !== 'text'))('%s', (name) => {
  let out: string
  let bosId: number
  beforeAll(async () => {
    const outcome = await bench.build(name, `output: { format: ${name} }`)
    out = outcome.out
    bosId = outcome.result.bosId ?? 0
  })

  test.each(splits)('%s: the same ids and masks', async (split) => {
    const read = await readSplit(out, split)
    const wanted = reference[split]!
    expect(conversations(read, bosId)).toEqual(conversations(wanted, bosId))
    if (outputFormats.find((format) => format.name === name)?.cut?.({ rowTokens: 65 }) === 'conversations') {
      expect(read.ids).toEqual(wanted.ids)
      expect(read.mask).toEqual(wanted.mask)
    }
    expect(read.shards).toBeGreaterThan(split === 'train' ? 2 : 0)
  })

  test('verifies, and damage is found in every file', async () => {
    const report = await verifyFolder(out, { signal })
    expect(report.problems).toEqual([])
    expect(report.tokens).toBe(reference['val']!.ids.length + reference['train']!.ids.length)
    const { files } = (await readManifest(out))!
    for (const { path } of files) {
      const bytes = readFileSync(join(out, path))
      const damaged = Buffer.from(bytes)
      damaged[damaged.length >> 1]! ^= 1
      writeFileSync(join(out, path), damaged)
      const found = (await verifyFolder(out, { signal })).problems
      expect(found.length, path).toBeGreaterThan(0)
      expect(found[0]!.file).toBe(join(out, path))
      writeFileSync(join(out, path), bytes.subarray(0, bytes.length - 1))
      expect((await verifyFolder(out, { signal })).problems.length, path).toBeGreaterThan(0)
      writeFileSync(join(out, path), bytes)
    }
    expect((await verifyFolder(out, { signal })).problems).toEqual([])
  })

  test('shows conversations', async () => {
    const manifest = asSft((await readManifest(out))!, out)
    const { path, tokens } = mainFiles(manifest, 'train')[1]!
    const shard = await readShard(join(out, path), { at: tokens! - 1, conversations: 3, bosId })
    expect(shard).toMatchObject({ format: name, tokens })
    expect(shard.conversations).toHaveLength(1)
    const { start, ids, mask } = shard.conversations[0]!
    expect(start + ids.length).toBe(tokens)
    expect(mask.length).toBe(ids.length)
    const first = await readShard(join(out, path), { at: 0, conversations: 2, bosId })
    expect(first.conversations.map((conversation) => conversation.start)).toEqual([
      0,
      first.conversations[0]!.ids.length,
    ])
    await expect(readShard(join(out, path), { at: tokens!, conversations: 1, bosId })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  test('traces every shard to source files', async () => {
    const manifest = (await readManifest(out))!
    const leaves = (node: ReturnType<typeof traceFile>): string[] =>
      node === undefined ? [] : node.kind === 'file' ? [node.what] : node.inputs.flatMap(leaves)
    for (const file of manifest.files.filter(({ stage }) => stage !== undefined)) {
      const found = leaves(traceFile(manifest, new Map(), file))
      expect(found.some((what) => what.includes('.parquet') || what.includes('words'))).toBe(true)
    }
  })

  test('is not written again, and nothing else lies in the folder', async () => {
    const again = await bench.build(name, `output: { format: ${name} }`)
    expect(again).toMatchObject({ published: 'unchanged', run: 0 })
    const listed = (await readManifest(out))!.files.map(({ path }) => path)
    const found = readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1))
    expect(found.sort()).toEqual([...listed, 'manifest.json', 'provenance.jsonl'].sort())
  })
})
