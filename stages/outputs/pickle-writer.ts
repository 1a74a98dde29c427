/**
 * Python's pickle protocol 2, as CPython's pickler writes it: streamed, so that a pickle of any size costs one buffer.
 * Ints, floats, strings, lists and dicts have methods of their own; what a class needs (torch's tensors, say) is put
 * together from `global`, `mark`, `tuple`, `persistentId` and `reduce`.
 *
 * CPython memoizes by identity: a string given with `shared` is the same object wherever it stands, any other is its own.
 */

/** CPython appends list items and dict pairs in runs of this many. */
const batch = 1000
const fullBytes = 1 << 20

export type Sink = (bytes: Uint8Array) => Promise<void>

export class PickleWriter {
  private readonly sink: Sink
  private buffer = Buffer.alloc(fullBytes + (1 << 16))
  private used = 0
  private memoized = 0
  private readonly known = new Map<string, number>()

  /** `sink` gets the bytes in order; each chunk is good until its promise resolves. */
  constructor(sink: Sink) {
    this.sink = sink
    this.bytes(0x80, 2)
  }

  /** @throws RangeError for what 32 bits cannot hold (pickle would go on with LONG1) or is no integer */
  int(value: number): void {
    if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 31)
      throw new RangeError(`${value} is no 32-bit integer`)
    this.room(5)
    if (value >= 0 && value < 256) this.bytes(0x4b, value)
    else if (value >= 0 && value < 65536) this.bytes(0x4d, value & 255, value >> 8)
    else {
      this.bytes(0x4a)
      this.used = this.buffer.writeInt32LE(value, this.used)
    }
  }

  float(value: number): void {
    this.bytes(0x47)
    this.room(8)
    this.used = this.buffer.writeDoubleBE(value, this.used)
  }

  none(): void {
    this.bytes(0x4e)
  }

  bool(value: boolean): void {
    this.bytes(value ? 0x88 : 0x89)
  }

  text(value: string, shared: 'shared' | 'own' = 'own'): void {
    if (shared === 'shared' && this.get(`text ${value}`)) return
    const utf8 = Buffer.from(value)
    this.bytes(0x58)
    this.room(4 + utf8.length)
    this.used = this.buffer.writeUInt32LE(utf8.length, this.used)
    this.buffer.set(utf8, this.used)
    this.used += utf8.length
    this.put(shared === 'shared' ? `text ${value}` : undefined)
  }

  /** A list of ints. */
  async ints(values: ArrayLike<number>): Promise<void> {
    await this.list(values.length, (i) => this.int(values[i]!))
  }

  /** A list of `count` items, each written by `item`. */
  async list(count: number, item: (i: number) => void | Promise<void>): Promise<void> {
    this.bytes(0x5d)
    this.put()
    await this.runs(count, item, 0x61, 0x65)
  }

  /** A dict, its keys shared as literals of one Python function are. */
  async dict(entries: readonly (readonly [string, () => void | Promise<void>])[]): Promise<void> {
    this.bytes(0x7d)
    this.put()
    await this.runs(
      entries.length,
      async (i) => {
        const [key, value] = entries[i]!
        this.text(key, 'shared')
        await value()
      },
      0x73,
      0x75,
    )
  }

  /** A class or function by its name: looked up, never run, when the pickle is read. */
  global(module: string, name: string): void {
    if (this.get(`global ${module} ${name}`)) return
    this.bytes(0x63, ...Buffer.from(`${module}\n${name}\n`))
    this.put(`global ${module} ${name}`)
  }

  /** Begins a tuple of any length; `tuple` ends it. */
  mark(): void {
    this.bytes(0x28)
  }

  /** A tuple of what was written since `mark`, or of the last 1, 2 or 3 things, or of nothing. */
  tuple(of: 'mark' | 0 | 1 | 2 | 3 = 'mark'): void {
    if (of === 0) {
      this.bytes(0x29)
      return // CPython does not memoize the empty tuple
    }
    this.bytes(of === 'mark' ? 0x74 : 0x84 + of)
    this.put()
  }

  /** Puts the object in place of the persistent id that was written last. */
  persistentId(): void {
    this.bytes(0x51)
  }

  /** Calls what was written last but one with the tuple that was written last. */
  reduce(): void {
    this.bytes(0x52)
    this.put()
  }

  /** Ends the pickle. */
  async end(): Promise<void> {
    this.bytes(0x2e)
    await this.flush()
  }

  private async runs(
    count: number,
    item: (i: number) => void | Promise<void>,
    one: number,
    many: number,
  ): Promise<void> {
    for (let from = 0; from < count; from += batch) {
      const to = Math.min(count, from + batch)
      if (count > 1) this.mark()
      for (let i = from; i < to; i++) {
        const done = item(i)
        if (done !== undefined) await done
      }
      this.bytes(count > 1 ? many : one)
      if (this.used >= fullBytes) await this.flush()
    }
  }

  /** Refers to what was memoized under `key`; false when nothing was. */
  private get(key: string): boolean {
    const index = this.known.get(key)
    if (index === undefined) return false
    this.room(5)
    if (index < 256) this.bytes(0x68, index)
    else {
      this.bytes(0x6a)
      this.used = this.buffer.writeUInt32LE(index, this.used)
    }
    return true
  }

  private put(key?: string): void {
    const index = this.memoized++
    if (key !== undefined) this.known.set(key, index)
    if (index < 256) {
      this.bytes(0x71, index)
      return
    }
    this.bytes(0x72)
    this.room(4)
    this.used = this.buffer.writeUInt32LE(index, this.used)
  }

  private bytes(...values: number[]): void {
    this.room(values.length)
    for (const value of values) this.buffer[this.used++] = value
  }

  private room(more: number): void {
    if (this.used + more <= this.buffer.length) return
    const next = Buffer.alloc(2 * (this.used + more))
    next.set(this.buffer.subarray(0, this.used))
    this.buffer = next
  }

  private async flush(): Promise<void> {
    if (this.used === 0) return
    await this.sink(this.buffer.subarray(0, this.used))
    this.used = 0
  }
}
