/**
 * JSON lines of token ids, as SlamKit's prepare_arc_tokens writes them and Hugging Face trainers read them: one
 * conversation a line,
 *
 *   {"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "attention_mask": [1, 1, 1]}
 *
 * byte for byte as Python's json.dumps. A label is the id where the token is trained on, else -100; every token of a
 * line is attended to. Conversations are whole.
 */
import { conversationsOf, PieceFiller } from './conversation-rows.ts'
import { type ByteFile, defineOutput, type Values, verifyError } from './define-output.ts'
import { ownNames } from './own-names.ts'

const flushBytes = 1 << 20
const readBytes = 1 << 20
/** Longest text of an id and its separator: `4294967295, `. */
const idBytes = 12

export const jsonl = defineOutput({
  name: 'jsonl',
  version: 1,
  about: 'JSON lines, a conversation each: input_ids, labels (-100 where not trained on), attention_mask',
  hasDtype: false,
  cut: () => 'conversations',
  ...ownNames,
  files: [{ role: 'rows', suffix: '.jsonl' }],
  async write(content, files) {
    const file = files['rows']!
    const lines = new LineWriter()
    for (const { tokens, mask } of conversationsOf(content)) {
      lines.add(tokens, mask)
      if (lines.used >= flushBytes) await file.write(lines.take())
    }
    await file.write(lines.take())
  },
  async open(files, { dtype }) {
    const file = files['rows']!
    async function* pieces() {
      const filler = new PieceFiller(dtype)
      for await (const { line, text } of linesOf(file)) {
        readLine(text, filler, file, line)
        if (filler.full) yield filler.take()
      }
      if (!filler.empty) yield filler.take()
    }
    return { pieces }
  },
})

/** Puts lines together in one buffer, digit by digit: the ids are most of the work. */
class LineWriter {
  used = 0
  private buffer = Buffer.alloc(flushBytes + (1 << 16))

  add(tokens: Values, mask: Values): void {
    this.reserve(3 * tokens.length * idBytes + 64)
    this.text('{"input_ids": [')
    for (let i = 0; i < tokens.length; i++) {
      if (i > 0) this.comma()
      this.number(tokens[i]!)
    }
    this.text('], "labels": [')
    for (let i = 0; i < tokens.length; i++) {
      if (i > 0) this.comma()
      if (mask[i] === 1) this.number(tokens[i]!)
      else this.untrained()
    }
    this.text('], "attention_mask": [')
    for (let i = 0; i < tokens.length; i++) {
      if (i > 0) this.comma()
      this.buffer[this.used++] = 0x31
    }
    this.text(']}\n')
  }

  take(): Uint8Array {
    const bytes = this.buffer.subarray(0, this.used)
    this.used = 0
    return bytes
  }

  private text(text: string): void {
    this.used += this.buffer.write(text, this.used, 'latin1')
  }

  private comma(): void {
    this.buffer[this.used++] = 0x2c
    this.buffer[this.used++] = 0x20
  }

  /** -100 */
  private untrained(): void {
    const at = this.used
    this.buffer[at] = 0x2d
    this.buffer[at + 1] = 0x31
    this.buffer[at + 2] = 0x30
    this.buffer[at + 3] = 0x30
    this.used = at + 4
  }

  private number(value: number): void {
    let end = this.used + digitsOf(value)
    this.used = end
    do {
      // Unsigned, for ids of 2^31 and more; an integer division where a float's would be floored.
      const rest = (value / 10) >>> 0
      this.buffer[--end] = 0x30 + (value - rest * 10)
      value = rest
    } while (value > 0)
  }

  private reserve(bytes: number): void {
    if (this.used + bytes <= this.buffer.length) return
    const grown = Buffer.alloc(2 * (this.used + bytes))
    this.buffer.copy(grown, 0, 0, this.used)
    this.buffer = grown
  }
}

function digitsOf(value: number): number {
  if (value < 1e5) return value < 10 ? 1 : value < 100 ? 2 : value < 1000 ? 3 : value < 1e4 ? 4 : 5
  return value < 1e6 ? 6 : value < 1e7 ? 7 : value < 1e8 ? 8 : value < 1e9 ? 9 : 10
}

async function* linesOf(file: ByteFile): AsyncGenerator<{ readonly line: number; readonly text: string }> {
  let rest = ''
  let line = 0
  for (let at = 0; at < file.size; at += readBytes) {
    const bytes = await file.read(at, Math.min(readBytes, file.size - at))
    const lines = (rest + Buffer.from(bytes).toString('latin1')).split('\n')
    rest = lines.pop()!
    for (const text of lines) yield { line: ++line, text }
  }
  if (rest !== '') throw verifyError(file.name, `ends in the middle of line ${line + 1}`)
}

const columns = ['input_ids', 'labels', 'attention_mask'] as const

function readLine(text: string, filler: PieceFiller, file: ByteFile, line: number): void {
  const wrong = (why: string) => verifyError(file.name, `line ${line} ${why}`)
  let row: Readonly<Record<string, unknown>>
  try {
    row = JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch {
    throw wrong('is not JSON')
  }
  const isRow = typeof row === 'object' && row !== null && Object.keys(row).join() === columns.join()
  if (!isRow || !columns.every((name) => Array.isArray(row[name])))
    throw wrong(`is no object of the lists ${columns.join(', ')}`)
  const [ids, labels, attention] = columns.map((name) => row[name] as readonly unknown[]) as [
    readonly unknown[],
    readonly unknown[],
    readonly unknown[],
  ]
  if (labels.length !== ids.length || attention.length !== ids.length)
    throw wrong('has lists of different lengths')
  const into = filler.add(ids.length)
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 2 ** 32)
      throw wrong(`has an id that is none at place ${i}`)
    into.ids[i] = id
    if (into.ids[i] !== id) throw wrong(`has id ${id} at place ${i}, which does not fit`)
    if (labels[i] !== id && labels[i] !== -100)
      throw wrong(`has a label that is neither -100 nor the id at place ${i}`)
    into.mask[i] = labels[i] === -100 ? 0 : 1
    if (attention[i] !== 1) throw wrong(`does not attend to place ${i}`)
  }
}
