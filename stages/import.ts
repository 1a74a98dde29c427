/**
 * import: a shard of an output folder → token block and its index.
 *
 * In:  the shard's files (`tokens.0`, `mask.0`, …), and those of the shards after it (`tokens.1`, …) where a
 *      conversation may go on in them. Out: every conversation that begins in the shard, whole, in order.
 * Formats that keep conversations apart tell where they begin; in the others each begins with BOS, and their number
 * has to be the one that the folder's manifest has: then no BOS stands inside one.
 */
import { ShardmillError } from '../errors/index.ts'
import type { StageCall } from '../pipeline/stage.ts'
import type { Json } from '../store/types.ts'
import { defineStage, input, paramsOf, together } from './define-stage.ts'
import { BlobFile } from './outputs/byte-files.ts'
import { checkValues } from './outputs/check-values.ts'
import type { Dtype, Piece, ShardReader } from './outputs/define-output.ts'
import { outputFormatOf } from './outputs/index.ts'
import { TokenBlockWriter, TokenWriter } from './token-block.ts'

interface Params {
  readonly dtype: Dtype
  readonly vocabularySize: number
  /** Absent: conversations begin with any token. */
  readonly bosId?: number
  /** Absent: llm.c pairs. */
  readonly output?: Json
  /** That begin in the shard, by the manifest. */
  readonly conversations: number
}

/** Tokens of the next shard that are read at a time, to find where its first conversation begins. */
const restTokens = 1 << 14

export const importShard = defineStage({
  name: 'import',
  async run(call, { store, signal, progress, settling }) {
    const { dtype, vocabularySize, bosId, output, conversations } = paramsOf<Params>(call)
    const { format, options } = outputFormatOf(output)
    const opened: BlobFile[] = []
    const openShard = async (i: number) => {
      const files: Record<string, BlobFile> = {}
      for (const { role } of format.files) {
        const digest = input(call, `${role}.${i}`)
        files[role] = new BlobFile(
          store,
          digest,
          nameOf(call, `${role}.${i}`),
          (await store.statBlob(digest)) ?? 0,
        )
        opened.push(files[role])
      }
      return format.open(files, { dtype, bosId: bosId ?? 0, options })
    }
    const main = format.files[0]!.role
    const shards = Object.keys(call.inputs).filter((name) => name.startsWith(`${main}.`)).length
    const names = { tokens: nameOf(call, `${main}.0`), mask: nameOf(call, `mask.0`) }
    const writer = await store.createBlob()
    try {
      const rows = new Rows(new TokenBlockWriter(writer, vocabularySize > 65536 ? 4 : 2), bosId)
      const reader = await openShard(0)
      let at = 0
      for await (const piece of reader.pieces()) {
        signal.throwIfAborted()
        checkValues(piece, vocabularySize, at, names)
        rows.add(piece)
        await rows.block.flushIfFull()
        at += piece.ids.length
        progress.tokens(piece.ids.length)
        progress.done(rows.block.rows)
      }
      for (let i = 1; i < shards && rows.open; i++) await rows.addRest(await openShard(i))
      rows.close()
      for (const file of opened) await file.end()
      if (rows.block.rows !== conversations)
        throw new ShardmillError(
          'VERIFY',
          `has ${rows.block.rows} conversations${bosId === undefined ? '' : ` that begin with token ${bosId}`}, its manifest says ${conversations}: they cannot be told apart`,
          {
            at: { file: names.tokens },
            hint: 'Build its folder with an output format that keeps conversations apart, for example output: { format: jsonl }.',
          },
        )
      progress.rows(rows.block.rows)
      const [block, index] = await together(rows.block.commit(settling), store.putBlob(rows.block.index()))
      return {
        outputs: { tokens: block, index },
        stats: { rows: rows.block.rows, tokens: rows.tokens, trainedTokens: rows.trained },
      }
    } catch (error) {
      // A blob that is not what its digest says is found out first, whatever it looked like to its reader.
      if (!signal.aborted) for (const file of opened) await file.end()
      throw error
    } finally {
      for (const file of opened) await file.close()
      await writer.abort()
    }
  },
})

/** The file's name for errors; names are no part of a key. */
function nameOf({ hints, title }: StageCall, input: string): string {
  const { files = {} } = (hints ?? {}) as { readonly files?: Readonly<Record<string, string>> }
  return files[input] ?? `${title}, ${input}`
}

/** Puts conversations together from what readers give, and into the block. */
class Rows {
  tokens = 0
  trained = 0
  /** Whether a conversation was begun that may go on. */
  open = false
  readonly block: TokenBlockWriter
  private readonly bosId: number | undefined
  private readonly row = new TokenWriter({ encode: () => 0 }, 2 ** 31 - 1)

  constructor(block: TokenBlockWriter, bosId: number | undefined) {
    this.block = block
    this.bosId = bosId
  }

  add(piece: Piece): void {
    const { ids, lengths } = piece
    if (lengths !== undefined) {
      let from = 0
      for (const length of lengths) {
        this.begin()
        this.append(piece, from, from + length)
        this.close()
        from += length
      }
      return
    }
    let from = 0
    for (let at = this.find(ids, 0); at >= 0; at = this.find(ids, at + 1)) {
      this.append(piece, from, at)
      this.close()
      this.begin()
      from = at
    }
    this.append(piece, from, ids.length)
  }

  /** What stands in the next shard before its first conversation. */
  async addRest({ range, tokens = 0 }: ShardReader): Promise<void> {
    if (range === undefined) return this.close()
    for (let from = 0; from < tokens; from += restTokens) {
      const piece = await range(from, Math.min(tokens, from + restTokens))
      const at = this.find(piece.ids, 0)
      this.append(piece, 0, at < 0 ? piece.ids.length : at)
      if (at >= 0) return this.close()
    }
  }

  close(): void {
    if (!this.open) return
    this.open = false
    const trained = this.row.end()
    this.block.add(this.block.rows, this.row, trained, false)
    this.tokens += this.row.length
    this.trained += trained
  }

  private find(ids: Piece['ids'], from: number): number {
    return this.bosId === undefined ? -1 : ids.indexOf(this.bosId, from)
  }

  private begin(): void {
    this.row.begin()
    this.open = true
  }

  /** Tokens before the first conversation belong to the shard before. */
  private append({ ids, mask }: Piece, from: number, to: number): void {
    if (!this.open) return
    for (let at = from; at < to; ) {
      const value = mask[at]!
      let end = at + 1
      while (end < to && mask[end] === value) end++
      this.row.tokens(ids, at, end, value === 0 ? 0 : 1)
      at = end
    }
  }
}
