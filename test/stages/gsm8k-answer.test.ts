import { expect, test } from 'vitest'
import { PythonRandom } from '../../random/python-random.ts'
import type { ConversationWriter } from '../../stages/conversations.ts'
import { partTypes } from '../../stages/conversations.ts'
import { appendAnswer } from '../../stages/sources/gsm8k.ts'

/** The reference as its specification says it, on strings. */
function reference(answer: string): [string, string][] {
  return answer.split(/(<<[^>]+>>)/).flatMap((piece): [string, string][] => {
    if (!(piece.startsWith('<<') && piece.endsWith('>>'))) return [['text', piece]]
    const inner = piece.slice(2, -2)
    const at = inner.lastIndexOf('=')
    return at < 0
      ? [
          ['python', inner],
          ['python_output', ''],
        ]
      : [
          ['python', inner.slice(0, at)],
          ['python_output', inner.slice(at + 1)],
        ]
  })
}

function ours(answer: string): [string, string][] {
  const parts: [string, string][] = []
  const bytes = Buffer.from(`..${answer}..`)
  const out = {
    beginPart: (type: number) => parts.push([partTypes[type]!, '']),
    append: (from: Uint8Array, start: number, end: number) => {
      parts.at(-1)![1] += Buffer.from(from.subarray(start, end)).toString()
    },
  }
  appendAnswer(out as unknown as ConversationWriter, bytes, 2, bytes.length - 2)
  return parts
}

test.each([
  '',
  'no call',
  '<<a=b=c>><<noequals>>x<<>>y<<1=2\n#### -5',
  '<<>>',
  '<<<>>',
  '<<<a=1>>',
  '<<a>b>>',
  '<<a>>>',
  'x<<1=1>>',
  '<<1=1>>x',
  '<<é=中>>',
  '<<=>>',
  '<<==>>',
  '>><<',
  '<<\n>>',
])('%j', (answer) => {
  expect(ours(answer)).toEqual(reference(answer))
})

test('random strings of the letters that matter', () => {
  const random = new PythonRandom(7)
  for (let i = 0; i < 20_000; i++) {
    const answer = Array.from({ length: random.randbelow(14) }, () => '<<>>=a1\n'[random.randbelow(8)]).join(
      '',
    )
    expect(ours(answer)).toEqual(reference(answer))
  }
})

test('many opening brackets take no quadratic time', () => {
  const answer = `${'<'.repeat(400_000)}>`
  expect(ours(answer)).toEqual([['text', answer]])
})
