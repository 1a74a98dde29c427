/**
 * Times the whole build on a generated corpus: cold (every stage runs), with the time split by stage, over threads,
 * against the reference in Python, and the rerun in which nothing has changed.
 *
 *   node dist/bench/build.js [--scale 0.1] [--threads 1,2] [--runs 3] [--dir DIR] [--json FILE] [--no-python]
 *
 * scale 1 is the nanochat SFT mixture's true size. Builds alternate with each other and with Python's, medians are
 * shown, so that a machine that speeds up or slows down meanwhile does to all alike.
 */
import { rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BuildFigures, canPin, cliPath, runBuild, runProcess, startHub } from './build/processes.ts'
import { differences, findPython, type ReferenceFigures, runReference, withRanks } from './build/reference.ts'
import { keepDownloadsOnly } from './build/store-states.ts'
import { fixed, markdown, median } from './build/table.ts'
import { makeCorpus } from './corpus/index.ts'

const { values: flags } = parseArgs({
  options: {
    scale: { type: 'string', default: '0.1' },
    threads: { type: 'string', default: availableParallelism() === 1 ? '1' : `1,${availableParallelism()}` },
    runs: { type: 'string', default: '3' },
    dir: { type: 'string', default: join(tmpdir(), 'shardmill-bench') },
    json: { type: 'string' },
    python: { type: 'boolean', default: true },
  },
  allowNegative: true,
})
const scale = Number(flags.scale)
const threadCounts = flags.threads.split(',').map(Number)
const most = Math.max(...threadCounts)
const say = (text: string) => process.stderr.write(`${text}\n`)

say(`corpus, scale ${scale} …`)
const corpus = await makeCorpus(join(flags.dir, `corpus-${scale}`), scale, availableParallelism())
const megabytes = corpus.textBytes / 1e6
await rm(join(flags.dir, 'work'), { recursive: true, force: true })
const at = (name: string) => join(flags.dir, 'work', name)
const hub = await startHub(corpus.hub)
try {
  say('first build, with downloads …')
  const store = at('store')
  const withDownloads = await runBuild(corpus.recipe, at('out'), store, most, hub.endpoint)

  const builds = new Map<number, BuildFigures[]>(threadCounts.map((threads) => [threads, []]))
  const oneCore: BuildFigures[] = []
  const pin = most > 1 && canPin()
  const references: ReferenceFigures[] = []
  const python = flags.python ? await findPython() : undefined
  const env = python === undefined ? process.env : await withRanks(python, join(flags.dir, 'tiktoken'))
  let differing: string[] | undefined
  for (let run = 1; run <= Number(flags.runs); run++) {
    for (const threads of threadCounts) {
      say(`run ${run}: ${threads} thread(s) …`)
      await keepDownloadsOnly(store)
      await rm(at('out'), { recursive: true, force: true })
      builds.get(threads)!.push(await runBuild(corpus.recipe, at('out'), store, threads, hub.endpoint))
    }
    if (pin) {
      say(`run ${run}: one core …`)
      await keepDownloadsOnly(store)
      await rm(at('out'), { recursive: true, force: true })
      oneCore.push(await runBuild(corpus.recipe, at('out'), store, 1, hub.endpoint, { oneCore: true }))
    }
    if (python !== undefined) {
      say(`run ${run}: the reference in Python …`)
      await rm(at('reference'), { recursive: true, force: true })
      references.push(await runReference(python, corpus, at('reference'), env))
      differing ??= await differences(at('out'), at('reference'))
    }
  }

  say('reruns …')
  const reruns: { process: number; build: number; rss: number }[] = []
  for (let run = 0; run < 5; run++) {
    const figures = await runBuild(corpus.recipe, at('out'), store, most, hub.endpoint)
    const whole = await runProcess(
      process.execPath,
      [cliPath, 'build', corpus.recipe, '--out', at('out'), '--store', store, '--json'],
      { ...process.env, HF_ENDPOINT: hub.endpoint },
    )
    const { stages } = JSON.parse(whole.stdout) as { stages: { run: number } }
    if (stages.run !== 0 || figures.run !== 0) throw new Error('a rerun ran stages')
    reruns.push({ process: whole.seconds, build: figures.seconds, rss: figures.peakRssBytes })
  }
  const help: number[] = []
  for (let run = 0; run < 7; run++)
    help.push((await runProcess(process.execPath, [cliPath, '--help'])).seconds)

  const figures = { scale, megabytes, builds, oneCore, withDownloads, references, differing, reruns, help }
  process.stdout.write(`${report(figures)}\n`)
  if (flags.json !== undefined) {
    await writeFile(
      flags.json,
      `${JSON.stringify({ schema: 1, machine: machine(), ...figures, builds: Object.fromEntries(builds) }, null, 1)}\n`,
    )
  }
} finally {
  hub.stop()
}

function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
  }
}

interface Figures {
  readonly builds: ReadonlyMap<number, readonly BuildFigures[]>
  /** One thread, the whole process held to one core: elsewhere its main thread, compiler and collector take another. */
  readonly oneCore: readonly BuildFigures[]
  readonly withDownloads: BuildFigures
  readonly references: readonly ReferenceFigures[]
  readonly differing: readonly string[] | undefined
  readonly reruns: readonly { process: number; build: number; rss: number }[]
  readonly help: readonly number[]
}

function report({ builds, oneCore, withDownloads, references, differing, reruns, help }: Figures): string {
  const wall = (threads: number) => median(builds.get(threads)!.map(({ seconds }) => seconds))
  const of = builds.get(most)!
  const typical = [...of].sort((a, b) => a.seconds - b.seconds)[of.length >> 1]!
  const { conversations, tokens, shards } = typical
  const rows = [['', 'seconds', 'MB/s', 'Mtokens/s', 'peak MB', 'CPU s']]
  const row = (name: string, seconds: number, rss?: number, cpu?: number) =>
    rows.push([
      name,
      fixed(seconds, 2),
      fixed(megabytes / seconds),
      fixed(tokens / 1e6 / seconds, 2),
      rss === undefined ? '' : fixed(rss / 1e6, 0),
      cpu === undefined ? '' : fixed(cpu),
    ])
  for (const [threads, runs] of builds) {
    row(
      `build, ${threads} thread${threads === 1 ? '' : 's'}`,
      wall(threads),
      Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)),
      median(runs.map(({ cpuSeconds }) => cpuSeconds)),
    )
  }
  const seconds = (runs: readonly { readonly seconds: number }[]) => median(runs.map((run) => run.seconds))
  if (oneCore.length > 0)
    row(
      'build, 1 thread, held to one core',
      seconds(oneCore),
      Math.max(...oneCore.map(({ peakRssBytes }) => peakRssBytes)),
      median(oneCore.map(({ cpuSeconds }) => cpuSeconds)),
    )
  row(
    `build with downloads, ${most} threads (once)`,
    withDownloads.seconds,
    withDownloads.peakRssBytes,
    withDownloads.cpuSeconds,
  )
  if (references.length > 0) row('reference in Python', median(references.map(({ seconds }) => seconds)))

  const stages = [[`stage (${most} threads)`, 'runs', 'share of wall, s', 'rows/s', 'MB/s', 'Mtokens/s']]
  const per = (amount: number, seconds: number, unit: number, digits: number) =>
    amount === 0 || seconds === 0 ? '' : fixed(amount / unit / seconds, digits)
  for (const { stage, count, seconds, rows: done, bytes, tokens: made } of [
    ...typical.stages,
    { stage: 'publish', count: 1, seconds: typical.publishSeconds, rows: 0, bytes: 0, tokens },
  ]) {
    stages.push([
      stage,
      count === 0 ? '' : String(count),
      fixed(seconds, 2),
      per(done, seconds, 1, 0),
      per(bytes, seconds, 1e6, 1),
      per(made, seconds, 1e6, 2),
    ])
  }

  const least = Math.min(...threadCounts)
  const ratios = [
    ...(least === most ? [] : [`${most} threads against ${least}: ${fixed(wall(least) / wall(most), 2)}×`]),
    ...(oneCore.length > 0
      ? [`${most} threads against one core: ${fixed(seconds(oneCore) / wall(most), 2)}×`]
      : []),
    ...(references.length > 0
      ? [
          `against the reference in Python: ${fixed(median(references.map(({ seconds }) => seconds)) / wall(most), 1)}×, ${differing!.length === 0 ? 'all files equal byte for byte' : `DIFFERENT: ${differing!.join(', ')}`}`,
        ]
      : []),
    `rerun with nothing changed: ${fixed(median(reruns.map(({ build }) => build)), 2)} s in process, ${fixed(median(reruns.map((run) => run.process)), 2)} s as a command`,
    `--help: ${fixed(median(help) * 1000, 0)} ms`,
  ]
  const { cpu, cores, node } = machine()
  return [
    `Corpus: ${fixed(megabytes, 0)} MB of text, ${conversations} conversations, ${fixed(tokens / 1e6, 1)} M tokens, ${shards} shards (scale ${scale}); ${cpu}, ${cores} cores, Node ${node}; medians of ${flags.runs}.`,
    '',
    markdown(rows),
    '',
    markdown(stages),
    '',
    ...ratios.map((text) => `- ${text}`),
  ].join('\n')
}
