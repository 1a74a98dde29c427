/**
 * One build in a process of its own, as `shardmill build` runs it, with an observer that takes the time of each
 * stage. Prints one JSON object: bench/build.ts starts it and reads that.
 */

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { build } from '../../engine/build.ts'
import type { SftResult } from '../../pipeline/results.ts'
import { StageClock } from './stage-clock.ts'

const [recipe, out, store, threads, endpoint] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
]
const clock = new StageClock()
const started = performance.now()
let publishing = 0
const outcome = await build({
  recipe: { text: await readFile(recipe, 'utf8'), file: recipe, settings: [] },
  out,
  store,
  threads: Number(threads),
  env: { ...process.env, HF_ENDPOINT: endpoint },
  signal: new AbortController().signal,
  observer: clock,
  onResolved: () => clock.mark('resolve'),
  onPublish: () => {
    publishing ||= performance.now()
  },
})
const ended = performance.now()
const { userCPUTime, systemCPUTime } = process.resourceUsage()
const { splits } = outcome.result as SftResult
const [val, train] = [splits['val']!, splits['train']!]
process.stdout.write(
  `${JSON.stringify({
    seconds: (ended - started) / 1000,
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    systemCpuSeconds: systemCPUTime / 1e6,
    publishSeconds: publishing === 0 ? 0 : (ended - publishing) / 1000,
    peakRssBytes: peakRss(),
    stages: clock.report(publishing || ended),
    run: outcome.run,
    cached: outcome.cached,
    conversations: val.conversations + train.conversations,
    tokens: val.tokens + train.tokens,
    shards: val.shards.length + train.shards.length,
  })}\n`,
)

/** The most memory this process ever had resident, worker threads included. */
function peakRss(): number {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))
    if (line !== null) return Number(line[1]) * 1024
  } catch {
    // not Linux
  }
  return process.resourceUsage().maxRSS * 1024
}
