import { createDecoder } from '../../bpe/index.ts'
import { loadVocabulary } from '../../output/load-vocabulary.ts'
import { readShard, type ShardConversation } from '../../output/read-shard.ts'
import { cleanText } from '../clean-text.ts'
import { count } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { storeLocation, wholeNumber } from '../settings.ts'

export interface InspectFlags {
  readonly at: string
  readonly conversations: string
  readonly store?: string
  readonly json?: boolean
}

export async function inspectCommand(
  _context: CommandContext,
  path: string,
  flags: InspectFlags,
): Promise<void> {
  const at = wholeNumber(flags.at, '--at')
  const wanted = wholeNumber(flags.conversations, '--conversations', 1)
  const vocabulary = await loadVocabulary(path, storeLocation(flags.store))
  const shard = await readShard(path, { at, conversations: wanted, bosId: vocabulary.bosId })
  const decoder = createDecoder(vocabulary)
  const names = new Map([...vocabulary.specials].map(([name, id]) => [id, name]))
  /** Runs of equal mask as text; ordinary tokens decode together, so that characters of several tokens stay whole. */
  const spans = ({ ids, mask }: ShardConversation) => {
    const found: { text: string; trained: boolean }[] = []
    for (let i = 0; i < ids.length; ) {
      const trained = mask[i] === 1
      const special = names.get(ids[i]!)
      let end = i + 1
      while (
        special === undefined &&
        end < ids.length &&
        (mask[end] === 1) === trained &&
        !names.has(ids[end]!)
      )
        end++
      const text = special ?? Buffer.from(decoder.decode(ids.subarray(i, end))).toString('utf8')
      const last = found.at(-1)
      if (last !== undefined && last.trained === trained) last.text += text
      else found.push({ text, trained })
      i = end
    }
    return found
  }
  if (flags.json === true) {
    const conversations = shard.conversations.map((conversation) => ({
      start: conversation.start,
      tokens: conversation.ids.length,
      whole: conversation.whole,
      spans: spans(conversation),
      ids: Array.from(conversation.ids),
      mask: Array.from(conversation.mask),
    }))
    process.stdout.write(
      `${safeJson({ schema: 1, shard: path, dtype: shard.dtype, tokens: shard.tokens, conversations })}\n`,
    )
    return
  }
  const color = paint(process.stdout)
  const show = ({ text, trained }: { text: string; trained: boolean }) => {
    const clean = cleanText(text)
    if (color.isColorSupported) return trained ? color.green(clean) : color.dim(clean)
    return trained ? `«${clean}»` : clean
  }
  process.stdout.write(`${path}: ${shard.dtype}, ${count(shard.tokens)} tokens\n`)
  for (const conversation of shard.conversations) {
    const trained = (conversation.mask as Uint16Array).reduce((sum, value) => sum + value, 0)
    const state = conversation.whole ? '' : ', cut at the shard’s border'
    process.stdout.write(
      `\n${color.bold(`token ${count(conversation.start)}`)}: ${count(conversation.ids.length)} tokens, ${count(trained)} trained${state}\n`,
    )
    process.stdout.write(`${spans(conversation).map(show).join('')}\n`)
  }
}
