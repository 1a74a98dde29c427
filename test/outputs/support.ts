/** The golden recipe in any output format, built here, and its shards read back. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BuildOutcome, build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { startHubServer } from '../../hub/server/index.ts'
import { asSft, formatOf, mainFiles, namesOfShard } from '../../output/find-shard.ts'
import { readManifest } from '../../output/manifest.ts'
import { DiskFile } from '../../stages/outputs/byte-files.ts'

export const golden = join(import.meta.dirname, '../fixtures/golden-sft')

export const recipe = (extra: string, maxSeqLen = 64) => `
kind: sft
name: formats
tokenizer: { kind: nanochat, path: tokenizer.pkl }
template: nanochat
maxSeqLen: ${maxSeqLen}
shardTokens: 400
onBadRow: quarantine
${extra}
splits:
  val:
    - { task: smoltalk, split: test }
    - { task: gsm8k, subset: main, split: test, stop: 2 }
  train:
    - { task: smoltalk, split: train }
    - { task: gsm8k, subset: main, split: train, repeat: 2 }
    - { task: simple_spelling, size: 12, words: words.txt }
`

export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), 'shardmill-formats-'))
  private server: Awaited<ReturnType<typeof startHubServer>> | undefined

  async build(
    name: string,
    extra: string,
    maxSeqLen?: number,
    edit: (text: string) => string = (text) => text,
  ): Promise<BuildOutcome & { out: string }> {
    this.server ??= await startHubServer(join(golden, 'hub'), {})
    const out = join(this.dir, name)
    const outcome = await build({
      recipe: { text: edit(recipe(extra, maxSeqLen)), file: join(golden, 'recipe.yaml'), settings: [] },
      out,
      store: join(this.dir, 'store'),
      threads: 2,
      env: { HF_ENDPOINT: this.server.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
      signal: new AbortController().signal,
      observer: silentObserver,
    })
    return { ...outcome, out }
  }

  async close(): Promise<void> {
    await this.server?.close()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export interface ReadSplit {
  readonly shards: number
  /** Tokens and masks of the split, one after the other. */
  readonly ids: number[]
  readonly mask: number[]
  /** Tokens of each conversation, where the format keeps them apart. */
  readonly lengths: number[]
}

/** A split of an output folder, as the format's own reader gives it. */
export async function readSplit(dir: string, split: string): Promise<ReadSplit> {
  const manifest = asSft((await readManifest(dir))!, dir)
  const { format, facts } = formatOf(manifest)
  const read: ReadSplit = { shards: mainFiles(manifest, split).length, ids: [], mask: [], lengths: [] }
  for (const { path, tokens } of mainFiles(manifest, split)) {
    const files: Record<string, DiskFile> = {}
    for (const [role, name] of Object.entries(namesOfShard(dir, path, manifest))) {
      files[role] = await DiskFile.open(join(dir, name), name)
    }
    const before = read.ids.length
    for await (const piece of (await format.open(files, facts)).pieces()) {
      for (const id of piece.ids) read.ids.push(id)
      for (const value of piece.mask) read.mask.push(value)
      for (const length of piece.lengths ?? []) read.lengths.push(length)
    }
    if (read.ids.length - before !== tokens) throw new Error(`${path} has not the tokens of its manifest`)
    for (const file of Object.values(files)) await file.close()
  }
  return read
}
