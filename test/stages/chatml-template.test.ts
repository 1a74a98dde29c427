import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConversationWriter, readConversations } from '../../stages/conversations.ts'
import { chatml } from '../../stages/templates/chatml.ts'
import type { TemplateOptions } from '../../stages/templates/define-template.ts'
import { TokenWriter } from '../../stages/token-block.ts'
import { readTokenizer } from '../../stages/tokenizers/index.ts'
import { buildTextTables, createTextEncoder } from '../../stages/tokenizers/text-encoder.ts'
import { withTempStore } from './temp-store.ts'
import { type Message, write } from './write-conversation.ts'

const vectors = join(import.meta.dirname, '../fixtures/vectors')
const read = (name: string) => JSON.parse(readFileSync(join(vectors, name), 'utf8'))
const tiny = read('tiny-tokenizer.json') as { pattern: string; mergeable_ranks_hex: string[] }
const slamkit = read('slamkit-arc.json') as {
  files: Record<string, string>
  special_in_text: { in: string; out: string }
}

/** The vectors' tokenizer as a tokenizer.json: every two tokens that make a third, in the order of its rank. */
function tokenizerJson(): Buffer {
  const printable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad)
  let next = 0x100
  const chars = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
  const texts = tiny.mergeable_ranks_hex.map((hex) =>
    Array.from(Buffer.from(hex, 'hex'), (byte) => chars[byte]!).join(''),
  )
  const known = new Set(texts)
  const merges = texts.flatMap((text) =>
    Array.from({ length: text.length - 1 }, (_, i) => [text.slice(0, i + 1), text.slice(i + 1)]).filter(
      ([left, right]) => known.has(left!) && known.has(right!),
    ),
  )
  const added = (content: string, id: number) => ({ id, content, special: true, normalized: false })
  return Buffer.from(
    JSON.stringify({
      added_tokens: [added('<|im_start|>', 1000), added('<|im_end|>', 1001)],
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: tiny.pattern }, behavior: 'Isolated', invert: false },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
        ],
      },
      model: { type: 'BPE', vocab: Object.fromEntries(texts.map((text, id) => [text, id])), merges },
    }),
  )
}

const vocabulary = readTokenizer('huggingface', tokenizerJson(), 'tiny', chatml.specials, {
  addedTokens: 'recognise',
})
const encoder = createTextEncoder(buildTextTables(vocabulary))

async function render(
  messages: readonly Message[],
  options: TemplateOptions = {},
  max = 4096,
  exact = false,
) {
  return withTempStore(async (store) => {
    const out = new ConversationWriter(await store.createBlob())
    write(out, messages, 7)
    out.endRow()
    const { digest } = await out.commit()
    const tokens = new TokenWriter(encoder, max, exact)
    for await (const frame of readConversations(store, digest)) {
      tokens.begin()
      chatml.renderer(vocabulary.specials, options)(frame, 0, tokens)
      tokens.end()
    }
    const mask = Array.from(tokens.runs.subarray(0, tokens.runCount)).flatMap((length, i) =>
      Array<number>(length).fill(i & 1),
    )
    return { ids: Array.from(tokens.ids.subarray(0, tokens.length)), mask, over: tokens.over }
  })
}

const dialogue = (user: string, assistant: string): Message[] => [
  { role: 'user', content: user },
  { role: 'assistant', content: assistant },
]

describe('SlamKit’s token files', () => {
  const lines = ['train', 'validation', 'test'].flatMap((split) => {
    const text = slamkit.files[`arc_easy_${split}.jsonl`]!.trim().split('\n')
    const tokens = slamkit.files[`arc_easy_${split}_tokens.jsonl`]!.trim().split('\n')
    return text.map((line, i) => [line, tokens[i]!] as const)
  })
  test.each([...lines, [slamkit.special_in_text.in, slamkit.special_in_text.out] as const])(
    '%s',
    async (line, expected) => {
      const { user_text: user, assistant_text: assistant } = JSON.parse(line) as Record<string, string>
      const { input_ids: ids, labels } = JSON.parse(expected) as Record<string, number[]>
      const found = await render(dialogue(user!, assistant!))
      expect(found.ids).toEqual(ids)
      expect(found.ids.map((id, i) => (found.mask[i] === 1 ? id : -100))).toEqual(labels)
    },
  )
})

const T = (text: string) => Array.from(encoder.encodeString(text))

test('with maskAssistantHeader the answer and its end are trained, nothing else', async () => {
  const { ids, mask } = await render(
    [{ role: 'system', content: 'Be brief.' }, ...dialogue('Hi', 'Yes'), ...dialogue('And', 'No')],
    { maskAssistantHeader: true },
  )
  const turn = (role: string, text: string) => [1000, ...T(role), 10, ...T(text), 1001]
  const answers = [turn('assistant', 'Yes'), turn('assistant', 'No')]
  expect(ids).toEqual([
    ...[...turn('system', 'Be brief.'), 10, ...turn('user', 'Hi'), 10],
    ...[...answers[0]!, 10, ...turn('user', 'And'), 10, ...answers[1]!],
  ])
  expect(ids.filter((_, i) => mask[i] === 1)).toEqual([...T('Yes'), 1001, ...T('No'), 1001])
})

test('text parts are one text, other parts an error', async () => {
  const parts = (type: string): Message[] => [
    { role: 'user', content: 'q' },
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'hel' },
        { type, text: 'lo' },
      ],
    },
  ]
  expect((await render(parts('text'))).ids).toEqual((await render(dialogue('q', 'hello'))).ids)
  await expect(render(parts('python'))).rejects.toMatchObject({
    code: 'RECIPE',
    message: expect.stringContaining('no form for a part of type python'),
  })
})

test('what just fits is not too long', async () => {
  const { ids } = await render(dialogue('What is it?', 'hello hello'))
  for (const max of [ids.length + 1, ids.length, ids.length - 1, ids.length - 2, 12, 1]) {
    const cut = await render(dialogue('What is it?', 'hello hello'), {}, max, true)
    expect(cut.ids).toEqual(ids.slice(0, max))
    expect(cut.over).toBe(max < ids.length)
  }
})
