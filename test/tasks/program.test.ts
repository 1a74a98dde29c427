/** Judging without running anything, held against what the reference gave. */
import { describe, expect, test } from 'vitest'
import { PythonRandom } from '../../random/python-random.ts'
import {
  type Conversation,
  evaluateAnswer,
  evaluateLetter,
  extractAnswer,
  extractImports,
  extractProgram,
  humanEvalProgram,
} from '../../tasks/index.ts'
import { vectors } from './vectors.ts'

test.each(vectors.extract_answer)('the answer in %j is %j', (text, answer) => {
  expect(extractAnswer(text)).toBe(answer)
})

describe('evaluateAnswer', () => {
  const { conversation, cases, no_gold_none_equals_none: noGold } = vectors.gsm8k_eval

  test.each(cases)('%j: %d', (response, expected) => {
    expect(evaluateAnswer(conversation, response)).toBe(expected)
  })

  test('without a number on both sides they count as equal, as in the reference', () => {
    const without = (last: string): Conversation => ({
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: [{ type: 'text', text: last }] },
      ],
    })
    expect([
      evaluateAnswer(without('no gold'), 'none'),
      evaluateAnswer(without('no gold'), '#### 1'),
    ]).toEqual(noGold)
  })

  test('a conversation that does not end with parts is refused', () => {
    const plain: Conversation = {
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: '#### 1' },
      ],
    }
    expect(() => evaluateAnswer(plain, '#### 1')).toThrow(/message of parts/)
    expect(() => evaluateAnswer({ messages: [] }, '#### 1')).toThrow(/message of parts/)
  })
})

test('evaluateLetter takes the conversation’s letters only', () => {
  const numbered = vectors.arc.find(({ letters }) => letters?.includes('1'))!
  expect(evaluateLetter(numbered, '2')).toBe(true)
  expect(evaluateLetter(numbered, '1')).toBe(false)
  expect(() => evaluateLetter(numbered, 'A')).toThrow('response "A" is none of the letters 1, 2')
})

test.each(vectors.extract_imports)('imports of %j', (prompt, imports) => {
  expect(extractImports(prompt)).toBe(imports)
})

test.each(vectors.extract_program)('program in %j', (completion, program) => {
  expect(extractProgram(completion)).toBe(program)
})

describe('extractProgram', () => {
  /** The reference's pattern, for texts where JavaScript's whitespace is Python's. */
  const pattern = /```(?:python)?\s*\n(.*?)\n```/s
  const byPattern = (text: string) => (pattern.exec(text)?.[1] ?? text).trim()

  test('finds what the pattern finds', () => {
    const seed = 7
    const random = new PythonRandom(seed)
    const pieces = ['```', '```', '\n', '\n', 'python', ' ', '\t', 'x = 1', '`', '\r\n', 'é']
    let blocks = 0
    for (let n = 0; n < 20_000; n++) {
      const text = Array.from({ length: random.randbelow(20) }, () => random.choice(pieces)).join('')
      if (pattern.test(text)) blocks++
      expect(extractProgram(text), `seed ${seed}, text ${n}: ${JSON.stringify(text)}`).toBe(byPattern(text))
    }
    expect(blocks).toBeGreaterThan(500)
  })

  test('knows Python’s whitespace', () => {
    expect(extractProgram('```\u001c\u0085\n\u001fx\u0085\n```')).toBe('x')
    expect(extractProgram('```\ufeff\nx\n```')).toBe('```\ufeff\nx\n```')
  })

  test('a text made to be slow is not', () => {
    for (const piece of ['```', '```\n', '``` ', '```python\n\n', '\n``']) {
      const text = piece.repeat(200_000)
      expect(extractProgram(text).length).toBeLessThanOrEqual(text.length)
    }
  })
})

test('the program is imports, code, tests and the call', () => {
  const [problem] = vectors.humaneval
  expect(humanEvalProgram(problem!, '```python\ndef f2(x):\n    return 0\n```')).toBe(
    'from typing import List\nimport math\n\ndef f2(x):\n    return 0\n\ndef check(candidate):\n    assert candidate(1) == 3\n\ncheck(f2)',
  )
})
