import { ShardmillError } from '../errors/index.ts'

/** Past this, the file is not a source with bad rows but the wrong file, or the mapping is wrong. */
const most = 10_000

/** Rows set aside in one partition. */
export class Rejects {
  count = 0
  first: { row?: number; line?: number; why: string } | undefined
  private readonly lines: string[] = []
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  /** Sets a row aside; `value` is kept when it is known and not huge. */
  add(at: { row?: number; line?: number }, why: string, value: unknown): void {
    this.first ??= { ...at, why }
    this.count++
    if (this.count > most) {
      throw new ShardmillError('BAD_FILE', `more than ${most} bad rows; the first: ${why}`, {
        at: { file: this.file, ...this.first },
        hint: 'This is probably another kind of data than the recipe says: look at task, columns and roles.',
      })
    }
    const json = value === undefined ? undefined : JSON.stringify(value)
    this.lines.push(
      JSON.stringify({ ...at, why, ...(json !== undefined && json.length < 1 << 16 ? { value } : {}) }),
    )
  }

  /** JSON lines, one a row. */
  toBytes(): Uint8Array {
    return Buffer.from(this.lines.map((line) => `${line}\n`).join(''))
  }
}
