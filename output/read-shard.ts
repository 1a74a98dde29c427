/** Conversations out of a shard pair, found by their BOS. */
import { open, stat } from 'node:fs/promises'
import { ShardmillError } from '../errors/index.ts'
import { type Dtype, decodeHead, headBytes, tokenWidth, valuesOf } from '../stages/outputs/llmc-bin.ts'

export interface ShardConversation {
  /** Position of its first token in the shard. */
  readonly start: number
  readonly ids: Uint16Array | Uint32Array
  readonly mask: Uint16Array | Uint32Array
  /** False when it begins before or ends after this shard. */
  readonly whole: boolean
}

const stepTokens = 1 << 16

/** `conversations` conversations from the one that holds token `at`; reads no more of the files than that needs. */
export async function readShard(
  path: string,
  wanted: { at: number; conversations: number; bosId: number },
): Promise<{ dtype: Dtype; tokens: number; conversations: ShardConversation[] }> {
  if (/_mask\.bin$/.test(path))
    throw new ShardmillError('USAGE', `${path} is a mask shard`, {
      hint: `Name its token shard: ${path.replace(/_mask\.bin$/, '.bin')}`,
    })
  const tokens = await ShardFile.open(path)
  try {
    const mask = await ShardFile.open(path.replace(/\.bin$/, '_mask.bin'))
    try {
      if (mask.tokens !== tokens.tokens || mask.dtype !== tokens.dtype)
        throw new ShardmillError(
          'VERIFY',
          'does not belong to its token shard: they differ in length or type',
          { at: { file: mask.path } },
        )
      if (wanted.at >= tokens.tokens)
        throw new ShardmillError(
          'USAGE',
          `--at ${wanted.at} is past the end: ${path} has ${tokens.tokens} tokens`,
        )
      const conversations: ShardConversation[] = []
      let start = await tokens.lastBefore(wanted.at, wanted.bosId)
      while (conversations.length < wanted.conversations && start < tokens.tokens) {
        const end = await tokens.next(start + 1, wanted.bosId)
        const ids = await tokens.read(start, end)
        conversations.push({
          start,
          ids,
          mask: await mask.read(start, end),
          whole: ids[0] === wanted.bosId && end < tokens.tokens,
        })
        start = end
      }
      return { dtype: tokens.dtype, tokens: tokens.tokens, conversations }
    } finally {
      await mask.close()
    }
  } finally {
    await tokens.close()
  }
}

class ShardFile {
  readonly path: string
  readonly dtype: Dtype
  readonly tokens: number
  private readonly file: Awaited<ReturnType<typeof open>>

  private constructor(
    path: string,
    file: Awaited<ReturnType<typeof open>>,
    head: { dtype: Dtype; tokens: number },
  ) {
    this.path = path
    this.file = file
    this.dtype = head.dtype
    this.tokens = head.tokens
  }

  static async open(path: string): Promise<ShardFile> {
    let file: Awaited<ReturnType<typeof open>>
    try {
      file = await open(path, 'r')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ShardmillError(
        'OUTPUT',
        `${path}: ${code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`}`,
        { hint: 'Name a token shard in a folder that `shardmill build --out` has written.' },
      )
    }
    try {
      const head = new Uint8Array(headBytes)
      const { bytesRead } = await file.read(head, 0, headBytes, 0)
      return new ShardFile(path, file, decodeHead(head.subarray(0, bytesRead), (await stat(path)).size, path))
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async read(from: number, to: number): Promise<Uint16Array | Uint32Array> {
    const width = tokenWidth(this.dtype)
    const bytes = new Uint8Array((to - from) * width)
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.file.read(
        bytes,
        done,
        bytes.length - done,
        headBytes + from * width + done,
      )
      if (bytesRead === 0) throw new ShardmillError('VERIFY', 'ends early', { at: { file: this.path } })
      done += bytesRead
    }
    return valuesOf(bytes, this.dtype)
  }

  /** The last `id` at or before `at`, or 0. */
  async lastBefore(at: number, id: number): Promise<number> {
    for (let end = at + 1; end > 0; end -= stepTokens) {
      const from = Math.max(0, end - stepTokens)
      const found = (await this.read(from, end)).lastIndexOf(id)
      if (found >= 0) return from + found
    }
    return 0
  }

  /** The first `id` at or after `from`, or the end. */
  async next(from: number, id: number): Promise<number> {
    for (let at = from; at < this.tokens; at += stepTokens) {
      const found = (await this.read(at, Math.min(this.tokens, at + stepTokens))).indexOf(id)
      if (found >= 0) return at + found
    }
    return this.tokens
  }

  close(): Promise<void> {
    return this.file.close()
  }
}
