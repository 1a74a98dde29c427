/**
 * verifyTask: a task's file, read again as a trainer reads it: every id within the vocabulary, answer_pos at the
 * prompt's end, gold among the letters, places in order, as many problems as it says.
 */
import { ShardmillError } from '../errors/index.ts'
import { defineStage, input, paramsOf } from './define-stage.ts'
import { FileReader } from './outputs/file-reader.ts'
import type { Problem, ProblemFileHead } from './outputs/problem-files/define-format.ts'
import { problemFormatOf } from './outputs/problem-files/index.ts'

interface Params extends ProblemFileHead {
  readonly format: { readonly name: string; readonly version: number }
  readonly vocabularySize: number
  readonly bosId: number
}

export const verifyTask = defineStage({
  name: 'verifyTask',
  async run(call, { store, signal, progress }) {
    const { format, vocabularySize, bosId, label, examples, randomBaseline } = paramsOf<Params>(call)
    const file = new FileReader(await store.localFile(input(call, 'file')), call.title)
    try {
      const check = new ProblemChecker(call.title, { vocabularySize, bosId })
      for await (const problem of problemFormatOf(format.name).read(file, {
        label,
        examples,
        randomBaseline,
      })) {
        check.next(problem)
        if ((check.examples & 255) === 0) signal.throwIfAborted()
        progress.tokens(problem.tokens.length)
        progress.done(check.examples, examples)
      }
      return { outputs: {}, stats: { examples: check.examples, tokens: check.tokens } }
    } finally {
      file.close()
    }
  },
})

/** Checks problems one after the other. */
export class ProblemChecker {
  examples = 0
  tokens = 0
  private last = -1
  private readonly file: string
  private readonly facts: { readonly vocabularySize: number; readonly bosId: number }

  constructor(file: string, facts: { readonly vocabularySize: number; readonly bosId: number }) {
    this.file = file
    this.facts = facts
  }

  /** @throws VERIFY, naming the problem */
  next({ tokens, letterTokenIds, gold, exampleIdx }: Problem): void {
    const { vocabularySize, bosId } = this.facts
    const fail = (why: string): never => {
      throw new ShardmillError('VERIFY', `problem ${this.examples} (example_idx ${exampleIdx}) ${why}`, {
        at: { file: this.file },
      })
    }
    if (tokens[0] !== bosId) fail(`begins with token ${tokens[0]}, expected ${bosId}`)
    for (let i = 0; i < tokens.length; i++)
      if (tokens[i]! >= vocabularySize)
        fail(`has id ${tokens[i]} at token ${i}, but the vocabulary has ${vocabularySize} ids`)
    for (const id of letterTokenIds)
      if (id >= vocabularySize) fail(`has the letter id ${id}, but the vocabulary has ${vocabularySize} ids`)
    if (gold >= letterTokenIds.length) fail(`has gold ${gold}, but ${letterTokenIds.length} letters`)
    if (exampleIdx <= this.last) fail(`follows example_idx ${this.last}`)
    this.last = exampleIdx
    this.examples++
    this.tokens += tokens.length
  }
}
