import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { vocabularyOf } from '../../pipeline/context.ts'
import { canonicalJson, digestOfText, stageKey } from '../../pipeline/keys.ts'
import { keyOf, LocalRunner, type StageCall, type StageResult } from '../../pipeline/stage.ts'
import type { Digest } from '../../store/types.ts'

const digest = 'a'.repeat(64) as Digest

test('canonical JSON is RFC 8785: sorted by UTF-16 code units, no white space, ECMAScript numbers', () => {
  // The sorting example of RFC 8785, section 3.2.3.
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji',
    '\u0080': 'Control',
    '\u00f6': 'Latin',
  }
  expect(Object.keys(JSON.parse(canonicalJson(value)) as object).length).toBe(7)
  expect([...canonicalJson(value).matchAll(/:"([A-Z][a-z]+)/g)].map(([, word]) => word)).toEqual([
    'Carriage',
    'One',
    'Control',
    'Latin',
    'Euro',
    'Emoji',
    'Hebrew',
  ])
  expect(canonicalJson([1e21, 1e-7, 0.1, -0, 4.5, 1e3])).toBe('[1e+21,1e-7,0.1,0,4.5,1000]')
  expect(canonicalJson({ b: undefined, a: null } as never)).toBe('{"a":null}')
  expect(() => canonicalJson(Number.NaN)).toThrow(TypeError)
})

test('a key is the sha256 of stage, version, params and inputs, whatever their order', () => {
  const key = stageKey({
    stage: 'shard',
    version: 1,
    params: { dtype: 'uint16' },
    inputs: { segment: digest },
  })
  const text = `{"inputs":{"segment":"${digest}"},"params":{"dtype":"uint16"},"stage":"shard","version":1}`
  expect(key).toBe(createHash('sha256').update(text).digest('hex'))
  expect(
    stageKey({ inputs: { segment: digest }, params: { dtype: 'uint16' }, version: 1, stage: 'shard' }),
  ).toBe(key)
})

test('every part of the question changes the key', () => {
  const question = { stage: 'shard', version: 1, params: { dtype: 'uint16' }, inputs: { segment: digest } }
  const keys = [
    question,
    { ...question, stage: 'verify' },
    { ...question, version: 2 },
    { ...question, params: { dtype: 'uint32' } },
    { ...question, inputs: { segment: 'b'.repeat(64) as Digest } },
    { ...question, inputs: { segment: digest, more: digest } },
  ].map(stageKey)
  expect(new Set(keys).size).toBe(keys.length)
})

test('digestOfText hashes UTF-8', () => {
  expect(digestOfText('ü€😀')).toBe(createHash('sha256').update('ü€😀').digest('hex'))
})

test('a kind of tokenizer that is read otherwise than before asks another question, the other kinds the same one', async () => {
  class Asked extends LocalRunner {
    readonly calls: StageCall[] = []
    async stage(call: StageCall): Promise<StageResult> {
      this.calls.push(call)
      const outputs = { vocabulary: { digest, bytes: 1 } }
      return { key: keyOf(call), outputs, stats: { vocabularySize: 9, bosId: 0 } }
    }
    async list() {
      return digest
    }
    note() {}
  }
  const run = new Asked()
  for (const kind of ['tiktoken', 'nanochat', 'huggingface']) {
    const tokenizer = { kind, name: 'x', file: { path: 'x', bytes: 1, sha256: digest } }
    await vocabularyOf({ tokenizer, template: { name: 'chatml', version: 1, specials: ['<s>'] } }, run)
  }
  expect(run.calls.map(({ params }) => params)).toEqual([
    { kind: 'tiktoken', specials: ['<s>'] },
    { kind: 'nanochat', specials: ['<s>'] },
    { kind: 'huggingface', version: 2, specials: ['<s>'] },
  ])
})
