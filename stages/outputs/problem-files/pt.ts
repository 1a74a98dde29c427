/**
 * What `torch.load(…, weights_only=True)` reads: the dict of nanochat's chat evaluation, as `torch.save` writes it.
 *
 *   {task_type: "categorical", label, num_examples, random_baseline,
 *    sequences: [{tokens: [int], answer_pos, letter_token_ids: [int], gold, example_idx}]}
 */
import type { FileReader } from '../file-reader.ts'
import { writeTorchFile } from '../torch-file.ts'
import type { Problem, ProblemFileHead, ProblemFormat } from './define-format.ts'

export const pt: ProblemFormat = {
  name: 'pt',
  version: 1,
  extension: 'pt',
  about: 'one file a task for PyTorch: torch.load reads it, also with weights_only=True',
  write: ({ label, examples, randomBaseline }, problem, sink) =>
    writeTorchFile(label, sink, (out) =>
      out.dict([
        ['task_type', () => out.text('categorical')],
        ['label', () => out.text(label)],
        ['num_examples', () => out.int(examples)],
        ['random_baseline', () => out.float(randomBaseline)],
        [
          'sequences',
          () =>
            out.list(examples, (i) => {
              const { tokens, letterTokenIds, gold, exampleIdx } = problem(i)
              return out.dict([
                ['tokens', () => out.ints(tokens)],
                ['answer_pos', () => out.int(tokens.length - 1)],
                ['letter_token_ids', () => out.ints(letterTokenIds)],
                ['gold', () => out.int(gold)],
                ['example_idx', () => out.int(exampleIdx)],
              ])
            }),
        ],
      ]),
    ),
  read: function* (file, expected) {
    skipLocalHeader(file)
    const pickle = new Layout(file)
    pickle.open()
    pickle.key('task_type')
    if (pickle.text() !== 'categorical') file.fail('is not of task_type "categorical"')
    pickle.key('label')
    const label = pickle.text()
    pickle.key('num_examples')
    const examples = pickle.int()
    pickle.key('random_baseline')
    const head: ProblemFileHead = { label, examples, randomBaseline: pickle.float() }
    for (const name of ['label', 'examples', 'randomBaseline'] as const)
      if (expected !== undefined && head[name] !== expected[name])
        file.fail(`says ${name} ${head[name]}, expected ${expected[name]}`)
    pickle.key('sequences')
    yield* pickle.problems(head.examples)
    pickle.end()
  },
}

function skipLocalHeader(file: FileReader): void {
  const head = file.take(30)
  if (head.readUInt32LE(0) !== 0x04034b50) file.fail('is no file of torch.save (no ZIP)')
  const [name, extra] = [head.readUInt16LE(26), head.readUInt16LE(28)]
  if (!file.take(name).toString('utf8').endsWith('/data.pkl')) file.fail('does not begin with data.pkl')
  file.take(extra)
}

/** Reads a pickle that is laid out as `write` lays it out, and nothing else: what a file may not say is an error. */
class Layout {
  private readonly file: FileReader
  private readonly texts = new Map<number, string>()
  private memoized = 0

  constructor(file: FileReader) {
    this.file = file
  }

  /** The opening of the file's dict. */
  open(): void {
    this.expect(0x80, 2, 0x7d)
    this.put()
    this.expect(0x28)
  }

  key(name: string): void {
    const found = this.text()
    if (found !== name)
      this.file.fail(`has ${JSON.stringify(found)} where ${JSON.stringify(name)} was expected`)
  }

  text(): string {
    const code = this.file.byte()
    if (code === 0x68 || code === 0x6a) {
      const index = code === 0x68 ? this.file.byte() : this.file.take(4).readUInt32LE(0)
      return this.texts.get(index) ?? this.refuse(code)
    }
    if (code !== 0x58) return this.refuse(code)
    const length = this.file.take(4).readUInt32LE(0)
    const text = this.file.take(length).toString('utf8')
    this.texts.set(this.put(), text)
    return text
  }

  int(): number {
    const code = this.file.byte()
    if (code === 0x4b) return this.file.byte()
    if (code === 0x4d) return this.file.take(2).readUInt16LE(0)
    return code === 0x4a ? this.file.take(4).readInt32LE(0) : this.refuse(code)
  }

  float(): number {
    this.expect(0x47)
    return this.file.take(8).readDoubleBE(0)
  }

  *problems(count: number): Generator<Problem> {
    this.expect(0x5d)
    this.put()
    for (let i = 0; i < count; i++) {
      if (count > 1 && i % 1000 === 0) this.expect(0x28)
      yield this.problem()
      if (count === 1) this.expect(0x61)
      else if (i % 1000 === 999 || i === count - 1) this.expect(0x65)
    }
  }

  end(): void {
    this.expect(0x75, 0x2e)
  }

  private problem(): Problem {
    this.expect(0x7d)
    this.put()
    this.expect(0x28)
    this.key('tokens')
    const tokens = this.ints()
    this.key('answer_pos')
    const answer = this.int()
    if (answer !== tokens.length - 1)
      this.file.fail(`has answer_pos ${answer} for a prompt of ${tokens.length} tokens`)
    this.key('letter_token_ids')
    const letterTokenIds = this.ints()
    this.key('gold')
    const gold = this.int()
    this.key('example_idx')
    const exampleIdx = this.int()
    this.expect(0x75)
    return { tokens, letterTokenIds, gold, exampleIdx }
  }

  /** A list of ints with at least one item. */
  private ints(): number[] {
    this.expect(0x5d)
    this.put()
    const values: number[] = []
    if (this.file.peek() !== 0x28) {
      values.push(this.int())
      this.expect(0x61)
      return values
    }
    while (this.file.peek() === 0x28) {
      this.expect(0x28)
      while (this.file.peek() !== 0x65) values.push(this.int())
      this.expect(0x65)
    }
    return values
  }

  private put(): number {
    const code = this.file.byte()
    const index =
      code === 0x71 ? this.file.byte() : code === 0x72 ? this.file.take(4).readUInt32LE(0) : this.refuse(code)
    if (index !== this.memoized++) this.file.fail(`memoizes ${index} out of turn`)
    return index
  }

  private expect(...codes: number[]): void {
    for (const code of codes) {
      const found = this.file.byte()
      if (found !== code) this.refuse(found)
    }
  }

  private refuse(code: number): never {
    this.file.fail(
      `has byte 0x${code.toString(16)} at ${this.file.position - 1}, where the layout has another`,
    )
  }
}
