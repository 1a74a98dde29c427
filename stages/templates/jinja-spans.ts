/**
 * Which characters of a rendered conversation are trained on: the assistant's content and the token that ends it.
 *
 * Where the template has `{% generation %}` blocks, they say it. Where it has none, the content of every answer is
 * rendered between two marks; a template that looks into its messages too closely for that is asked for the text up to
 * an answer, and up to its end, and the difference is the answer. None of it is believed: without the marks the text has
 * to be the text, and what a span holds besides the content and its end token may only be white space and added tokens.
 * What cannot be shown so is an error.
 */
import { type ChatMessage, type ChatTemplate, strip, TemplateFault } from './jinja-engine.ts'

export interface Rendered {
  readonly text: string
  /** Begin and end of what is trained on, in UTF-16 units, ascending. */
  readonly spans: readonly (readonly [number, number])[]
}

export interface SpanFinder {
  /** @throws TemplateFault when it cannot be shown what is to be trained */
  find(messages: readonly ChatMessage[]): Rendered
}

/** White space, in Python's eyes or JavaScript's. */
const space = /[\s\x1c-\x1f\x85]+/gu

/** Characters that stand for nothing (Unicode's noncharacters): marks that no text should have. */
const markCandidates = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i))

/**
 * @param added names of the tokenizer's added tokens: one of them has to end an answer
 * @throws TemplateFault when the template writes nothing that ends an answer
 */
export function createSpanFinder(template: ChatTemplate, added: readonly string[]): SpanFinder {
  const control = new RegExp([...added].sort(byLength).map(escaped).join('|') || '(?!)', 'gu')
  /** What is left of a text without added tokens and white space. */
  const bare = (text: string) => text.replace(control, '').replace(space, '')
  /** Where the added token that follows `at`, but for white space, ends; -1 when there is none. */
  const endAfter = (text: string, at: number): number => {
    const start = at + /^\s*/u.exec(text.slice(at))![0].length
    control.lastIndex = start
    const match = control.exec(text)
    return match?.index === start ? start + match[0].length : -1
  }
  const endsWithAdded = (text: string) => {
    const last = text.trimEnd()
    return added.some((token) => last.endsWith(token))
  }
  if (template.hasGeneration)
    return { find: (messages) => findBlocks(template, messages, bare, endsWithAdded) }
  const end = probeEnd(template, endAfter)
  return {
    find: (messages) => {
      const all = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []))
      const found = findMarked(template, messages, all, end, endAfter)
      if (found !== undefined) return found
      // One by one: an answer that cannot be marked does not keep the others from it.
      const each = all.map(
        (i) =>
          findMarked(template, messages, [i], end, endAfter)?.spans[0] ??
          findByPrompt(template, messages, i, end, bare),
      )
      return { text: template.render(messages), spans: each }
    },
  }
}

/** The blocks, held against the answers they should hold. */
function findBlocks(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  bare: (text: string) => string,
  endsWithAdded: (text: string) => boolean,
): Rendered {
  const text = template.render(messages)
  const [open, close] = marksFor([text, ...messages.map(({ content }) => content)])
  const marked = unmark(template.render(messages, { open, close }), open, close)
  if (marked === undefined) throw new TemplateFault('its generation blocks stand one in another')
  if (marked.text !== text) throw new TemplateFault('its generation blocks cannot be told from its text')
  const answers = messages.filter(({ role }) => role === 'assistant').map(({ content }) => bare(content))
  const unended = (answer: number) =>
    new TemplateFault(`the end token of answer ${answer} is in no generation block`)
  let answer = 0
  let ended = true
  for (const [start, end] of marked.spans) {
    const inside = text.slice(start, end)
    const rest = bare(inside)
    const isAnswer: boolean = rest === answers[answer] && (rest !== '' || ended)
    if (!isAnswer && rest !== '') {
      throw new TemplateFault(
        `its generation block ${shown(inside)} does not hold just the assistant's content and its end token`,
      )
    }
    if (isAnswer && !ended) throw unended(answer)
    if (isAnswer) answer++
    ended = endsWithAdded(inside) || (ended && !isAnswer)
  }
  if (answer < answers.length)
    throw new TemplateFault(`answer ${answer + 1} of ${answers.length} is in no generation block`)
  if (!ended) throw unended(answer)
  return marked
}

interface Variant {
  /** Whether the mark stands before (after) the white space at the content's beginning (end). */
  readonly outerStart: boolean
  readonly outerEnd: boolean
}

const variants: readonly Variant[] = [
  { outerStart: true, outerEnd: true },
  { outerStart: false, outerEnd: true },
  { outerStart: true, outerEnd: false },
  { outerStart: false, outerEnd: false },
]

/** The answers `marking` between marks; undefined when the template writes something else for that. */
function findMarked(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  marking: readonly number[],
  end: string,
  endAfter: (text: string, at: number) => number,
): Rendered | undefined {
  const text = template.render(messages)
  if (marking.length === 0) return { text, spans: [] }
  const [open, close] = marksFor([text, ...messages.map(({ content }) => content)])
  const tried = new Set<string>()
  for (const variant of variants) {
    const inner: string[] = []
    const changed = messages.map((message, i) => {
      if (!marking.includes(i)) return message
      const { content } = message
      const first = variant.outerStart ? 0 : content.length - strip(content, 'lstrip').length
      const last = Math.max(first, variant.outerEnd ? content.length : strip(content, 'rstrip').length)
      inner.push(content.slice(first, last))
      const marked = `${open}${content.slice(first, last)}${close}`
      return { ...message, content: `${content.slice(0, first)}${marked}${content.slice(last)}` }
    })
    const id = JSON.stringify(inner)
    if (tried.has(id)) continue
    tried.add(id)
    const found = unmark(attempt(template, changed) ?? '', open, close)
    if (found === undefined || found.text !== text || found.spans.length !== marking.length) continue
    const spans = found.spans.map(([from, to], i) => {
      const after = endAfter(text, to)
      const whole = text.slice(from, to) === inner[i] && text.slice(to, after).trim() === end
      return whole ? ([from, after] as const) : undefined
    })
    if (spans.every((span) => span !== undefined)) return { text, spans }
  }
  return undefined
}

/** An answer as what comes between its generation prompt and the end of the text up to it. */
function findByPrompt(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  answer: number,
  end: string,
  bare: (text: string) => string,
): readonly [number, number] {
  const text = template.render(messages)
  const fault = (why: string) =>
    new TemplateFault(`cannot tell which part of the text is the assistant's message ${answer}: ${why}`)
  const before = attempt(template, messages.slice(0, answer), true)
  const upTo = attempt(template, messages.slice(0, answer + 1))
  if (before === undefined || upTo === undefined)
    throw fault('the template refuses the conversation up to it')
  const last = upTo.lastIndexOf(end)
  const stop = last + end.length
  if (!upTo.startsWith(before) || last < before.length || bare(upTo.slice(stop)) !== '')
    throw fault('the text up to it is not the text before it, its content and an end token')
  if (!text.startsWith(upTo.slice(0, stop))) throw fault('what follows it changes its text')
  if (bare(upTo.slice(before.length, last)) !== bare(messages[answer]!.content))
    throw fault('the template writes something else than its content')
  return [before.length, stop]
}

/** What the template writes after an answer that ends the conversation. */
function probeEnd(template: ChatTemplate, endAfter: (text: string, at: number) => number): string {
  const dialogue = [
    { role: 'user', content: 'Question' },
    { role: 'assistant', content: 'Answer' },
  ]
  const [open, close] = marksFor([])
  const marked = dialogue.map((message) =>
    message.role === 'user' ? message : { ...message, content: `${open}${message.content}${close}` },
  )
  const rendered = template.render(marked)
  const found = unmark(rendered, open, close)
  const [span] = found?.spans ?? []
  if (found === undefined || span === undefined || found.spans.length !== 1)
    throw new TemplateFault("it does not write the assistant's content once")
  const end = endAfter(found.text, span[1])
  if (end < 0)
    throw new TemplateFault(
      `it writes no added token of the tokenizer after the assistant's content (but ${shown(found.text.slice(span[1]))}), so that nothing would end an answer`,
    )
  return found.text.slice(span[1], end).trim()
}

function attempt(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  generationPrompt = false,
): string | undefined {
  try {
    return template.render(messages, { generationPrompt })
  } catch (error) {
    if (error instanceof TemplateFault) return undefined
    throw error
  }
}

/** The text without marks, and what stood between them; undefined when they are not pairs, one after the other. */
function unmark(marked: string, open: string, close: string): Rendered | undefined {
  const spans: [number, number][] = []
  let text = ''
  let start = -1
  let from = 0
  for (let i = 0; i < marked.length; i++) {
    const char = marked[i]
    if (char !== open && char !== close) continue
    text += marked.slice(from, i)
    from = i + 1
    if ((char === open) !== start < 0) return undefined
    if (char === open) start = text.length
    else {
      spans.push([start, text.length])
      start = -1
    }
  }
  if (start >= 0) return undefined
  return { text: text + marked.slice(from), spans }
}

/** Two marks that stand in none of the texts. */
function marksFor(texts: readonly string[]): [string, string] {
  const [open, close] = markCandidates.filter((mark) => !texts.some((text) => text.includes(mark)))
  if (open === undefined || close === undefined)
    throw new TemplateFault('the conversation holds all of U+FDD0 to U+FDEF, which should stand in no text')
  return [open, close]
}

function byLength(a: string, b: string): number {
  return b.length - a.length || (a < b ? -1 : 1)
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
