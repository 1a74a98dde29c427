import { dirname } from 'node:path'
import { assertNoFolder } from '../../output/find-folder.ts'
import { loadVocabulary } from '../../output/load-vocabulary.ts'
import { readManifest } from '../../output/manifest.ts'
import { readShard } from '../../output/read-shard.ts'
import { cleanText } from '../clean-text.ts'
import { count } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { storeLocation, wholeNumber } from '../settings.ts'
import { spanPainter, spanReader } from '../token-spans.ts'

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
  await assertNoFolder(path)
  const manifest = await readManifest(dirname(path))
  if (manifest?.kind === 'chat-eval') {
    const { inspectProblems } = await import('../inspect-problems.ts')
    const store = storeLocation(flags.store)
    return inspectProblems(path, manifest, { at, problems: wanted, store, json: flags.json === true })
  }
  const vocabulary = await loadVocabulary(path, storeLocation(flags.store))
  const shard = await readShard(path, { at, conversations: wanted, bosId: vocabulary.bosId })
  const spans = spanReader(vocabulary)
  if (flags.json === true) {
    const conversations = shard.conversations.map(({ start, ids, mask, whole }) => ({
      start,
      tokens: ids.length,
      whole,
      spans: spans(ids, mask),
      ids: Array.from(ids),
      mask: Array.from(mask),
    }))
    process.stdout.write(
      `${JSON.stringify({ schema: 1, shard: path, format: shard.format, dtype: shard.dtype, tokens: shard.tokens, unit: shard.unit, conversations })}\n`,
    )
    return
  }
  const color = paint(process.stdout)
  process.stdout.write(`${path}: ${shard.format}, ${shard.dtype}, ${count(shard.tokens)} tokens\n`)
  if (shard.unit !== 'conversation' && shard.opener !== undefined) {
    const opener = cleanText(spans(Uint32Array.of(shard.opener), [])[0]?.text ?? '')
    const what = shard.unit === 'turn' ? 'turns' : 'turns, or conversations if those alone do'
    process.stdout.write(
      `What begins with ${opener} is shown: ${what}. ${shard.format} does not tell where a conversation begins; jsonl would.\n`,
    )
  }
  for (const { start, ids, mask, whole } of shard.conversations) {
    const trained = trainedOf(mask)
    const state =
      whole === null
        ? ', up to the shard’s end; whether it goes on, the next shard would tell, which cannot be read'
        : whole
          ? ''
          : ', cut at the shard’s border'
    process.stdout.write(
      `\n${color.bold(`token ${count(start)}`)}: ${count(ids.length)} tokens, ${count(trained)} trained${state}\n`,
    )
    process.stdout.write(`${spans(ids, mask).map(spanPainter(process.stdout)).join('')}\n`)
  }
}

function trainedOf(mask: ArrayLike<number>): number {
  let trained = 0
  for (let i = 0; i < mask.length; i++) trained += mask[i]!
  return trained
}
