/**
 * Which CPU stage comes next. First come first served would format every file before it tokenizes any, or leave one
 * long stage to run alone at the end. So a few partitions are kept formatted ahead, and of those the largest is
 * tokenized first: when files run out, what is left is many and small, and ends on all threads at about the same time.
 * A shard that is written is verified before the next one is begun: the one waits for the disk, the other computes.
 * The order changes nothing but the time: every stage is a pure function.
 */
import type { StageName } from '../pipeline/stage.ts'

interface Waiting {
  readonly stage: StageName
  /** How long it will take, in any unit that is the same for calls of one stage. */
  readonly weight: number
  readonly begin: () => void
}

export class CpuLane {
  private free: number
  private readonly ahead: number
  private readonly waiting: Waiting[] = []

  /** At most `limit` calls at a time; `ahead` partitions are formatted before one is tokenized. */
  constructor(limit: number, ahead: number) {
    this.free = limit
    this.ahead = ahead
  }

  async run<T>(stage: StageName, weight: number, work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--
    else await new Promise<void>((begin) => this.waiting.push({ stage, weight, begin }))
    try {
      return await work()
    } finally {
      const next = this.next()
      if (next === undefined) this.free++
      else next.begin()
    }
  }

  private next(): Waiting | undefined {
    const { waiting, ahead } = this
    let formatted = 0
    let heaviest = -1
    let first = -1
    let verify = -1
    for (let i = 0; i < waiting.length; i++) {
      if (waiting[i]!.stage !== 'tokenize') {
        if (first < 0) first = i
        if (verify < 0 && waiting[i]!.stage === 'verify') verify = i
        continue
      }
      formatted++
      if (heaviest < 0 || waiting[i]!.weight > waiting[heaviest]!.weight) heaviest = i
    }
    const chosen =
      verify >= 0 ? verify : first >= 0 && formatted < ahead ? first : heaviest >= 0 ? heaviest : first
    return chosen < 0 ? undefined : waiting.splice(chosen, 1)[0]
  }
}
