import { describe, expect, test } from 'vitest'
import { isShardmillError, type ShardmillError } from '../../errors/index.ts'
import {
  cutTemplate,
  defaultPhrasebookBytes,
  parsePhrasebook,
} from '../../stages/sources/spelling/phrasebook.ts'
import { parseWords } from '../../stages/sources/spelling/words.ts'

function failure(run: () => unknown): ShardmillError {
  try {
    run()
  } catch (error) {
    if (isShardmillError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('word lists', () => {
  const words = (text: string) => parseWords(Buffer.from(text), 'words.txt')

  test('lines end with \\n, \\r\\n or \\r, the last with or without', () => {
    expect(words('a\nb\r\nc\rd')).toEqual(['a', 'b', 'c', 'd'])
    expect(words('a\nb\n')).toEqual(['a', 'b'])
    expect(words('a\n\rb')).toEqual(['a', 'b'])
  })

  test('lines are stripped as Python strips them, and empty ones dropped', () => {
    const spaces = '\t\v\f\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000'
    expect(words(`${spaces}a b${spaces}\n${spaces}\n\nc`)).toEqual(['a b', 'c'])
    // Not spaces to Python: U+FEFF, zero width space, Mongolian vowel separator, word joiner, NUL.
    const kept = ['\ufeffa\ufeff', '\u200bb', '\u180ec', '\u2060d', '\0e\0']
    expect(words(kept.join('\n'))).toEqual(kept)
  })

  test('spaces and separators inside a line are part of the word, and repeated words stay', () => {
    expect(words('x\u2028y\nx\x85y\nb\nb')).toEqual(['x\u2028y', 'x\x85y', 'b', 'b'])
  })

  test.each(['', '\n', ' \r\n\t\n\x85'])('a list without words is an error (%j)', (text) => {
    const error = failure(() => words(text))
    expect(error).toMatchObject({ code: 'BAD_FILE', at: { file: 'words.txt' } })
    expect(error.hint).toBeDefined()
  })

  test.each([
    ['latin-1 on line 3', Buffer.from('a\r\nb\r\ncaf\xe9\r\nd', 'latin1'), 3],
    ['an overlong form on line 2', Buffer.from([0x61, 0x0a, 0xc0, 0x80, 0x0a]), 2],
    ['a surrogate on line 1', Buffer.from([0xed, 0xa0, 0x80]), 1],
    ['a character cut by the end of the file, after \\r', Buffer.from([0x61, 0x0d, 0x0d, 0xe4, 0xbd]), 3],
    ['a character cut by the end of its line', Buffer.from([0x61, 0x0a, 0xe4, 0xbd, 0x0a, 0x61]), 2],
  ])('%s is not UTF-8', (_name, bytes, line) => {
    const error = failure(() => parseWords(bytes, 'words.txt'))
    expect(error).toMatchObject({ code: 'BAD_FILE', at: { file: 'words.txt', line } })
  })
})

describe('phrasebooks', () => {
  const good = {
    question_templates: ['{letter} in {word}'],
    manual_head: '{word}:{spelled} {letter}\n',
    hit_line: '{i}:{char} {n}\n',
    miss_line: '{i}:{char}\n',
    manual_tail: '{n}',
    verify_lead: 'check',
    final: '#### {count}',
  }
  const parse = (book: unknown) => parsePhrasebook(Buffer.from(JSON.stringify(book)), 'book.json')

  test('a good one is taken as it is', () => {
    expect(parse(good)).toEqual(good)
  })

  test('braces that are no placeholders are text', () => {
    const book = parse({ ...good, final: '{} { x } {0} {"a": 1} }{ {{count}} #### {count}' })
    expect(cutTemplate(book.final, 'final')).toEqual({
      texts: ['{} { x } {0} {"a": 1} }{ {', '} #### ', ''],
      slots: ['count', 'count'],
    })
  })

  test.each([
    ['a misspelt placeholder', { ...good, hit_line: '{index}:{char}' }, /hit_line holds .*\{index\}/],
    ['a placeholder without a value there', { ...good, final: '{char}' }, /final holds .*\{char\}/],
    [
      'an unknown one in a question',
      { ...good, question_templates: ['{letter} {word}', '{letter} {word} {count}'] },
      /question_templates\[1\] holds .*\{count\}/,
    ],
    [
      'another case',
      { ...good, question_templates: ['{Letter} {letter} {word}'] },
      /question_templates\[0\] holds .*\{Letter\}/,
    ],
    [
      'a question without the word',
      { ...good, question_templates: ['{letter}'] },
      /question_templates\[0\] lacks \{word\}/,
    ],
    [
      'a question without the letter',
      { ...good, question_templates: ['{word}'] },
      /question_templates\[0\] lacks \{letter\}/,
    ],
    ['no questions', { ...good, question_templates: [] }, /question_templates/],
    ['a question that is no string', { ...good, question_templates: [7] }, /question_templates\[0\]/],
    ['a missing field', { ...good, verify_lead: undefined }, /verify_lead/],
    ['a field too many', { ...good, manual_haed: 'x' }, /manual_haed/],
    ['a list', [good], /phrasebook is wrong/],
    ['null', null, /phrasebook is wrong/],
  ])('%s is an error', (_name, book, message) => {
    const error = failure(() => parse(book))
    expect(error).toMatchObject({ code: 'BAD_FILE', at: { file: 'book.json' } })
    expect(error.message).toMatch(message)
  })

  test('what is not JSON or not UTF-8 is an error', () => {
    for (const bytes of [Buffer.from('{"a": '), Buffer.from(''), Buffer.from([0x22, 0xff, 0x22])]) {
      expect(failure(() => parsePhrasebook(bytes, 'book.json'))).toMatchObject({ code: 'BAD_FILE' })
    }
  })

  test('the default one is valid, in seven languages, and fit for tokenizing', async () => {
    const book = parsePhrasebook(await defaultPhrasebookBytes(), 'default-phrasebook.json')
    expect(book.question_templates.length).toBeGreaterThanOrEqual(50)
    expect(new Set(book.question_templates).size).toBe(book.question_templates.length)
    const text = book.question_templates.join('\n')
    for (const script of [
      /[a-z]{3}/,
      /¿/,
      /\p{Script=Han}/u,
      /\p{Script=Hangul}/u,
      /é/,
      /ß|ä/,
      /\p{Script=Hiragana}/u,
    ]) {
      expect(text).toMatch(script)
    }
    // No space before the character: `a` and ` a` are different tokens, and only one of them is being spelled.
    expect(book.hit_line).toMatch(/^\{i\}:\{char\}/)
    expect(book.miss_line).toMatch(/^\{i\}:\{char\}/)
    expect(book.final).toMatch(/#### \{count\}$/)
  })
})
