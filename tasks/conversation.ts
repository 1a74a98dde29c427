/**
 * Conversations as objects, in the shape of nanochat's tasks. They are written by the sources' own row functions, as
 * a build writes them, and read back from there: what a task shows is what a shard holds.
 */
import {
  type ConversationFrame,
  ConversationWriter,
  listContent,
  type PartType,
  partTypeOf,
  partTypes,
  readConversations,
  roleOf,
  roles,
} from '../stages/conversations.ts'
import { BadRow } from '../stages/sources/define-source.ts'
import type { BlobWriter, Digest } from '../store/types.ts'

export interface Part {
  readonly type: PartType
  readonly text: string
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  /** A list of parts only from the assistant: text, calls of a Python tool, and what they gave. */
  readonly content: string | readonly Part[]
}

export interface Conversation {
  readonly messages: readonly Message[]
  /** ARC, MMLU: the labels of the choices, one of which is the answer. */
  readonly letters?: readonly string[]
  /** MMLU. */
  readonly subject?: string
  /** HumanEval: the function that the tests call. */
  readonly entry_point?: string
  /** HumanEval: Python source that defines `check(candidate)`. */
  readonly test?: string
}

/** Conversations that were written one after the other. */
export interface Written {
  /** The messages of conversation `i`; throws the BadRow that writing it threw. */
  messages(i: number): Message[]
}

/** Writes conversations 0 to `count` with a row function; those that it refuses are kept as what it said. */
export async function writeRows(
  count: number,
  write: (i: number, out: ConversationWriter) => void,
): Promise<Written> {
  const chunks: Uint8Array[] = []
  const out = new ConversationWriter(memoryBlob(chunks))
  const refused = new Map<number, BadRow>()
  for (let i = 0; i < count; i++) {
    out.beginRow(i)
    try {
      write(i, out)
      out.endRow()
    } catch (error) {
      if (!(error instanceof BadRow)) throw error
      out.dropRow()
      refused.set(i, error)
    }
    if ((i & 63) === 63) await out.flushIfFull()
  }
  await out.commit()
  const frames: ConversationFrame[] = []
  // A frame is good until the next one is read.
  for await (const frame of framesOf(chunks)) frames.push(structuredClone(frame))
  const frameAt = new Uint32Array(count)
  const rowAt = new Uint32Array(count)
  frames.forEach(({ sourceRow, rows }, f) => {
    for (let row = 0; row < rows; row++) {
      frameAt[sourceRow[row]!] = f
      rowAt[sourceRow[row]!] = row
    }
  })
  return {
    messages(i) {
      const error = refused.get(i)
      if (error !== undefined) throw error
      return messagesOf(frames[frameAt[i]!]!, rowAt[i]!)
    },
  }
}

/** Messages as a frame with one row, for chat templates. */
export async function frameOf(messages: readonly Message[]): Promise<ConversationFrame> {
  const chunks: Uint8Array[] = []
  const out = new ConversationWriter(memoryBlob(chunks))
  out.beginRow(0)
  for (const { role, content } of messages) {
    if (typeof content === 'string') {
      out.beginMessage(roleOf[role])
      out.appendString(content)
      continue
    }
    out.beginListMessage(roleOf[role])
    for (const { type, text } of content) {
      out.beginPart(partTypeOf[type])
      out.appendString(text)
    }
  }
  out.endRow()
  await out.commit()
  // A frame is good only while it is being read.
  for await (const frame of framesOf(chunks)) return structuredClone(frame)
  throw new TypeError('a row was written, yet there is no frame')
}

/** Row `row` of a frame as messages. */
function messagesOf(frame: ConversationFrame, row: number): Message[] {
  const { rowMessages, messageKind, messageParts, partType, partText, text } = frame
  const textOf = (p: number) =>
    Buffer.from(text.buffer, text.byteOffset + partText[p]!, partText[p + 1]! - partText[p]!).toString('utf8')
  const messages: Message[] = []
  for (let m = rowMessages[row]!; m < rowMessages[row + 1]!; m++) {
    const kind = messageKind[m]!
    const first = messageParts[m]!
    const parts = Array.from({ length: messageParts[m + 1]! - first }, (_, p) => ({
      type: partTypes[partType[first + p]!]!,
      text: textOf(first + p),
    }))
    messages.push({
      role: roles[kind & 3]!,
      content: (kind & listContent) === 0 ? parts[0]!.text : parts,
    })
  }
  return messages
}

/** Names no blob: it is only for errors, and what is in memory has none. */
const inMemory = 'in memory' as Digest

function memoryBlob(chunks: Uint8Array[]): BlobWriter {
  let bytes = 0
  return {
    async write(chunk) {
      chunks.push(chunk.slice())
      bytes += chunk.length
    },
    get bytes() {
      return bytes
    },
    async commit() {
      return { digest: inMemory, bytes }
    },
    async abort() {},
  }
}

function framesOf(chunks: readonly Uint8Array[]): AsyncGenerator<ConversationFrame> {
  async function* stream() {
    yield* chunks
  }
  return readConversations({ readBlob: stream }, inMemory)
}
