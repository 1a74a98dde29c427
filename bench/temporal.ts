/**
 * What Temporal costs: the same recipe on the same corpus, built in one process and on the real server by one worker
 * process with as many threads, both from an empty store, in turn.
 *
 *   node dist/bench/temporal.js [--scale 0.1] [--threads N] [--runs 3] [--dir DIR] [--json FILE] [--keep-downloads] [--no-follow]
 *
 * Needs a Temporal server to start, as `shardmill dev` does. The worker has started before a build is submitted; its
 * threads start with the build, as they do in process. CPU seconds are the worker's and the server's during the build.
 */
import { readFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { silentObserver } from '../engine/events.ts'
import { connectClient, temporalSettings } from '../workers/connect.ts'
import { startDevServer } from '../workers/dev-server.ts'
import { type BuildFigures, runBuild, startHub } from './build/processes.ts'
import { differences } from './build/reference.ts'
import { keepDownloadsOnly } from './build/store-states.ts'
import { fixed, markdown, median } from './build/table.ts'
import { makeCorpus } from './corpus/index.ts'
import {
  type BuiltOnTemporal,
  buildOnTemporal,
  cpuSecondsOf,
  startWorkerProcess,
} from './temporal/process.ts'

const { values: flags } = parseArgs({
  options: {
    scale: { type: 'string', default: '0.1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    runs: { type: 'string', default: '3' },
    dir: { type: 'string', default: join(tmpdir(), 'shardmill-bench') },
    json: { type: 'string' },
    'keep-downloads': { type: 'boolean', default: false },
    follow: { type: 'boolean', default: true },
  },
  allowNegative: true,
})
const scale = Number(flags.scale)
const threads = Number(flags.threads)
const say = (text: string) => process.stderr.write(`${text}\n`)

say(`corpus, scale ${scale} …`)
const corpus = await makeCorpus(join(flags.dir, `corpus-${scale}`), scale, availableParallelism())
const work = join(flags.dir, 'temporal')
await rm(work, { recursive: true, force: true })
const at = (name: string) => join(work, name)
const hub = await startHub(corpus.hub)
const server = await startDevServer({
  folder: at('server'),
  env: process.env,
  port: 0,
  uiPort: null,
  signal: new AbortController().signal,
  notice: say,
})
const settings = temporalSettings(server.address)
const client = await connectClient(settings)

async function coldStore(name: string): Promise<string> {
  const store = at(name)
  if (flags['keep-downloads']) await keepDownloadsOnly(store)
  else await rm(store, { recursive: true, force: true })
  return store
}

interface OnTemporal extends BuiltOnTemporal {
  readonly workerCpu: number
  readonly serverCpu: number
}

async function onTemporal(): Promise<OnTemporal> {
  const store = await coldStore('store-temporal')
  const out = at('out-temporal')
  await rm(out, { recursive: true, force: true })
  const worker = await startWorkerProcess({ address: server.address, store, threads, endpoint: hub.endpoint })
  try {
    const before = [cpuSecondsOf(worker.pid), cpuSecondsOf(server.process.pid!)] as const
    const recipe = { text: await readFile(corpus.recipe, 'utf8'), file: corpus.recipe, settings: [] }
    const built = await buildOnTemporal(
      client,
      { recipe, out, store },
      flags.follow ? silentObserver : undefined,
    )
    return {
      ...built,
      workerCpu: cpuSecondsOf(worker.pid) - before[0],
      serverCpu: cpuSecondsOf(server.process.pid!) - before[1],
    }
  } finally {
    await worker.stop()
  }
}

async function inProcess(): Promise<BuildFigures> {
  const store = await coldStore('store-process')
  await rm(at('out-process'), { recursive: true, force: true })
  return runBuild(corpus.recipe, at('out-process'), store, threads, hub.endpoint)
}

try {
  const here: BuildFigures[] = []
  const there: OnTemporal[] = []
  if (flags['keep-downloads']) {
    say('downloads …')
    await inProcess()
    await onTemporal()
  }
  for (let run = 1; run <= Number(flags.runs); run++) {
    // Which of the two comes first changes, so that a drift of the machine favours neither.
    for (const which of run % 2 === 1 ? ['process', 'temporal'] : ['temporal', 'process']) {
      say(`run ${run}: ${which === 'process' ? 'in process' : 'on Temporal'} …`)
      if (which === 'process') here.push(await inProcess())
      else there.push(await onTemporal())
    }
  }
  const differing = await differences(at('out-temporal'), at('out-process'))
  const manifests = ['out-temporal', 'out-process'].map((name) =>
    readFileSync(join(at(name), 'manifest.json')),
  )
  if (!manifests[0]!.equals(manifests[1]!)) differing.push('manifest.json')

  const wallHere = median(here.map(({ seconds }) => seconds))
  const wallThere = median(there.map(({ seconds }) => seconds))
  const cpuHere = median(here.map(({ cpuSeconds }) => cpuSeconds))
  const cpuWorker = median(there.map(({ workerCpu }) => workerCpu))
  const cpuServer = median(there.map(({ serverCpu }) => serverCpu))
  const { activities, events, workflows } = there[0]!
  process.stdout.write(
    `${[
      `Corpus: scale ${scale}, ${fixed(corpus.textBytes / 1e6, 0)} MB of text; ${cpus()[0]?.model ?? ''}, ${availableParallelism()} cores, ${threads} threads, Node ${process.version}; medians of ${flags.runs}, stores ${flags['keep-downloads'] ? 'with downloads only' : 'empty'}.`,
      '',
      markdown([
        ['', 'seconds', 'CPU s', 'all runs, s'],
        [
          'in process',
          fixed(wallHere, 2),
          fixed(cpuHere),
          here.map(({ seconds }) => fixed(seconds, 2)).join(' '),
        ],
        [
          'on Temporal, 1 worker',
          fixed(wallThere, 2),
          `${fixed(cpuWorker)} + ${fixed(cpuServer)} server`,
          there.map(({ seconds }) => fixed(seconds, 2)).join(' '),
        ],
      ]),
      '',
      `- on Temporal ÷ in process: ${fixed(wallThere / wallHere, 3)} in wall time, ${fixed((cpuWorker + cpuServer) / cpuHere, 3)} in CPU time`,
      `- ${activities} activities in ${workflows} workflows, ${events} events; ${fixed(activities / wallThere)} activities/s`,
      `- ${differing.length === 0 ? 'all files equal byte for byte' : `DIFFERENT: ${differing.join(', ')}`}`,
    ].join('\n')}\n`,
  )
  if (flags.json !== undefined)
    await writeFile(
      flags.json,
      `${JSON.stringify({ schema: 1, scale, threads, here, there, differing }, null, 1)}\n`,
    )
} finally {
  await client.connection.close()
  await server.stop()
  hub.stop()
}
