import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  createSimpleSpelling,
  createSpellingBee,
  type SpellingSink,
  type SpellingTask,
} from '../../stages/sources/spelling/generate.ts'
import {
  defaultPhrasebookBytes,
  type Phrasebook,
  parsePhrasebook,
} from '../../stages/sources/spelling/phrasebook.ts'
import { parseWords } from '../../stages/sources/spelling/words.ts'
import { sharedHub, sharedSuite } from '../shared.ts'

interface Part {
  type: string
  text: string
}
interface Message {
  role: string
  content: string | Part[]
}

function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/vectors/${name}.json`, import.meta.url), 'utf8')) as T
}

/** Items as the reference's messages, keys in its order. */
function items(task: SpellingTask, count: number): Message[][] {
  return Array.from({ length: count }, (_, i) => {
    const messages: Message[] = []
    let parts: Part[] | undefined
    const sink: SpellingSink = {
      user: (content) => void messages.push({ role: 'user', content }),
      assistantText: (content) => void messages.push({ role: 'assistant', content }),
      part: (type, text) => {
        if (parts === undefined) {
          parts = []
          messages.push({ role: 'assistant', content: parts })
        }
        parts.push({ type, text })
      },
    }
    task.item(i, sink)
    return messages
  })
}

const partsOf = (messages: Message[]) => messages[1]!.content as Part[]
const toolCall = (messages: Message[]) => [partsOf(messages)[2]!.text, partsOf(messages)[3]!.text]
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** sha256 of everything a sink is given, each text followed by a newline; no objects, so fit for real sizes. */
function digest(task: SpellingTask, count: number): string {
  const hash = createHash('sha256')
  let text = ''
  function add(line: string): void {
    text += `${line}\n`
  }
  const sink: SpellingSink = { user: add, assistantText: add, part: (type, part) => add(`${type}\n${part}`) }
  for (let i = 0; i < count; i++) {
    task.item(i, sink)
    if (text.length > 1 << 16) {
      hash.update(text)
      text = ''
    }
  }
  return hash.update(text).digest('hex')
}

const defaultPhrasebook = parsePhrasebook(await defaultPhrasebookBytes(), 'default-phrasebook.json')

describe('the vectors of nanochat.json', () => {
  const v = vectors<Record<string, unknown>>('nanochat')
  const words = v['spelling_words'] as string[]
  const phrasebook: Phrasebook = {
    ...vectors<{ sources: { phrasebook: Phrasebook } }>('sft-shards').sources.phrasebook,
    question_templates: v['spelling_question_templates'] as string[],
  }

  test.each(['train', 'test'] as const)('SimpleSpelling %s', (split) => {
    const expected = v[`simple_spelling_${split}`] as Message[][]
    expect(expected.length).toBeGreaterThan(5)
    expect(items(createSimpleSpelling(words, split), expected.length)).toEqual(expected)
  })

  test.each(['train', 'test'] as const)('SpellingBee %s', (split) => {
    const users = v[`spelling_bee_user_${split}`] as string[]
    const tools = v[`spelling_bee_tool_${split}`] as [string, string][]
    const made = items(createSpellingBee(words, phrasebook, split), users.length)
    expect(users).toHaveLength(40)
    expect(made.map((messages) => messages[0]!.content)).toEqual(users)
    expect(made.map(toolCall)).toEqual(tools)
    for (const messages of made) {
      expect(partsOf(messages).map((part) => part.type)).toEqual(v['spelling_bee_part_types'])
    }
  })

  test('our phrasebook has none of the reference’s questions', () => {
    const facts = v['upstream_phrase_facts'] as { each_sha256_first16: string[] }
    expect(facts.each_sha256_first16).toHaveLength(51)
    const ours = defaultPhrasebook.question_templates.map((text) => sha256(text).slice(0, 16))
    expect(ours.filter((hash) => facts.each_sha256_first16.includes(hash))).toEqual([])
  })
})

test('the items of sft-shards.json, whole conversations', () => {
  const v = vectors<{
    sources: { words: string[]; phrasebook: Phrasebook }
    sizes: { SimpleSpelling: number; SpellingBee: number }
    ordered_conversations_after_shuffle: { train_order: { messages: Message[] }[] }
  }>('sft-shards')
  const { words, phrasebook } = v.sources
  const made = [
    ...items(createSimpleSpelling(words, 'train'), v.sizes.SimpleSpelling),
    ...items(createSpellingBee(words, phrasebook, 'train'), v.sizes.SpellingBee),
  ].map((messages) => JSON.stringify(messages))
  const expected = v.ordered_conversations_after_shuffle.train_order
    .map(({ messages }) => JSON.stringify(messages))
    .filter((text) => text.includes('Spell the word: ') || text.includes(".count('"))
  expect(made).toHaveLength(20)
  expect(made.toSorted()).toEqual(expected.toSorted())
})

describe('against the reference algorithm in CPython 3.11', () => {
  // Made with `random.Random`, `str.lower` and `str.count`; see digest() for what is hashed.
  const unicode = [
    'naïve',
    '🦊fox🦊',
    'İstanbul',
    'ΣΊΣΥΦΟΣ',
    "it's",
    '{letter}',
    'a',
    '漢字漢',
    '\ufeffbom',
    'é'.normalize('NFD'),
  ]
  const many = Array.from(
    { length: 370_099 },
    (_, i) => `w${i.toString(26).replace(/\d/g, (d) => 'qrstuvwxyz'.charAt(Number(d)))}`,
  )
  const greek: Phrasebook = {
    ...defaultPhrasebook,
    question_templates: [
      'ΌΣ {letter} ΣΑΣ{word}ΟΣ ΛΌΓΟΣ',
      'İ{word}I {letter}{} { x } {{letter}} ẞǅ',
      '{word}{word}{letter}Σ',
    ],
  }

  test.each([
    ['default phrasebook', 'train', '90272a5eb71691b08985e9a1029f399bae951f4fe3b66e7578f8e98f6686b979'],
    ['default phrasebook', 'test', '9d8b1fb49ed27b023f7195109c93fde1c23889be045eec31c1f5e9c53ed61289'],
    [
      'Greek, dotted I and stray braces',
      'train',
      'bd7b5f0d268c72df9b82872f7b84b3a183a0b658771a829799c4c7a3de424b6b',
    ],
  ] as const)('SpellingBee on words beyond ASCII, %s, %s', (book, split, expected) => {
    const phrasebook = book === 'default phrasebook' ? defaultPhrasebook : greek
    expect(digest(createSpellingBee(unicode, phrasebook, split), 2000)).toBe(expected)
  })

  test('SimpleSpelling on words beyond ASCII', () => {
    expect(digest(createSimpleSpelling(unicode, 'train'), 500)).toBe(
      '03d5b1c025c61ebdb9032a1d1203a9610207c177b306b8a983c8374c078448ad',
    )
  })

  test('the mixture’s sizes: 200,000 SimpleSpelling and 80,000 SpellingBee', () => {
    expect(digest(createSimpleSpelling(many, 'train'), 200_000)).toBe(
      'b5fe70aa0350ce2f4afebd9b033c9fe3a2820c927ffde5f7e2c76136390f868f',
    )
    expect(digest(createSpellingBee(many, defaultPhrasebook, 'train'), 80_000)).toBe(
      '735b983854b6c64ee80e676fd2d523c09bb05f6cf2faf7fd2a70a9c55285f2e0',
    )
  })

  test('the default questions in lower case', () => {
    const lowered = defaultPhrasebook.question_templates.map((text) => text.toLowerCase())
    expect(sha256(JSON.stringify(lowered))).toBe(
      '51458e731e366d17ded87eafa52d34f982f9df2f856f2798c6a3aa4dc1a94912',
    )
  })
})

test('an item does not depend on the items made before it', () => {
  const words = ['apple', 'banana', 'cherry']
  const task = createSpellingBee(words, defaultPhrasebook, 'train')
  const first = items(task, 5)
  expect(items(task, 5)).toEqual(first)
})

test('a generator without words is refused', () => {
  expect(() => createSimpleSpelling([], 'train')).toThrow(/no words/)
  expect(() => createSpellingBee([], defaultPhrasebook, 'train')).toThrow(/no words/)
})

/** The reference's own word list; not in the repository (4 MB). */
const realList = join(sharedHub, 'words', 'words_alpha.txt')

sharedSuite('the real word list', () => {
  const v = vectors<Record<string, unknown>>('spelling-upstream-hashes')
  const load = () => parseWords(readFileSync(realList), 'words_alpha.txt')

  test('is read as the reference reads it', () => {
    const facts = v['word_list'] as { words: number; sha256: string }
    expect(createHash('sha256').update(readFileSync(realList)).digest('hex')).toBe(facts.sha256)
    expect(load()).toHaveLength(facts.words)
  })

  test.each(['train', 'test'] as const)('gives the reference’s SimpleSpelling %s', (split) => {
    const made = items(createSimpleSpelling(load(), split), 1000)
    expect(made.slice(0, 5)).toEqual(v[`simple_spelling_${split}_0_5`])
    expect(sha256(JSON.stringify(made))).toBe(v[`simple_spelling_${split}_0_1000`])
  })

  test.each(['train', 'test'] as const)('gives the reference’s words, letters and counts, %s', (split) => {
    // The reference's sentences are not known here; word and letter are drawn before the question.
    const tools = items(createSpellingBee(load(), defaultPhrasebook, split), 1000).map(toolCall)
    expect(tools.slice(0, 10)).toEqual(v[`tool_calls_${split}_0_10`])
    expect(sha256(JSON.stringify(tools))).toBe(v[`spelling_bee_word_letter_count_${split}_0_1000`])
  })
})
