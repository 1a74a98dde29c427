/** The rows of each dataset of the mixture, made up and written as the hub has them. */
import { type LeafData, type Node, ParquetFile } from './parquet-file.ts'
import { Random } from './random.ts'
import { TextSampler } from './text.ts'
import type { Words } from './words.ts'

/** One parquet file to make; plain data, so that a worker thread can be told. */
export interface TableTask {
  readonly path: string
  readonly table: 'smoltalk' | 'mmlu' | 'mmlu-nested' | 'gsm8k'
  readonly rows: number
  readonly seed: number
}

const groupRows = 1000
const string = (name: string): Node => ({ name, leaf: 'string' })

/** Writes one file; returns its bytes of text. */
export function writeTable({ path, table, rows, seed }: TableTask, words: Words): number {
  const random = new Random(seed)
  const text = new TextSampler(words, random)
  const make = { smoltalk, mmlu, 'mmlu-nested': mmlu, gsm8k }[table]
  const file = new ParquetFile(path, schemas[table])
  let bytes = 0
  for (let done = 0; done < rows; done += groupRows) {
    const count = Math.min(groupRows, rows - done)
    const leaves = make(count, text, random, table === 'mmlu-nested')
    for (const { plain } of leaves) bytes += plain?.bytes.length ?? 0
    file.rowGroup(count, leaves)
  }
  file.close()
  return bytes
}

const mmluFields: readonly Node[] = [
  string('question'),
  string('subject'),
  {
    name: 'choices',
    list: true,
    children: [{ name: 'list', repetition: 'repeated', children: [string('element')] }],
  },
  { name: 'answer', leaf: 'int64' },
]

const schemas: Readonly<Record<TableTask['table'], readonly Node[]>> = {
  smoltalk: [
    {
      name: 'messages',
      list: true,
      children: [
        {
          name: 'list',
          repetition: 'repeated',
          children: [{ name: 'element', children: [string('content'), string('role')] }],
        },
      ],
    },
    string('source'),
  ],
  mmlu: mmluFields,
  'mmlu-nested': [{ name: 'train', children: mmluFields }],
  gsm8k: [string('question'), string('answer')],
}

/** Gathers one leaf's values. */
class Leaf {
  private bytes = Buffer.alloc(1 << 20)
  private length = 0
  private starts = new Uint32Array(1 << 12)
  private count = 0
  private repetition: number[] = []

  add(from: Uint8Array, start: number, end: number, repetition: number): void {
    if (this.count === this.starts.length) {
      const next = new Uint32Array(2 * this.count)
      next.set(this.starts)
      this.starts = next
    }
    this.starts[this.count++] = this.length
    this.repetition.push(repetition)
    const size = end - start
    if (this.length + size + 8 > this.bytes.length)
      this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.bytes.length + size)])
    this.bytes.writeUInt32LE(size, this.length)
    this.bytes.set(from.subarray(start, end), this.length + 4)
    this.length += 4 + size
  }

  addInt64(value: number): void {
    if (this.count === this.starts.length) throw new RangeError('too many numbers')
    this.starts[this.count++] = this.length
    this.bytes.writeBigInt64LE(BigInt(value), this.length)
    this.length += 8
  }

  data(path: readonly string[], type: 'string' | 'int64', maxDef: number, nested: boolean): LeafData {
    const starts = new Uint32Array(this.count + 1)
    starts.set(this.starts.subarray(0, this.count))
    starts[this.count] = this.length
    return {
      path,
      type,
      maxDef,
      count: this.count,
      plain: { bytes: this.bytes.subarray(0, this.length), starts },
      ...(nested ? { repetition: Uint8Array.from(this.repetition) } : {}),
    }
  }
}

const roles = ['user', 'assistant', 'system']
const sources = [
  'smol-magpie-ultra',
  'openhermes-100k',
  'self-oss-instruct',
  'smol-summarize',
  'everyday-conversations',
]

function smoltalk(rows: number, text: TextSampler, random: Random): LeafData[] {
  const content = new Leaf()
  const role: number[] = []
  const repetition: number[] = []
  const source = new Uint8Array(rows)
  for (let r = 0; r < rows; r++) {
    let first = 0
    const say = (who: number, median: number, sigma: number) => {
      text.clear()
      text.message(Math.min(20_000, Math.max(4, Math.round(random.logNormal(median, sigma)))))
      content.add(text.bytes, 0, text.length, first)
      role.push(who)
      repetition.push(first)
      first = 1
    }
    source[r] = random.below(sources.length)
    if (random.chance(0.25)) say(2, 120, 0.5)
    const turns = random.chance(0.55) ? 1 : 2 + random.below(3)
    for (let t = 0; t < turns; t++) {
      say(0, t === 0 ? 260 : 110, 0.9)
      say(1, 920, 0.75)
    }
  }
  const path = ['messages', 'list', 'element']
  return [
    content.data([...path, 'content'], 'string', 4, true),
    {
      path: [...path, 'role'],
      type: 'string',
      maxDef: 4,
      repetition: Uint8Array.from(repetition),
      count: role.length,
      dictionary: { values: roles, indices: Uint8Array.from(role) },
    },
    {
      path: ['source'],
      type: 'string',
      maxDef: 1,
      count: rows,
      dictionary: { values: sources, indices: source },
    },
  ]
}

function mmlu(rows: number, text: TextSampler, random: Random, nested: boolean): LeafData[] {
  const question = new Leaf()
  const choices = new Leaf()
  const answer = new Leaf()
  const subject = new Uint8Array(rows)
  for (let r = 0; r < rows; r++) {
    text.clear()
    text.line(Math.max(20, Math.round(random.logNormal(nested ? 600 : 160, 0.9))))
    question.add(text.bytes, 0, text.length, 0)
    for (let c = 0; c < 4; c++) {
      text.clear()
      text.line(Math.max(2, Math.round(random.logNormal(25, 0.6))))
      choices.add(text.bytes, 0, text.length, c === 0 ? 0 : 1)
    }
    answer.addInt64(random.below(4))
  }
  const outer = nested ? ['train'] : []
  const deeper = nested ? 1 : 0
  return [
    question.data([...outer, 'question'], 'string', 1 + deeper, false),
    {
      path: [...outer, 'subject'],
      type: 'string',
      maxDef: 1 + deeper,
      count: rows,
      dictionary: { values: ['', 'anatomy'], indices: subject },
    },
    choices.data([...outer, 'choices', 'list', 'element'], 'string', 3 + deeper, true),
    answer.data([...outer, 'answer'], 'int64', 1 + deeper, false),
  ]
}

function gsm8k(rows: number, text: TextSampler, random: Random): LeafData[] {
  const question = new Leaf()
  const answer = new Leaf()
  for (let r = 0; r < rows; r++) {
    text.clear()
    text.line(Math.round(random.logNormal(220, 0.4)))
    question.add(text.bytes, 0, text.length, 0)
    text.clear()
    let sum = 0
    for (let steps = 2 + random.below(4); steps > 0; steps--) {
      text.line(40)
      const [a, b] = [random.below(900), random.below(60)]
      sum = a + b
      text.string(` ${a} + ${b} = $<<${a}+${b}=${sum}>>${sum}.\n`)
    }
    text.string(`#### ${sum}`)
    answer.add(text.bytes, 0, text.length, 0)
  }
  return [question.data(['question'], 'string', 1, false), answer.data(['answer'], 'string', 1, false)]
}
