/**
 * SimpleSpelling and SpellingBee: generated conversations about the letters of words, as nanochat makes them.
 * The generators are in spelling/; here is what the recipe says about them.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { type ConversationWriter, partTypeOf, roleOf } from '../conversations.ts'
import { type AuxFile, defineGeneratedSource } from './define-source.ts'
import { createSimpleSpelling, createSpellingBee, type SpellingSink } from './spelling/generate.ts'
import { defaultPhrasebookBytes, parsePhrasebook } from './spelling/phrasebook.ts'
import { packWords, parseWords, type WordList } from './spelling/words.ts'

const wordsField = z
  .union([
    z.string().min(1),
    z.strictObject({
      repo: z.string().min(1),
      file: z.string().min(1),
      revision: z.string().min(1).default('main'),
    }),
  ])
  .optional()
  .describe(
    'Word list, one word a line: a path relative to the recipe, a URL, or {repo, file} on the hub (default: the npm package word-list)',
  )

const fields = {
  size: z.int().min(1).max(4_000_000_000).describe('Number of conversations'),
  split: z.enum(['train', 'test']).default('train').describe('test draws other items than train'),
  words: wordsField,
}

type Words = string | { readonly repo: string; readonly file: string; readonly revision: string }

interface SpellingOptions {
  readonly size: number
  readonly split: 'train' | 'test'
  readonly words?: Words
}

interface SpellingBeeOptions extends SpellingOptions {
  readonly phrasebook?: string
}

function wordList(words: Words | undefined): AuxFile {
  if (words === undefined) {
    return {
      kind: 'default',
      name: 'word-list (npm)',
      load: async () => {
        const { default: path } = await import('word-list')
        return readFile(path)
      },
    }
  }
  if (typeof words !== 'string')
    return { kind: 'hub', repo: words.repo, path: words.file, revision: words.revision }
  return /^https?:\/\//i.test(words) ? { kind: 'url', url: words } : { kind: 'local', path: words }
}

/** Parsed word lists by their bytes' identity: partitions of one source in one thread share one parse. */
const parsed = new WeakMap<Uint8Array, WordList>()

function wordsOf(bytes: Uint8Array, name: string): WordList {
  let words = parsed.get(bytes)
  if (words === undefined) {
    words = packWords(parseWords(bytes, name))
    parsed.set(bytes, words)
  }
  return words
}

class WriterSink implements SpellingSink {
  out!: ConversationWriter
  private inParts = false

  user(text: string): void {
    this.inParts = false
    this.out.beginMessage(roleOf.user)
    this.out.appendString(text)
  }

  assistantText(text: string): void {
    this.out.beginMessage(roleOf.assistant)
    this.out.appendString(text)
  }

  part(type: 'text' | 'python' | 'python_output', text: string): void {
    if (!this.inParts) {
      this.inParts = true
      this.out.beginListMessage(roleOf.assistant)
    }
    this.out.beginPart(partTypeOf[type])
    this.out.appendString(text)
  }
}

function itemWriter(item: (i: number, sink: SpellingSink) => void) {
  const sink = new WriterSink()
  return (i: number, out: ConversationWriter) => {
    sink.out = out
    item(i, sink)
  }
}

export const simpleSpelling = defineGeneratedSource<SpellingOptions>({
  task: 'simple_spelling',
  version: 1,
  about: 'generated: spell a word',
  fields,
  label: () => 'SimpleSpelling',
  identity: ({ split }) => ({ split }),
  items: ({ size }) => size,
  aux: ({ words }) => ({ words: wordList(words) }),
  generator: (identity, aux, names) => {
    const { split } = identity as { split: 'train' | 'test' }
    return itemWriter(createSimpleSpelling(wordsOf(aux['words']!, names['words']!), split).item)
  },
})

export const spellingBee = defineGeneratedSource<SpellingBeeOptions>({
  task: 'spelling_bee',
  version: 1,
  about: 'generated: count a letter in a word, by hand and with Python',
  fields: {
    ...fields,
    phrasebook: z
      .string()
      .min(1)
      .optional()
      .describe('A JSON file with the sentences to use (default: ours)'),
  },
  label: () => 'SpellingBee',
  identity: ({ split }) => ({ split }),
  items: ({ size }) => size,
  aux: ({ words, phrasebook }) => ({
    words: wordList(words),
    phrasebook:
      phrasebook === undefined
        ? { kind: 'default', name: 'the default phrasebook', load: async () => defaultPhrasebookBytes() }
        : { kind: 'local', path: phrasebook },
  }),
  generator: (identity, aux, names) => {
    const { split } = identity as { split: 'train' | 'test' }
    const phrasebook = parsePhrasebook(aux['phrasebook']!, names['phrasebook']!)
    return itemWriter(createSpellingBee(wordsOf(aux['words']!, names['words']!), phrasebook, split).item)
  },
})
