/**
 * How a build's cost grows: memory over the size of the data (it should not), time over the number of sources and of
 * shards (in proportion, with a small factor).
 *
 *   node dist/bench/growth.js [--rows 2000] [--generated 5000000] [--large 3] [--dir DIR] [--json FILE]
 *
 * --rows: rows of the smallest table; --generated: rows of the generated source in the last memory line (0: none);
 * --large: gigabytes of text of the large table (0: none).
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BuildFigures, runBuild, startHub } from './build/processes.ts'
import { fixed, markdown } from './build/table.ts'
import { writeTable } from './corpus/tables.ts'
import { loadWords, type Words } from './corpus/words.ts'

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '2000' },
    generated: { type: 'string', default: '5000000' },
    large: { type: 'string', default: '3' },
    dir: { type: 'string', default: join(tmpdir(), 'shardmill-bench') },
    json: { type: 'string' },
  },
})
const rows = Number(flags.rows)
const threads = availableParallelism()
const folder = join(flags.dir, 'growth')
const hubFolder = join(folder, 'hub')
const say = (text: string) => process.stderr.write(`${text}\n`)

interface Line {
  readonly what: string
  readonly figures: BuildFigures
}

/** A table of its own under the dataset `bench/<name>`; made once. */
function table(name: string, file: string, count: number, seed: number, words: Words): void {
  const path = join(hubFolder, 'datasets', 'bench', name, 'data', file)
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true })
  writeTable({ path: `${path}.part`, table: 'smoltalk', rows: count, seed }, words)
  renameSync(`${path}.part`, path)
}

const recipe = (sources: readonly string[], shardTokens: number) => `kind: sft
name: growth
tokenizer: { kind: tiktoken, encoding: gpt2 }
template: nanochat
maxSeqLen: 2048
shardTokens: ${shardTokens}
shuffle: { kind: python, seed: 42 }
splits:
  val: []
  train:
${sources.map((source) => `    - ${source}\n`).join('')}`

const source = (name: string, file: string) =>
  `{ task: messages, repo: bench/${name}, split: train, files: data/${file} }`

let endpoint = ''
async function measure(what: string, sources: readonly string[], shardTokens = 10_000_000): Promise<Line> {
  say(`${what} …`)
  const [path, out, store] = [join(folder, 'recipe.yaml'), join(folder, 'out'), join(folder, 'store')]
  await rm(out, { recursive: true, force: true })
  await rm(store, { recursive: true, force: true })
  await writeFile(path, recipe(sources, shardTokens))
  return { what, figures: await runBuild(path, out, store, threads, endpoint) }
}

const words = loadWords()
const sizes = [1, 4, 16]
say('tables …')
for (const size of sizes) table(`size-${size}`, 'train.parquet', rows * size, size, words)
const files = Array.from({ length: 64 }, (_, i) => `train-${String(i).padStart(2, '0')}.parquet`)
for (const [i, file] of files.entries()) table('many', file, Math.max(50, rows >> 4), 200 + i, words)
if (Number(flags.large) > 0)
  table('large', 'train.parquet', Math.round((Number(flags.large) * 1e9) / 3100), 300, words)

const hub = await startHub(hubFolder)
try {
  endpoint = hub.endpoint
  const size = []
  for (const times of sizes) size.push(await measure(`${times}×`, [source(`size-${times}`, 'train.parquet')]))
  if (Number(flags.large) > 0)
    size.push(await measure(`${flags.large} GB of text`, [source('large', 'train.parquet')]))
  if (Number(flags.generated) > 0)
    size.push(
      await measure(`${flags.generated} generated rows`, [
        `{ task: simple_spelling, size: ${flags.generated} }`,
      ]),
    )
  const many = []
  for (const count of [1, 4, 16, 64])
    many.push(
      await measure(
        `${count} source${count === 1 ? '' : 's'}`,
        files.slice(0, count).map((file) => source('many', file)),
      ),
    )
  const shards = []
  for (const tokens of [10_000_000, 1_000_000, 100_000, 20_000])
    shards.push(await measure(`${tokens} tokens a shard`, [source('size-4', 'train.parquet')], tokens))

  const groups = { size, sources: many, shards }
  const head = ['', 'conversations', 'Mtokens', 'shards', 'stages', 'seconds', 'CPU s', 'peak MB']
  const lines = [...size, ...many, ...shards].map(({ what, figures }) => [
    what,
    String(figures.conversations),
    fixed(figures.tokens / 1e6),
    String(figures.shards),
    String(figures.run),
    fixed(figures.seconds, 2),
    fixed(figures.cpuSeconds, 2),
    fixed(figures.peakRssBytes / 1e6, 0),
  ])
  process.stdout.write(`${markdown([head, ...lines])}\n`)
  if (flags.json !== undefined)
    await writeFile(flags.json, `${JSON.stringify({ schema: 1, ...groups }, null, 1)}\n`)
} finally {
  hub.stop()
}
