/**
 * SimpleSpelling and SpellingBee: conversations made of a word list, one for every item number.
 *
 * Each item has a Python `Random` of its own, seeded with its number (plus 10,000,000 in the test split), so any
 * item can be made alone and the draws below must stay in this order (nanochat's tasks of the same names).
 */
import { ShardmillError } from '../../../errors/index.ts'
import { PythonRandom } from '../../../random/python-random.ts'
import { cutTemplate, type Phrasebook, type Template } from './phrasebook.ts'
import type { WordList } from './words.ts'

/** Takes one item: `user`, then either `assistantText` or `part`s in order. */
export interface SpellingSink {
  user(text: string): void
  /** The assistant's content is a plain string. */
  assistantText(text: string): void
  part(type: 'text' | 'python' | 'python_output', text: string): void
}

export interface SpellingTask {
  /** Writes item i, 0 <= i. */
  item(i: number, sink: SpellingSink): void
}

export type SpellingSplit = 'train' | 'test'

const TEST_SEED_OFFSET = 10_000_000
/** The seed that orders SimpleSpelling's words. */
const WORD_ORDER_SEED = 42
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const LETTER_IN_WORD = 0.9
const LOWER_CASED = 0.3
const QUESTION_MARKED = 0.5
const QUOTES = ['', "'", '"'] as const

/** "Spell the word: …" and its letters. `words` is not empty. */
export function createSimpleSpelling(words: WordList, split: SpellingSplit): SpellingTask {
  needWords(words)
  const order = new PythonRandom(WORD_ORDER_SEED).permutation(words.length)
  const offset = seedOffset(split)
  const rng = new PythonRandom(0)
  return {
    item(i, sink) {
      rng.seed(offset + i)
      const word = words.at(order[rng.randbelow(order.length)]!)!
      sink.user(`Spell the word: ${word}`)
      sink.assistantText(`${word}:${characters(word).join(',')}`)
    },
  }
}

/** "How many of this letter are in that word?", counted by hand and again with Python. `words` is not empty. */
export function createSpellingBee(
  words: WordList,
  phrasebook: Phrasebook,
  split: SpellingSplit,
): SpellingTask {
  needWords(words)
  const questions = phrasebook.question_templates.map((text) => cutTemplate(text, 'question_templates'))
  // Python lower-cases the template before it fills it in; the placeholders' names are lower-case already.
  const loweredQuestions = phrasebook.question_templates.map((text) =>
    cutTemplate(text.toLowerCase(), 'question_templates'),
  )
  const head = cutTemplate(phrasebook.manual_head, 'manual_head')
  const hitLine = cutTemplate(phrasebook.hit_line, 'hit_line')
  const missLine = cutTemplate(phrasebook.miss_line, 'miss_line')
  const tail = cutTemplate(phrasebook.manual_tail, 'manual_tail')
  const verifyLead = cutTemplate(phrasebook.verify_lead, 'verify_lead')
  const final = cutTemplate(phrasebook.final, 'final')
  const offset = seedOffset(split)
  const rng = new PythonRandom(0)
  const values: Values = { letter: '', word: '', spelled: '', count: '', i: '', char: '', n: '' }

  return {
    item(i, sink) {
      rng.seed(offset + i)
      const word = words.at(rng.randbelow(words.length))!
      const chars = characters(word)
      const letter =
        rng.random() < LETTER_IN_WORD
          ? chars[rng.randbelow(chars.length)]!
          : LETTERS.charAt(rng.randbelow(LETTERS.length))
      const template = rng.randbelow(questions.length)
      const lowered = rng.random() < LOWER_CASED
      const letterQuote = QUOTES[rng.randbelow(3)]!
      const wordQuote = QUOTES[rng.randbelow(3)]!
      const questionMark = rng.random() < QUESTION_MARKED ? '?' : ''

      values.letter = letterQuote + letter + letterQuote
      values.word = wordQuote + word + wordQuote
      sink.user(fill((lowered ? loweredQuestions : questions)[template]!, values) + questionMark)

      let count = 0
      for (const char of chars) if (char === letter) count++
      values.letter = letter
      values.word = word
      values.spelled = chars.join(',')
      values.count = String(count)

      let manual = fill(head, values)
      let hits = 0
      for (let k = 0; k < chars.length; k++) {
        const char = chars[k]!
        const hit = char === letter
        if (hit) hits++
        values.i = String(k + 1)
        values.char = char
        values.n = String(hits)
        manual += fill(hit ? hitLine : missLine, values)
      }
      values.n = values.count
      manual += fill(tail, values)

      sink.part('text', manual)
      sink.part('text', fill(verifyLead, values))
      // As the reference writes it: nothing is escaped, whatever the word holds.
      sink.part('python', `'${word}'.count('${letter}')`)
      sink.part('python_output', values.count)
      sink.part('text', fill(final, values))
    },
  }
}

type Values = Record<Template['slots'][number], string>

function fill(template: Template, values: Values): string {
  const { texts, slots } = template
  let filled = texts[0]!
  for (let k = 0; k < slots.length; k++) filled += values[slots[k]!] + texts[k + 1]!
  return filled
}

/** A word's code points, which is what Python indexes. */
function characters(word: string): string[] {
  // Splitting by code units takes V8's one-character strings, ten times as fast as the string's iterator.
  for (let k = 0; k < word.length; k++) {
    if ((word.charCodeAt(k) & 0xf800) === 0xd800) return Array.from(word)
  }
  return word.split('')
}

function seedOffset(split: SpellingSplit): number {
  return split === 'test' ? TEST_SEED_OFFSET : 0
}

function needWords(words: WordList): void {
  if (words.length === 0) {
    throw new ShardmillError('BAD_FILE', 'the word list holds no words', {
      hint: 'Give a UTF-8 text file with one word a line.',
    })
  }
}
