import { expect, test } from 'vitest'
import { isShardmillError } from '../../errors/index.ts'
import { PythonRandom } from '../../random/python-random.ts'
import {
  ConversationWriter,
  listContent,
  partTypes,
  readConversations,
  roles,
} from '../../stages/conversations.ts'
import { withTempStore } from './temp-store.ts'
import { type Message, write } from './write-conversation.ts'

/** Random conversations, from empty texts to some that are larger than a frame. */
function randomRows(random: PythonRandom, count: number): Message[][] {
  const text = () => {
    const length = random.random() < 0.01 ? 300_000 : random.randbelow(40)
    return Array.from(
      { length: Math.min(length, 400) },
      () => ['a', 'é', '中', '😀', '\n', '\0', '\ufeff'][random.randbelow(7)]!,
    )
      .join('')
      .repeat(length > 400 ? 900 : 1)
  }
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + random.randbelow(5) }, () => ({
      role: roles[random.randbelow(3)]!,
      content:
        random.random() < 0.3
          ? Array.from({ length: random.randbelow(4) }, () => ({
              type: partTypes[random.randbelow(3)]!,
              text: text(),
            }))
          : text(),
    })),
  )
}

test('conversations come back as they were written, across frames, without the dropped rows', async () => {
  const seed = 20240520
  const random = new PythonRandom(seed)
  const rows = randomRows(random, 3000)
  await withTempStore(async (store) => {
    const out = new ConversationWriter(await store.createBlob())
    const kept: { row: number; messages: Message[] }[] = []
    for (const [i, messages] of rows.entries()) {
      write(out, messages, i)
      if (i % 7 === 3) out.dropRow()
      else {
        out.endRow()
        kept.push({ row: i, messages })
      }
      await out.flushIfFull()
    }
    const { digest } = await out.commit()
    const found: { row: number; messages: Message[] }[] = []
    let frames = 0
    for await (const frame of readConversations(store, digest)) {
      frames++
      const part = (p: number) =>
        Buffer.from(frame.text.subarray(frame.partText[p], frame.partText[p + 1])).toString()
      for (let r = 0; r < frame.rows; r++) {
        const messages: Message[] = []
        for (let m = frame.rowMessages[r]!; m < frame.rowMessages[r + 1]!; m++) {
          const kind = frame.messageKind[m]!
          const first = frame.messageParts[m]!
          const parts = Array.from({ length: frame.messageParts[m + 1]! - first }, (_, p) => ({
            type: partTypes[frame.partType[first + p]!]!,
            text: part(first + p),
          }))
          messages.push({
            role: roles[kind & 3]!,
            content: (kind & listContent) === 0 ? parts[0]!.text : parts,
          })
        }
        found.push({ row: frame.sourceRow[r]!, messages })
      }
    }
    expect(frames).toBeGreaterThan(1)
    expect(found).toEqual(kept)
  })
})

test('no conversation at all is a valid blob', async () => {
  await withTempStore(async (store) => {
    const { digest } = await new ConversationWriter(await store.createBlob()).commit()
    for await (const frame of readConversations(store, digest))
      expect.unreachable(`a frame of ${frame.rows} rows`)
  })
})

test('a blob of something else is refused', async () => {
  await withTempStore(async (store) => {
    const { digest } = await store.putBlob(Buffer.from('SMCONV0'))
    const read = async () => {
      for await (const frame of readConversations(store, digest)) void frame
    }
    await expect(read()).rejects.toSatisfy((error) => isShardmillError(error, 'CORRUPT_BLOB'))
  })
})
