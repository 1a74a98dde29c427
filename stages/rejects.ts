import { ShardmillError } from '../errors/index.ts'

/** Past this, the file is not a source with bad rows but the wrong file, or the mapping is wrong. */
const most = 10_000

/** Rows set aside in one partition. */
export class Rejects {
  count = 0
  first: { row?: number; line?: number; why: string; hint?: string } | undefined
  private readonly lines: string[] = []
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  /** Sets a row aside; `value` is kept when it is known, not huge and not nested without measure. */
  add(at: { row?: number; line?: number }, why: string, value: unknown, hint?: string): void {
    this.first ??= { ...at, why, ...(hint === undefined ? {} : { hint }) }
    this.count++
    if (this.count > most) {
      const { why: firstWhy, hint: _, ...place } = this.first
      throw new ShardmillError('BAD_FILE', `more than ${most} bad rows; the first: ${firstWhy}`, {
        at: { file: this.file, ...place },
        hint: 'This is probably another kind of data than the recipe says: look at task, columns and roles.',
      })
    }
    const json = value === undefined || isDeep(value) ? undefined : JSON.stringify(value)
    this.lines.push(
      JSON.stringify({ ...at, why, ...(json !== undefined && json.length < 1 << 16 ? { value } : {}) }),
    )
  }

  /** JSON lines, one a row. */
  toBytes(): Uint8Array {
    return Buffer.from(this.lines.map((line) => `${line}\n`).join(''))
  }
}

/** Deeper values overflow the stack of `JSON.stringify` sooner or later, which no stage may depend on. */
const deepest = 1000

function isDeep(value: unknown): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; depth <= deepest; depth++) {
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []))
    if (level.length === 0) return false
  }
  return true
}
