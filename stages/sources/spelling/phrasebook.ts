import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { ShardmillError } from '../../../errors/index.ts'
import { nearest } from '../../../errors/nearest.ts'
// The type alone is used, but because of this import tsc puts the file beside the compiled module.
import type defaultPhrasebook from './default-phrasebook.json'

/**
 * The sentences of a SpellingBee conversation. They are data: with the reference's sentences the output is the
 * reference's. `{letter}`, `{word}`, … stand for what each item draws; every other brace is text.
 */
const phrasebookSchema = z.strictObject({
  /** The user's questions; each holds `{letter}` and `{word}`, which come with or without quotes. */
  question_templates: z.array(z.string()).min(1),
  /** Opens the count by hand; `{spelled}` is the word's characters joined by commas. */
  manual_head: z.string(),
  /** A line for each character that is the letter: `{i}` its place from 1, `{char}` itself, `{n}` hits so far. */
  hit_line: z.string(),
  /** A line for each other character. */
  miss_line: z.string(),
  /** Closes the count by hand; `{n}` is the total. */
  manual_tail: z.string(),
  /** Stands before the call of Python. */
  verify_lead: z.string(),
  /** The answer: `{count}`. */
  final: z.string(),
})

export type Phrasebook = z.infer<typeof phrasebookSchema>
export type Placeholder = 'letter' | 'word' | 'spelled' | 'count' | 'i' | 'char' | 'n'

/** Which placeholders have a value in which field. */
const WHOLE_ITEM: readonly Placeholder[] = ['letter', 'word', 'spelled', 'count']
const KNOWN: Readonly<Record<keyof Phrasebook, readonly Placeholder[]>> = {
  question_templates: ['letter', 'word'],
  manual_head: WHOLE_ITEM,
  hit_line: [...WHOLE_ITEM, 'i', 'char', 'n'],
  miss_line: [...WHOLE_ITEM, 'i', 'char', 'n'],
  manual_tail: [...WHOLE_ITEM, 'n'],
  verify_lead: WHOLE_ITEM,
  final: WHOLE_ITEM,
}

export type DefaultPhrasebook = typeof defaultPhrasebook

/** The bytes of the phrasebook that comes with shardmill. */
export async function defaultPhrasebookBytes(): Promise<Uint8Array> {
  return readFile(new URL('./default-phrasebook.json', import.meta.url))
}

/**
 * A phrasebook from its JSON bytes.
 * @throws ShardmillError BAD_FILE, naming the field: not UTF-8 or JSON, a field missing, misspelt or of another type,
 *   a question without `{letter}` or `{word}`, a placeholder that has no value in its field.
 */
export function parsePhrasebook(bytes: Uint8Array, file: string): Phrasebook {
  const value = parseJson(bytes, file)
  const parsed = phrasebookSchema.safeParse(value)
  if (!parsed.success) throw bad(file, `the phrasebook is wrong${faultOf(parsed.error.issues[0]!, value)}`)
  const book = parsed.data
  for (const field of Object.keys(KNOWN) as (keyof Phrasebook)[]) {
    const value = book[field]
    if (typeof value === 'string') checkPlaceholders(value, field, field, file)
    else {
      for (const [i, template] of value.entries()) checkPlaceholders(template, field, `${field}[${i}]`, file)
    }
  }
  for (const [i, template] of book.question_templates.entries()) {
    for (const needed of ['{letter}', '{word}']) {
      if (!template.includes(needed)) throw bad(file, `question_templates[${i}] lacks ${needed}`)
    }
  }
  return book
}

/** A template cut at its placeholders: `texts` has one piece more than `slots`. */
export interface Template {
  readonly texts: readonly string[]
  readonly slots: readonly Placeholder[]
}

/** Cuts a checked template. */
export function cutTemplate(template: string, field: keyof Phrasebook): Template {
  const pieces = template.split(new RegExp(`\\{(${KNOWN[field].join('|')})\\}`))
  return {
    texts: pieces.filter((_, i) => i % 2 === 0),
    slots: pieces.filter((_, i) => i % 2 === 1) as Placeholder[],
  }
}

function checkPlaceholders(template: string, field: keyof Phrasebook, where: string, file: string): void {
  for (const [whole, name] of template.matchAll(/\{([A-Za-z_][A-Za-z_0-9]*)\}/g)) {
    const known: readonly string[] = KNOWN[field]
    if (known.includes(name!)) continue
    const list = known.map((each) => `{${each}}`).join(', ')
    throw bad(file, `${where} holds the placeholder ${whole}, which has no value there (known: ${list})`)
  }
}

function parseJson(bytes: Uint8Array, file: string): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw bad(file, 'the phrasebook is not UTF-8 text', cause)
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw bad(file, `the phrasebook is not JSON (${(cause as Error).message})`, cause)
  }
}

function where(path: readonly PropertyKey[]): string {
  if (path.length === 0) return ''
  return ` at ${path.map((step) => (typeof step === 'number' ? `[${step}]` : String(step))).join('')}`
}

function faultOf(issue: z.core.$ZodIssue, book: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    const [name = ''] = issue.keys
    const guess = nearest(name, Object.keys(KNOWN))
    return `: unknown field ${JSON.stringify(name)}${guess === undefined ? '' : `; did you mean "${guess}"?`}`
  }
  const found = issue.path.reduce<unknown>((at, step) => (at as Record<PropertyKey, unknown>)[step], book)
  const kind = Array.isArray(found)
    ? found.length === 0
      ? 'an empty list'
      : 'a list'
    : found === null
      ? 'null'
      : `of type ${typeof found}`
  const expected =
    issue.path.length === 0
      ? 'an object'
      : issue.path.length === 1 && issue.path[0] === 'question_templates'
        ? 'a list of strings'
        : 'a string'
  return `${where(issue.path)}: ${found === undefined ? 'missing' : `is ${kind}`}, expected ${expected}`
}

function bad(file: string, why: string, cause?: unknown): ShardmillError {
  return new ShardmillError('BAD_FILE', why, {
    at: { file },
    hint: `A phrasebook is a JSON object with the fields ${Object.keys(KNOWN).join(', ')}; question_templates is a list of strings, the others are strings.`,
    cause,
  })
}
