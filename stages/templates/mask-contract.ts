/**
 * What a template trains on, as data: in words, and as an automaton over special tokens and masks that a reader of ids
 * can hold a shard against. Text between special tokens is one symbol, so the automaton needs no tokenizer.
 */
import { type Piece, verifyError } from '../outputs/define-output.ts'
import type { TemplateOptions } from './define-template.ts'

/** In state `from`, this token with this mask leads to state `to`. `text` is every token that is none of the template's. */
export type MaskRule = readonly [from: string, token: string, trained: 0 | 1, to: string]

export interface MaskContract {
  /** What is trained on, in words. */
  readonly trained: string
  /** What is not. */
  readonly untrained: string
  /** Absent where ids alone cannot tell. Conversations begin in the state `begin`. */
  readonly rules?: (options: TemplateOptions) => readonly MaskRule[]
  /** The states in which a conversation that was not cut may end. */
  readonly ends?: readonly string[]
}

export interface CheckedTemplate {
  readonly name: string
  readonly contract: MaskContract
  readonly options: TemplateOptions
  /** Ids of its special tokens. */
  readonly specials: ReadonlyMap<string, number>
  readonly vocabularySize: number
  readonly maxSeqLen: number
  /** Names of special tokens inside a text have become their ids. */
  readonly recognised: boolean
}

/** The token that begins conversations and stands nowhere else in them, by the rules; undefined: there is none. */
export function openerOf(rules: readonly MaskRule[]): string | undefined {
  const openers = new Set(rules.filter(([from]) => from === 'begin').map(([, token]) => token))
  const [opener] = openers
  const elsewhere = rules.some(([from, token]) => from !== 'begin' && token === opener)
  return openers.size === 1 && opener !== 'text' && !elsewhere ? opener : undefined
}

const begin = 1
const unknown = -2
const refused = -1

/**
 * Holds shards against a template's contract. States are sets of the contract's states, found as they are needed: a
 * conversation may end anywhere (maxSeqLen cuts it), and where a run of tokens does not say where, it may everywhere.
 */
export class MaskChecker {
  private readonly template: CheckedTemplate
  private readonly rules: readonly { from: number; symbol: number; trained: 0 | 1; to: number }[]
  private readonly names: readonly string[]
  private readonly symbolOf: Uint8Array
  private readonly sets: number[] = []
  private readonly next: number[] = []
  private readonly everywhere: number
  private readonly ends: number
  /** The token that begins conversations and stands nowhere else; 0: there is none. */
  private readonly opener: number
  private runs = false
  private state = 0
  private at = 0
  private conversation = 0
  /** Where the conversation begins in the shard; -1 in one that came from the shard before. */
  private first = -1

  /** `undefined` where ids cannot tell, or the contract's tokens are not known. */
  static of(template: CheckedTemplate): MaskChecker | undefined {
    const rules = template.contract.rules?.(template.options)
    if (rules === undefined) return undefined
    const named = rules.every(([, token]) => token === 'text' || template.specials.has(token))
    return named ? new MaskChecker(template, rules) : undefined
  }

  private constructor(template: CheckedTemplate, rules: readonly MaskRule[]) {
    this.template = template
    const states = ['begin']
    const bit = (state: string) => {
      if (!states.includes(state)) states.push(state)
      return 1 << states.indexOf(state)
    }
    this.names = ['text', ...new Set(rules.map(([, token]) => token).filter((token) => token !== 'text'))]
    this.rules = rules.flatMap(([from, token, trained, to]) => {
      const symbols = token === 'text' && template.recognised ? this.names : [token]
      return symbols.map((name) => ({
        ...{ from: bit(from), symbol: this.names.indexOf(name) },
        ...{ trained, to: bit(to) },
      }))
    })
    this.everywhere = 2 ** states.length - 1
    this.ends = (template.contract.ends ?? []).reduce((set, state) => set | bit(state), 0)
    this.symbolOf = new Uint8Array(template.vocabularySize)
    for (const [symbol, name] of this.names.entries())
      if (symbol > 0) this.symbolOf[template.specials.get(name)!] = symbol
    // A text in which special tokens are recognised may hold it too.
    const opener = template.recognised ? undefined : openerOf(rules)
    this.opener = opener === undefined ? 0 : this.names.indexOf(opener)
  }

  /** A new shard; `runs`: its conversations are not kept apart, and the first may be the rest of one. */
  open(runs: boolean): void {
    this.runs = runs
    this.state = this.numberOf(runs ? this.everywhere : begin)
    this.at = 0
    this.conversation = 0
    this.first = -1
  }

  /** The next run of the shard, with masks of 0 and 1. Throws VERIFY errors that name the token. */
  add({ ids, mask, lengths }: Piece, names: FileNames): void {
    if (this.runs || lengths === undefined) {
      this.walk(ids, mask, 0, ids.length, names)
      return
    }
    let from = 0
    for (const length of lengths) {
      this.begin()
      this.walk(ids, mask, from, from + length, names)
      this.end(names)
      from += length
    }
  }

  private begin(): void {
    this.first = this.at
    this.conversation++
    this.state = this.numberOf(begin)
  }

  /** Only a conversation that fills maxSeqLen may have been cut. */
  private end({ tokens }: FileNames): void {
    const { name, maxSeqLen } = this.template
    if (this.first < 0 || this.at - this.first >= maxSeqLen) return
    if ((this.sets[this.state]! & this.ends) === 0)
      throw verifyError(
        tokens,
        `conversation ${this.conversation} ends where template ${name} does not end one`,
      )
  }

  private walk(ids: Piece['ids'], mask: Piece['mask'], from: number, to: number, names: FileNames): void {
    const { symbolOf, next, opener } = this
    const width = 2 * this.names.length
    let { state } = this
    for (let i = from; i < to; i++) {
      const symbol = symbolOf[ids[i]!]!
      if (symbol === opener && symbol !== 0 && this.runs) {
        this.state = state
        this.end(names)
        this.begin()
        state = this.state
      }
      const place = state * width + 2 * symbol + mask[i]!
      let then = next[place]!
      if (then === unknown) {
        then = this.follow(state, symbol, mask[i]!)
        next[place] = then
      }
      if (then === refused) throw this.fault(state, ids[i]!, mask[i]!, names)
      state = then
      this.at++
    }
    this.state = state
  }

  private follow(state: number, symbol: number, trained: number): number {
    const restart = this.runs && this.opener === 0 ? begin : 0
    const set = this.sets[state]! | restart
    let to = 0
    for (const rule of this.rules)
      if ((rule.from & set) !== 0 && rule.symbol === symbol && rule.trained === trained) to |= rule.to
    return to === 0 ? refused : this.numberOf(to)
  }

  private numberOf(set: number): number {
    const found = this.sets.indexOf(set)
    if (found >= 0) return found
    for (let i = 0; i < 2 * this.names.length; i++) this.next.push(unknown)
    return this.sets.push(set) - 1
  }

  private fault(state: number, id: number, trained: number, names: FileNames) {
    const { name, contract } = this.template
    const symbol = this.symbolOf[id]!
    const token = symbol === 0 ? `id ${id}` : this.names[symbol]!
    const place =
      this.first < 0 ? '' : `, token ${this.at - this.first} of conversation ${this.conversation},`
    const what = `token ${this.at} (${token})${place}`
    if (this.follow(state, symbol, 1 - trained) === refused)
      return verifyError(names.tokens, `${what} stands where template ${name} writes no such token`)
    const is = trained === 1 ? 'is trained on' : 'is not trained on'
    const wanted = trained === 1 ? `does not train on ${contract.untrained}` : `trains on ${contract.trained}`
    return verifyError(names.mask, `${what} ${is}, but template ${name} ${wanted}`)
  }
}

/** The files that ids and masks come from. */
interface FileNames {
  readonly tokens: string
  readonly mask: string
}
