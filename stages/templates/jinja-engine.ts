/**
 * Renders a chat template as Python's transformers does: Jinja with trim_blocks and lstrip_blocks, `{% generation %}`
 * blocks, and nothing that could differ from one run to the next.
 *
 * The interpreter is @huggingface/jinja. It drops the generation tags and strips strings by JavaScript's idea of white
 * space, whatever characters are asked for; both are put right here. A template's work is bounded by steps and
 * characters, not by time, so that it fails or not alike on every machine.
 */
import * as library from '@huggingface/jinja'

/** What is used of the library; its own declarations import one another in a way that NodeNext does not resolve. */
interface Value {
  readonly type: string
  readonly value: unknown
}
interface Scope {
  set(name: string, value: unknown): unknown
}
interface Node {
  readonly type: string
  readonly [field: string]: unknown
}
interface Evaluator {
  run(program: unknown): Value
  evaluate(node: Node | undefined, scope: Scope): Value
}
const { Environment, Interpreter, parse, tokenize } = library as unknown as {
  readonly Environment: new (parent?: Scope) => Scope
  readonly Interpreter: new (scope: Scope) => Evaluator
  readonly parse: (tokens: unknown) => unknown
  readonly tokenize: (source: string, options?: object) => unknown
}

export interface ChatMessage {
  readonly role: string
  readonly content: string
}

export interface RenderOptions {
  /** Texts written where a generation block begins and ends. */
  readonly open?: string
  readonly close?: string
  /** Goes on with the head of an answer. */
  readonly generationPrompt?: boolean
}

export interface ChatTemplate {
  /** Whether the template itself says what the assistant generates. */
  readonly hasGeneration: boolean
  /** @throws TemplateFault when the template refuses the messages or does too much */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string
}

/** What is wrong with a template, or with a conversation in its eyes. */
export class TemplateFault extends Error {
  override readonly name = 'TemplateFault'
}

/** Nodes evaluated, characters written and items of a range: far more than any chat needs. */
const mostSteps = 1_000_000
const mostCharacters = 32 << 20
const mostItems = 100_000

const generationTag = /\{%(-|\+)?\s*(end)?generation\s*(-)?%\}/g

/**
 * Whether a block is marked is a variable of the template, so that one program renders with and without marks. As in
 * transformers, a block is a scope: what is set inside is not seen outside.
 */
const marking = '{% macro generation_block() %}{{ block_open }}{{ caller() }}{{ block_close }}{% endmacro %}'

/**
 * Compiles a template. `variables` are what it can use besides messages, tools, documents and add_generation_prompt.
 * @throws TemplateFault when it is no Jinja, or uses what the interpreter does not know
 */
export function compileTemplate(
  source: string,
  variables: Readonly<Record<string, unknown>> = {},
): ChatTemplate {
  let hasGeneration = false
  // As Jinja does with line ends.
  const rewritten = source
    .replace(/\r\n?/g, '\n')
    .replace(generationTag, (_tag, before = '', end, after = '') => {
      hasGeneration = true
      const minus = before === '-' ? '-' : ''
      return end === undefined
        ? `{%${minus} call generation_block() ${after}%}`
        : `{%${minus} endcall ${after}%}`
    })
  const program = faulty(() => parse(tokenize(rewritten, { trim_blocks: true, lstrip_blocks: true })))
  const macro = parse(tokenize(marking))
  return {
    hasGeneration,
    render(messages, { open = '', close = '', generationPrompt = false } = {}) {
      return faulty(() => {
        const environment = globals()
        environment.set('block_open', open)
        environment.set('block_close', close)
        new Interpreter(environment).run(macro)
        const scope = new Environment(environment)
        for (const [name, value] of Object.entries(variables)) scope.set(name, value)
        scope.set('messages', messages)
        scope.set('tools', null)
        scope.set('documents', null)
        scope.set('add_generation_prompt', generationPrompt)
        return String(new BoundedInterpreter(scope).run(program).value)
      })
    },
  }
}

/** Errors of the interpreter, and of templates, as one kind; their text is a template's and cut short. */
function faulty<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateFault) throw error
    const deep = error instanceof RangeError
    const text = deep ? 'it goes too deep, or writes too much' : String((error as Error).message ?? error)
    throw new TemplateFault(text.length > 300 ? `${text.slice(0, 300)}…` : text)
  }
}

function globals(): Scope {
  const environment = new Environment()
  for (const [name, value] of [
    ['true', true],
    ['false', false],
    ['none', null],
  ] as const) {
    environment.set(name, value)
    environment.set(name[0]!.toUpperCase() + name.slice(1), value)
  }
  environment.set('raise_exception', (text: unknown) => {
    throw new TemplateFault(`the template refuses it: ${JSON.stringify(String(text)).slice(0, 300)}`)
  })
  environment.set('strftime_now', () => {
    throw new TemplateFault(
      'the template asks for the date of today, which would change its text from day to day; give it a fixed one in `variables`',
    )
  })
  environment.set('range', range)
  return environment
}

function range(...bounds: number[]): number[] {
  const [start, stop, step = 1] =
    bounds.length === 1 ? [0, bounds[0]!] : (bounds as [number, number, number?])
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (![start, stop, step].every(Number.isInteger) || step === 0)
    throw new TemplateFault('range() takes whole numbers')
  if (count > mostItems) throw new TemplateFault(`range() of ${count} items, more than ${mostItems}`)
  return Array.from({ length: count }, (_, i) => start + i * step)
}

class BoundedInterpreter extends Interpreter {
  private steps = 0
  private turns = 0
  /** What the loops of the template go over. */
  private readonly iterables = new WeakSet<Node>()

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (++this.steps > mostSteps)
      throw new TemplateFault(`the template does not come to an end within ${mostSteps} steps`)
    if (node?.type === 'For') this.iterables.add(node['iterable'] as Node)
    const value = this.stripped(node, scope) ?? super.evaluate(node, scope)
    // Turns of a loop with an empty body are no steps.
    if (node !== undefined && this.iterables.has(node) && Array.isArray(value.value)) {
      this.turns += value.value.length
      if (this.turns > mostSteps)
        throw new TemplateFault(`the loops of the template take more than ${mostSteps} turns`)
    }
    if (isString(value) && value.value.length > mostCharacters)
      throw new TemplateFault(`the template writes more than ${mostCharacters} characters`)
    return value
  }

  /** `text.strip(chars)`, `text | trim` and their like, as Python does them. */
  private stripped(node: Node | undefined, scope: Scope): Value | undefined {
    const call = node?.type === 'CallExpression' ? node : undefined
    const filter = node?.type === 'FilterExpression' ? (node['filter'] as Node) : undefined
    const method = call?.['callee'] as Node | undefined
    const name =
      method?.type === 'MemberExpression' && method['computed'] !== true
        ? (method['property'] as Node)['value']
        : filter?.type === 'CallExpression'
          ? (filter['callee'] as Node)['value']
          : filter?.['value']
    if (typeof name !== 'string' || !isStrip(name, filter !== undefined)) return undefined
    const text = this.evaluate((method?.['object'] ?? node?.['operand']) as Node, scope)
    if (!isString(text)) return undefined
    const args = ((call ?? filter)?.['args'] ?? []) as readonly Node[]
    const [chars] = args.map((arg) => this.evaluate(arg, scope))
    if (args.length > 1 || (chars !== undefined && !isString(chars) && chars.type !== 'NullValue'))
      throw new TemplateFault(`${name}() takes one text`)
    const stripped = strip(text.value, name, chars !== undefined && isString(chars) ? chars.value : undefined)
    return new (text.constructor as new (value: string) => Value)(stripped)
  }
}

function isString(value: Value): value is Value & { readonly value: string } {
  return value.type === 'StringValue'
}

function isStrip(name: string, isFilter: boolean): boolean {
  return isFilter ? name === 'trim' : name === 'strip' || name === 'lstrip' || name === 'rstrip'
}

/** What Python's str.isspace calls white space. */
const pythonSpace = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/

/** As Python's `str.strip`, `lstrip` and `rstrip`. */
export function strip(text: string, name: string, chars?: string): string {
  const set = chars === undefined ? undefined : new Set(chars)
  const drops = (char: string) => (set === undefined ? pythonSpace.test(char) : set.has(char))
  const points = Array.from(text)
  let start = 0
  let end = points.length
  if (name !== 'rstrip') while (start < end && drops(points[start]!)) start++
  if (name !== 'lstrip') while (end > start && drops(points[end - 1]!)) end--
  return start === 0 && end === points.length ? text : points.slice(start, end).join('')
}
