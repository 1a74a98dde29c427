import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Column, ColumnType } from '../../parquet/columns.ts'
import { openByteSource, openParquet, readParquet } from '../../parquet/index.ts'
import { Random } from '../corpus/random.ts'
import { TextSampler } from '../corpus/text.ts'
import { loadWords } from '../corpus/words.ts'

/** About 1 MB of messages, no two of them equal, in this chunk or another. */
export interface Chunk {
  readonly texts: readonly string[]
  /** The same as UTF-8, back to back. */
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
  /** ASCII all but entirely. */
  readonly englishOrCode: boolean
}

/**
 * Chunks of mixed text: half of them from the chat dataset where there is one, a quarter each of what the installed
 * packages hold and of generated text. Each is English and code, or whatever comes.
 */
export async function loadChunks(megabytes: number): Promise<Chunk[]> {
  const random = new Random(7)
  const texts = [...(await chatMessages()), ...packageTexts()]
  for (let i = texts.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[texts[i], texts[j]] = [texts[j]!, texts[i]!]
  }
  const generated = generate(megabytes)
  const seen = new Set<string>()
  const plain: string[] = []
  const any: string[] = []
  for (let i = 0; i < Math.max(texts.length, generated.length); i++) {
    for (const text of [texts[i], generated[i]]) {
      if (text === undefined || text === '' || seen.has(text)) continue
      seen.add(text)
      if (/^[\x00-\x7f]*$/.test(text) && i % 2 === 0) plain.push(text)
      else any.push(text)
    }
  }
  const chunks: Chunk[] = []
  const count = Math.ceil(megabytes / 2)
  const left = [chunksOf(plain, true, count), chunksOf(any, false, count)]
  for (let i = 0; i < count; i++) for (const list of left) if (list[i] !== undefined) chunks.push(list[i]!)
  return chunks
}

function chunksOf(texts: readonly string[], englishOrCode: boolean, most: number): Chunk[] {
  const chunks: Chunk[] = []
  for (let i = 0; i < texts.length && chunks.length < most; ) {
    const part: string[] = []
    for (let size = 0; size < 1e6 && i < texts.length; i++) {
      part.push(texts[i]!)
      size += Buffer.byteLength(texts[i]!)
    }
    const parts = part.map((text) => Buffer.from(text, 'utf8'))
    const offsets = new Uint32Array(parts.length + 1)
    for (const [index, bytes] of parts.entries()) offsets[index + 1] = offsets[index]! + bytes.length
    chunks.push({ texts: part, bytes: Uint8Array.from(Buffer.concat(parts)), offsets, englishOrCode })
  }
  return chunks
}

function generate(megabytes: number): string[] {
  const random = new Random(11)
  const sampler = new TextSampler(loadWords(), random)
  const texts: string[] = []
  for (let size = 0; size < (megabytes / 4) * 1e6; ) {
    sampler.clear()
    sampler.message(Math.min(20_000, 20 + Math.floor(random.logNormal(300, 1.1))))
    texts.push(Buffer.from(sampler.bytes.subarray(0, sampler.length)).toString('utf8'))
    size += sampler.length
  }
  return texts
}

/** Scripts, declarations and documentation of the installed packages, cut into messages. */
function packageTexts(): string[] {
  const root = dirname(dirname(fileURLToPath(import.meta.resolve('tiktoken'))))
  const texts: string[] = []
  let size = 0
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(js|ts|mjs|cjs|md)$/.test(entry.name) || size > 12e6) continue
    const text = readFileSync(join(entry.parentPath, entry.name), 'utf8')
    if (text.length > 150_000) continue
    for (let at = 0; at < text.length; at += 1500) texts.push(text.slice(at, at + 1500))
    size += text.length
  }
  return texts
}

async function chatMessages(): Promise<string[]> {
  const folder = fileURLToPath(
    new URL('../../../../shared/hub/datasets/HuggingFaceTB/smol-smoltalk/data', import.meta.url),
  )
  if (!existsSync(folder)) return []
  const string: ColumnType = { kind: 'string' }
  const messages: ColumnType = { kind: 'list', item: { kind: 'struct', fields: { content: string } } }
  const texts: string[] = []
  for (const name of readdirSync(folder).sort()) {
    const source = openByteSource(join(folder, name), name)
    const file = await openParquet(source)
    for await (const batch of readParquet(file, { from: 0, to: file.rowGroups.length }, { messages })) {
      const { bytes, offsets } = contentOf(batch.columns['messages']!)
      for (let i = 0; i + 1 < offsets.length; i++) {
        texts.push(
          Buffer.from(bytes.buffer, bytes.byteOffset + offsets[i]!, offsets[i + 1]! - offsets[i]!).toString(),
        )
      }
    }
    source.close()
  }
  return texts
}

function contentOf(column: Column) {
  if (column.kind !== 'list' || column.item.kind !== 'struct') throw new Error('not a list of structs')
  const { content } = column.item.fields
  if (content?.kind !== 'string') throw new Error('no content')
  return content
}
