/**
 * Live progress of a build on stderr: on a terminal one line a stage of the split at work, redrawn a few times a
 * second; elsewhere a line when a split's stage is through. Figures come from the stages' own meters.
 */
import type { createLogUpdate } from 'log-update'
import type { BuildObserver } from '../engine/events.ts'
import { isShardmillError } from '../errors/index.ts'
import { type StageCall, stages } from '../pipeline/stage.ts'
import type { Meter } from '../stages/meter.ts'
import type { Digest, StageRecord } from '../store/types.ts'
import { cleanText } from './clean-text.ts'
import { bytes, count, duration, short } from './format-text.ts'
import { paint } from './paint.ts'

export interface ProgressOptions {
  readonly quiet: boolean
  readonly verbose: boolean
}

interface Group {
  readonly stage: string
  readonly startedAt: number
  expected: number
  cached: number
  run: number
  rows: number
  tokens: number
  bytes: number
  readonly running: Map<Digest, Meter>
  endedAt: number
}

/** Stages in the order of the data's way. */
const stageOrder = Object.keys(stages)

const longestStage = Math.max(...stageOrder.map((stage) => stage.length))

const redrawMs = 120
const barWidth = 18

export class ProgressView implements BuildObserver {
  private readonly options: ProgressOptions
  private readonly live: boolean
  private readonly color = paint(process.stderr)
  /** Loaded only where there is a terminal to draw on. */
  private redraw: ReturnType<typeof createLogUpdate> | undefined
  private groups = new Map<string, Group>()
  private split = ''
  /** Grows with the splits' names, so that the lines of all that follow stand below each other. */
  private nameWidth = 16
  private timer: NodeJS.Timeout | undefined
  private publishing = ''

  constructor(options: ProgressOptions) {
    this.options = options
    this.live = process.stderr.isTTY === true && process.env['TERM'] !== 'dumb' && !options.quiet
    if (this.live) {
      void import('log-update').then(({ createLogUpdate }) => {
        this.redraw = createLogUpdate(process.stderr)
      })
      this.timer = setInterval(() => this.draw(), redrawMs)
      this.timer.unref()
    }
  }

  cached(call: StageCall): void {
    this.group(call.stage).cached++
  }

  started(call: StageCall, key: Digest, meter: Meter): void {
    this.group(call.stage).running.set(key, meter)
    if (this.options.verbose) this.say(`${call.stage} ${call.title}: started`)
  }

  finished(call: StageCall, record: StageRecord): void {
    const group = this.group(call.stage)
    const meter = group.running.get(record.key)
    group.running.delete(record.key)
    group.run++
    group.endedAt = Date.now()
    if (meter !== undefined) {
      const { rows, tokens, bytes: read } = meter.read()
      group.rows += rows
      group.tokens += tokens
      group.bytes += read
    }
    if (this.options.verbose) this.say(`${call.stage} ${call.title}: done, key ${record.key.slice(0, 16)}`)
  }

  failed(call: StageCall, key: Digest, error: unknown): void {
    this.group(call.stage).running.delete(key)
    const how = isShardmillError(error, 'INTERRUPTED') ? 'stopped' : 'failed'
    if (this.options.verbose) this.say(`${call.stage} ${call.title}: ${how}`)
  }

  notice(text: string): void {
    this.say(this.color.yellow(cleanText(text)))
  }

  expected(_split: string, stage: string, more: number): void {
    this.group(stage).expected += more
  }

  splitStarted(split: string): void {
    this.closeSplit()
    this.split = split
    this.nameWidth = Math.max(this.nameWidth, split.length + 1 + longestStage)
  }

  splitVerified(split: string): void {
    // A split without sources has nothing to tell.
    if (this.closeSplit()) this.say(`${this.color.bold(split)} finished and verified`)
    this.split = ''
  }

  published(done: number, total: number): void {
    this.publishing = `${'publish'.padEnd(10)} ${bar(total === 0 ? 1 : done / total)}  ${bytes(done)} of ${bytes(total)}`
  }

  /** Stops drawing; what was drawn last goes away. */
  close(): void {
    if (this.timer !== undefined) clearInterval(this.timer)
    this.timer = undefined
    this.closeSplit()
    this.redraw?.clear()
  }

  private group(stage: string): Group {
    let group = this.groups.get(stage)
    if (group === undefined) {
      group = {
        stage,
        startedAt: Date.now(),
        expected: 0,
        cached: 0,
        run: 0,
        rows: 0,
        tokens: 0,
        bytes: 0,
        running: new Map(),
        endedAt: Date.now(),
      }
      this.groups.set(stage, group)
    }
    return group
  }

  private inOrder(): Group[] {
    return [...this.groups.values()].sort((a, b) => stageOrder.indexOf(a.stage) - stageOrder.indexOf(b.stage))
  }

  /** Prints what the split's stages came to, and forgets them. */
  private closeSplit(): boolean {
    const lines = this.inOrder()
      .filter(({ run, cached }) => run + cached > 0)
      .map((group) => this.lineOf(group, true))
    this.groups = new Map()
    this.publishing = ''
    if (lines.length > 0) this.say(lines.join('\n'))
    return lines.length > 0
  }

  private say(text: string): void {
    if (this.options.quiet) return
    this.redraw?.clear()
    process.stderr.write(`${text}\n`)
  }

  private draw(): void {
    const lines = this.inOrder().map((group) => this.lineOf(group, false))
    if (this.publishing !== '') lines.push(`  ${this.publishing}`)
    this.redraw?.(lines.join('\n'))
  }

  private lineOf(group: Group, ended: boolean): string {
    const now = ended ? group.endedAt : Date.now()
    const seconds = Math.max(0.001, (now - group.startedAt) / 1000)
    const figures = { rows: group.rows, tokens: group.tokens, bytes: group.bytes }
    let partial = 0
    for (const meter of group.running.values()) {
      const { rows, tokens, bytes: read, done, total } = meter.read()
      figures.rows += rows
      figures.tokens += tokens
      figures.bytes += read
      if (total > 0) partial += Math.min(1, done / total)
    }
    const known = group.run + group.cached + group.running.size
    const total = Math.max(group.expected, known)
    const done = group.run + group.cached
    const name = `${this.split === '' ? '' : `${this.split} `}${group.stage}`.padEnd(this.nameWidth)
    const parts = [`  ${name}`]
    if (!ended) parts.push(bar(total === 0 ? 0 : (done + partial) / total))
    parts.push(`${count(done)}${ended ? '' : `/${count(total)}`}`)
    if (group.cached > 0)
      parts.push(this.color.dim(group.cached === done ? 'cached' : `${count(group.cached)} cached`))
    if (figures.rows > 0) parts.push(`${short(figures.rows)} rows`)
    if (figures.tokens > 0) parts.push(`${short(figures.tokens)} tokens`)
    if (figures.bytes > 0) parts.push(`${bytes(figures.bytes)}`)
    if (group.run + group.running.size > 0) {
      if (figures.bytes > 0) parts.push(this.color.dim(`${bytes(figures.bytes / seconds)}/s`))
      else if (figures.tokens > 0) parts.push(this.color.dim(`${short(figures.tokens / seconds)} tokens/s`))
      if (ended) parts.push(this.color.dim(duration(seconds)))
      const share = (done - group.cached + partial) / Math.max(1, total - group.cached)
      if (!ended && share > 0.05 && share < 1)
        parts.push(this.color.dim(`${duration((seconds / share) * (1 - share))} left`))
    }
    return parts.join('  ')
  }
}

function bar(share: number): string {
  const filled = Math.max(0, Math.min(barWidth, Math.round(share * barWidth)))
  return `[${'='.repeat(filled)}${' '.repeat(barWidth - filled)}]`
}
