/**
 * The conversations blob: what format writes and tokenize reads. Frames of columns, so that a reader holds one
 * frame (a few MB) and never makes an object per message; text stays UTF-8 bytes.
 *
 *   file   = "SMCONV01", frame*, end frame (all counts 0)
 *   frame  = u32 LE × 6 {rows, messages, parts, textBytes, 0, 0}, then, each padded to 4 bytes:
 *            sourceRow u32[rows]           row (parquet), line (JSON lines) or item number in the source
 *            rowMessages u32[rows+1]       row r has messages rowMessages[r] .. rowMessages[r+1])
 *            messageKind u8[messages]      role (0 system, 1 user, 2 assistant) | 4 when the content is a list of parts
 *            messageParts u32[messages+1]
 *            partType u8[parts]            0 text, 1 python, 2 python_output
 *            partText u32[parts+1]         byte offsets into text
 *            text u8[textBytes]
 */
import { ScratchBytes } from '../memory/buffers.ts'
import type { BlobRef, BlobWriter, Digest, Store } from '../store/types.ts'
import { BlobCursor } from './blob-cursor.ts'

export const roles = ['system', 'user', 'assistant'] as const
export const partTypes = ['text', 'python', 'python_output'] as const
export type PartType = (typeof partTypes)[number]
export const roleOf = { system: 0, user: 1, assistant: 2 } as const
export const partTypeOf = { text: 0, python: 1, python_output: 2 } as const
/** Set in messageKind when the content is a list of parts instead of a string. */
export const listContent = 4

const magic = 'SMCONV01'
const headerBytes = 24
/** A frame is closed once it holds this much. */
const frameTextBytes = 2 << 20
const frameRows = 1 << 15
/** Characters of a text that is copied one by one while they are ASCII. */
const shortString = 96

/** A run of conversations in columns; see the file's head. */
export interface ConversationFrame {
  readonly rows: number
  readonly sourceRow: Uint32Array
  readonly rowMessages: Uint32Array
  readonly messageKind: Uint8Array
  readonly messageParts: Uint32Array
  readonly partType: Uint8Array
  readonly partText: Uint32Array
  readonly text: Uint8Array
}

/**
 * Builds conversations row by row, without objects: beginRow, then messages and their text, then endRow — or
 * dropRow, which forgets the row begun. `flushIfFull` between rows keeps memory bounded.
 */
export class ConversationWriter {
  rows = 0
  private readonly writer: BlobWriter
  private started = false
  private sourceRow = new Uint32Array(1024)
  private rowMessages = new Uint32Array(1025)
  private messageKind = new Uint8Array(4096)
  private messageParts = new Uint32Array(4097)
  private partType = new Uint8Array(4096)
  private partText = new Uint32Array(4097)
  private readonly textMemory = new ScratchBytes(frameTextBytes)
  private text = this.textMemory.bytes
  /** The frame as it is written, used again for the next. */
  private readonly frame = new ScratchBytes()
  private frameRowCount = 0
  private messages = 0
  private parts = 0
  private textBytes = 0
  private rowFirstMessage = 0
  private rowFirstPart = 0
  private rowFirstByte = 0

  constructor(writer: BlobWriter) {
    this.writer = writer
  }

  beginRow(sourceRow: number): void {
    if (this.frameRowCount === this.sourceRow.length) {
      this.sourceRow = grown(this.sourceRow)
      this.rowMessages = grown(this.rowMessages)
    }
    this.sourceRow[this.frameRowCount] = sourceRow
    this.rowFirstMessage = this.messages
    this.rowFirstPart = this.parts
    this.rowFirstByte = this.textBytes
  }

  /** A message whose content is a string: follow with `append` calls. */
  beginMessage(role: number): void {
    this.pushMessage(role)
    this.pushPart(0)
  }

  /** A message whose content is a list of parts: follow with beginPart and `append` calls. */
  beginListMessage(role: number): void {
    this.pushMessage(role | listContent)
  }

  beginPart(type: number): void {
    this.pushPart(type)
  }

  /** Appends UTF-8 bytes to the message or part begun last. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.reserveText(length)
    if (length < 24) {
      for (let i = 0; i < length; i++) this.text[this.textBytes + i] = bytes[start + i]!
    } else {
      this.text.set(bytes.subarray(start, end), this.textBytes)
    }
    this.textBytes += length
  }

  appendString(text: string): void {
    const { length } = text
    this.reserveText(length * 3)
    if (length <= shortString) {
      // without a call and a view for each of the many short texts of generated rows
      const { text: bytes, textBytes: start } = this
      let i = 0
      for (; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code >= 0x80) break
        bytes[start + i] = code
      }
      if (i === length) {
        this.textBytes += length
        return
      }
    }
    this.textBytes += encoder.encodeInto(text, this.text.subarray(this.textBytes)).written
  }

  dropRow(): void {
    this.messages = this.rowFirstMessage
    this.parts = this.rowFirstPart
    this.textBytes = this.rowFirstByte
  }

  endRow(): void {
    this.frameRowCount++
    this.rowMessages[this.frameRowCount] = this.messages
    this.messageParts[this.messages] = this.parts
    this.partText[this.parts] = this.textBytes
    this.rows++
  }

  async flushIfFull(): Promise<void> {
    if (this.textBytes >= frameTextBytes || this.frameRowCount >= frameRows) await this.flush()
  }

  /** Makes the blob durable; `onWritten` is told when only the disk is waited for. */
  async commit(onWritten?: () => void): Promise<BlobRef> {
    if (this.frameRowCount > 0) await this.flush()
    await this.start()
    await this.writer.write(new Uint8Array(headerBytes))
    this.free()
    onWritten?.()
    return this.writer.commit()
  }

  private free(): void {
    this.textMemory.free()
    this.text = this.textMemory.bytes
    this.frame.free()
  }

  private pushMessage(kind: number): void {
    if (this.messages === this.messageKind.length) {
      this.messageKind = grown(this.messageKind)
      this.messageParts = grown(this.messageParts)
    }
    this.messageKind[this.messages] = kind
    this.messageParts[this.messages] = this.parts
    this.messages++
  }

  private pushPart(type: number): void {
    if (this.parts === this.partType.length) {
      this.partType = grown(this.partType)
      this.partText = grown(this.partText)
    }
    this.partType[this.parts] = type
    this.partText[this.parts] = this.textBytes
    this.parts++
  }

  private reserveText(more: number): void {
    const needed = this.textBytes + more
    if (needed <= this.text.length) return
    this.text = this.textMemory.reserve(needed, this.textBytes)
  }

  private async start(): Promise<void> {
    if (this.started) return
    this.started = true
    await this.writer.write(encoder.encode(magic))
  }

  private async flush(): Promise<void> {
    await this.start()
    const { frameRowCount: rows, messages, parts, textBytes } = this
    const size =
      headerBytes +
      4 * (2 * rows + 1) +
      pad4(messages) +
      4 * (messages + 1) +
      pad4(parts) +
      4 * (parts + 1) +
      pad4(textBytes)
    const frame = this.frame.reserve(size, 0).subarray(0, size)
    const header = new Uint32Array(headerBytes / 4)
    header.set([rows, messages, parts, textBytes])
    frame.set(new Uint8Array(header.buffer), 0)
    let at = headerBytes
    const put = (column: Uint8Array | Uint32Array) => {
      frame.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at)
      const next = at + pad4(column.byteLength)
      frame.fill(0, at + column.byteLength, next)
      at = next
    }
    put(this.sourceRow.subarray(0, rows))
    put(this.rowMessages.subarray(0, rows + 1))
    put(this.messageKind.subarray(0, messages))
    put(this.messageParts.subarray(0, messages + 1))
    put(this.partType.subarray(0, parts))
    put(this.partText.subarray(0, parts + 1))
    put(this.text.subarray(0, textBytes))
    await this.writer.write(frame)
    this.frameRowCount = 0
    this.messages = 0
    this.parts = 0
    this.textBytes = 0
  }
}

/**
 * The frames of a conversations blob, in order; checked against its digest on the way (or see ReadOptions.hashedAs). A frame is good until the next
 * one is asked for.
 */
export async function* readConversations(
  store: Pick<Store, 'readBlob'>,
  digest: Digest,
  hashedAs?: string,
): AsyncGenerator<ConversationFrame> {
  const cursor = new BlobCursor(store.readBlob(digest, { reuse: true, hashedAs, last: true }), digest)
  try {
    yield* framesOf(cursor, digest)
  } finally {
    await cursor.close()
  }
}

async function* framesOf(cursor: BlobCursor, digest: Digest): AsyncGenerator<ConversationFrame> {
  const head = await cursor.take(8)
  if (new TextDecoder().decode(head) !== magic) throw new TypeError(`blob ${digest} holds no conversations`)
  for (;;) {
    const header = await cursor.take(headerBytes)
    const [rows, messages, parts, textBytes] = new Uint32Array(
      header.buffer,
      header.byteOffset,
      4,
    ) as unknown as [number, number, number, number]
    if (rows === 0) break
    const size =
      4 * (2 * rows + 1) +
      pad4(messages) +
      4 * (messages + 1) +
      pad4(parts) +
      4 * (parts + 1) +
      pad4(textBytes)
    const frame = await cursor.take(size)
    let at = frame.byteOffset
    const take32 = (length: number) => {
      const column = new Uint32Array(frame.buffer, at, length)
      at += 4 * length
      return column
    }
    const take8 = (length: number) => {
      const column = new Uint8Array(frame.buffer, at, length)
      at += pad4(length)
      return column
    }
    yield {
      rows,
      sourceRow: take32(rows),
      rowMessages: take32(rows + 1),
      messageKind: take8(messages),
      messageParts: take32(messages + 1),
      partType: take8(parts),
      partText: take32(parts + 1),
      text: take8(textBytes),
    }
  }
  await cursor.end()
}

const encoder = new TextEncoder()

function pad4(length: number): number {
  return (length + 3) & ~3
}

function grown<T extends Uint8Array | Uint32Array>(column: T): T {
  const next = new (column.constructor as new (length: number) => T)(column.length * 2)
  next.set(column)
  return next
}
