import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { buildTables, createEncoder } from '../../bpe/index.ts'
import { ConversationWriter, readConversations } from '../../stages/conversations.ts'
import { nanochat } from '../../stages/templates/nanochat.ts'
import { TokenWriter } from '../../stages/token-block.ts'
import { readTokenizer } from '../../stages/tokenizers/index.ts'
import { withTempStore } from './temp-store.ts'
import { write } from './write-conversation.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const vectors = JSON.parse(readFileSync(join(fixtures, 'vectors/nanochat.json'), 'utf8')) as {
  render_conversation: { messages: never[]; ids: number[]; mask: string }[]
  render_truncated_32: { messages: never[]; ids: number[]; mask: string }
}
const tiny = JSON.parse(readFileSync(join(fixtures, 'vectors/tiny-tokenizer.json'), 'utf8')) as {
  tokenizer_pkl_hex: string
}
const vocabulary = readTokenizer(
  'nanochat',
  Buffer.from(tiny.tokenizer_pkl_hex, 'hex'),
  'tiny',
  nanochat.specials,
)
const encoder = createEncoder(buildTables(vocabulary))

async function render(
  messages: never[],
  max: number,
): Promise<{ ids: number[]; mask: string; trained: number }> {
  return withTempStore(async (store) => {
    const out = new ConversationWriter(await store.createBlob())
    write(out, messages, 0)
    out.endRow()
    const { digest } = await out.commit()
    const tokens = new TokenWriter(encoder, max)
    let trained = 0
    for await (const frame of readConversations(store, digest)) {
      tokens.begin()
      nanochat.renderer(vocabulary.specials)(frame, 0, tokens)
      trained = tokens.end()
    }
    const mask = Array.from(tokens.runs.subarray(0, tokens.runCount), (length, i) =>
      String(i & 1).repeat(length),
    ).join('')
    return { ids: Array.from(tokens.ids.subarray(0, tokens.length)), mask, trained }
  })
}

describe('nanochat’s render_conversation, by its vectors', () => {
  test.each(vectors.render_conversation.map((vector, i) => [i, vector] as const))(
    'conversation %i',
    async (_, { messages, ids, mask }) => {
      const found = await render(messages, 2048)
      expect(found.ids).toEqual(ids)
      expect(found.mask).toBe(mask)
      expect(found.trained).toBe([...mask].filter((bit) => bit === '1').length)
    },
  )

  test('cut at 32 tokens', async () => {
    const { messages, ids, mask } = vectors.render_truncated_32
    expect(await render(messages, 32)).toMatchObject({ ids, mask })
  })

  test('cut anywhere, the rest is a prefix', async () => {
    for (const { messages, ids, mask } of vectors.render_conversation) {
      for (let max = 1; max <= ids.length; max += 3)
        expect(await render(messages, max)).toMatchObject({
          ids: ids.slice(0, max),
          mask: mask.slice(0, max),
        })
    }
  })
})
