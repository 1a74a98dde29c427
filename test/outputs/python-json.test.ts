/** config.json as Python's json.dump(value, indent=2) writes it. */
import { expect, test } from 'vitest'
import { pythonJson } from '../../output/python-json.ts'

test('a Map keeps the order of names that are whole numbers, as a dict does', () => {
  const counts = new Map([
    ['zeta', 1],
    ['10', 2],
    ['__proto__', 3],
    ['2', 4],
  ])
  expect(pythonJson({ counts, none: new Map() })).toBe(
    '{\n  "counts": {\n    "zeta": 1,\n    "10": 2,\n    "__proto__": 3,\n    "2": 4\n  },\n  "none": {}\n}',
  )
})

test('all else is what JSON.stringify writes, in ASCII', () => {
  const value = {
    list: [1, [], {}, [{ a: null }, true], 0.25, 1e21, -0],
    text: 'a "quoted"\n\u007f line',
    nothing: undefined,
    deep: { deeper: { '': [] } },
  }
  expect(pythonJson(value)).toBe(JSON.stringify(value, null, 2))
  expect(pythonJson({ é: '😀' })).toBe('{\n  "\\u00e9": "\\ud83d\\ude00"\n}')
})

test('what is not there is null in a list, as JSON has it', () => {
  expect(pythonJson([undefined, 1])).toBe(JSON.stringify([undefined, 1], null, 2))
})
