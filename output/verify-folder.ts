/**
 * Verifies an output folder from nothing but its own files: digests, heads, lengths, pairing, token range, mask
 * values, numbering and counts. Goes through all of it and lists every problem.
 */

import { createHash } from 'node:crypto'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import {
  checkValues,
  decodeHead,
  headBytes,
  shardNames,
  tokenWidth,
  valuesOf,
} from '../stages/outputs/llmc-bin.ts'
import { fileDigest } from './file-digest.ts'
import {
  configName,
  type Manifest,
  type ManifestFile,
  manifestName,
  provenanceName,
  readManifest,
} from './manifest.ts'
import { readProvenanceFile } from './provenance.ts'

export interface Problem {
  readonly file: string
  readonly why: string
  /** The stage that made the file, as `shard (train shard 3/9)` or its key. */
  readonly stage?: string
}

export interface FolderReport {
  readonly files: number
  readonly bytes: number
  readonly tokens: number
  readonly trainedTokens: number
  readonly shards: number
  readonly problems: readonly Problem[]
}

export interface VerifyOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (bytes: number, total: number) => void
}

const windowTokens = 1 << 20

export async function verifyFolder(dir: string, options: VerifyOptions): Promise<FolderReport> {
  const manifest = await readManifest(dir)
  if (manifest === undefined) {
    throw new ShardmillError('OUTPUT', `${dir} has no ${manifestName}`, {
      hint: 'Name a folder that `shardmill build --out` has written.',
    })
  }
  const problems: Problem[] = []
  const checked = { bytes: 0, tokens: 0, trained: 0, shards: 0 }
  const total = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
  const report = (bytes: number) => {
    checked.bytes += bytes
    options.onProgress?.(checked.bytes, total)
  }
  const problem = (file: ManifestFile | string, why: string) => {
    const path = typeof file === 'string' ? file : file.path
    const stage = typeof file === 'string' ? undefined : stageOf(manifest, file)
    problems.push({ file: join(dir, path), why, ...(stage === undefined ? {} : { stage }) })
  }

  for (const file of manifest.files) {
    options.signal.throwIfAborted()
    if (file.role === 'mask') continue
    if (file.role === 'tokens') {
      const mask = manifest.files.find(
        (other) => other.role === 'mask' && other.path === file.path.replace(/\.bin$/, '_mask.bin'),
      )
      if (mask === undefined) {
        problem(file, 'has no mask file in the manifest')
        continue
      }
      try {
        const { tokens, trained } = await verifyPair(
          dir,
          file,
          mask,
          manifest,
          problem,
          report,
          options.signal,
        )
        checked.tokens += tokens
        checked.trained += trained
        checked.shards++
      } catch (error) {
        if (!isShardmillError(error, 'VERIFY')) throw error
        problem(error.at?.file === mask.path ? mask : file, error.why)
      }
      continue
    }
    const digest = await fileDigest(join(dir, file.path)).catch(
      (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
    )
    if (typeof digest === 'string')
      problem(file, digest === 'ENOENT' ? 'is missing' : `cannot be read (${digest})`)
    else if (digest.sha256 !== file.sha256)
      problem(file, `has sha256 ${digest.sha256}, expected ${file.sha256}`)
    report(file.bytes)
  }
  checkNumbering(manifest, problem)
  await checkConfig(dir, manifest, problem)
  await checkProvenance(dir, problem)
  const known = new Set([manifestName, provenanceName, ...manifest.files.map(({ path }) => path)])
  for (const name of (await readdir(dir)).sort())
    if (!known.has(name)) problem(name, 'is not in the manifest')
  return {
    files: manifest.files.length,
    bytes: checked.bytes,
    tokens: checked.tokens,
    trainedTokens: checked.trained,
    shards: checked.shards,
    problems,
  }
}

function stageOf(manifest: Manifest, file: ManifestFile): string | undefined {
  const stage = manifest.stages.find(({ key }) => key === file.stage)
  return stage === undefined ? undefined : `${stage.stage} ${stage.key.slice(0, 16)}`
}

async function verifyPair(
  dir: string,
  tokensFile: ManifestFile,
  maskFile: ManifestFile,
  manifest: Manifest,
  problem: (file: ManifestFile, why: string) => void,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<{ tokens: number; trained: number }> {
  const tokens = await CheckedFile.open(dir, tokensFile)
  const mask = await CheckedFile.open(dir, maskFile).catch(async (error) => {
    await tokens.close()
    throw error
  })
  try {
    const [head, maskHead] = [
      decodeHead(await tokens.take(headBytes), tokens.size, tokensFile.path),
      decodeHead(await mask.take(headBytes), mask.size, maskFile.path),
    ]
    const fail = (file: ManifestFile, why: string): never => {
      throw new ShardmillError('VERIFY', why, { at: { file: file.path } })
    }
    if (head.dtype !== manifest.dtype) fail(tokensFile, `is ${head.dtype}, expected ${manifest.dtype}`)
    if (maskHead.dtype !== head.dtype)
      fail(maskFile, `is ${maskHead.dtype}, but its token file is ${head.dtype}`)
    if (maskHead.tokens !== head.tokens)
      fail(maskFile, `has ${maskHead.tokens} values, but its token file has ${head.tokens}`)
    if (tokensFile.tokens !== head.tokens)
      fail(tokensFile, `has ${head.tokens} tokens, the manifest says ${tokensFile.tokens}`)
    const width = tokenWidth(head.dtype)
    let trained = 0
    for (let at = 0; at < head.tokens; at += windowTokens) {
      signal.throwIfAborted()
      const count = Math.min(windowTokens, head.tokens - at)
      const ids = valuesOf(await tokens.take(count * width), head.dtype)
      const values = valuesOf(await mask.take(count * width), head.dtype)
      trained += checkValues(ids, values, manifest.vocabularySize, at, {
        tokens: tokensFile.path,
        mask: maskFile.path,
      })
      report(2 * count * width)
    }
    for (const [open, file] of [
      [tokens, tokensFile],
      [mask, maskFile],
    ] as const) {
      const digest = open.digest()
      if (digest !== file.sha256) problem(file, `has sha256 ${digest}, expected ${file.sha256}`)
    }
    return { tokens: head.tokens, trained }
  } finally {
    await tokens.close()
    await mask.close()
  }
}

/** A file read once from front to back, hashed on the way. */
class CheckedFile {
  readonly size: number
  private readonly file: Awaited<ReturnType<typeof open>>
  private readonly hash = createHash('sha256')

  private constructor(file: Awaited<ReturnType<typeof open>>, size: number) {
    this.file = file
    this.size = size
  }

  static async open(dir: string, { path, bytes }: ManifestFile): Promise<CheckedFile> {
    let size: number
    try {
      size = (await stat(join(dir, path))).size
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ShardmillError('VERIFY', code === 'ENOENT' ? 'is missing' : `cannot be read (${code})`, {
        at: { file: path },
      })
    }
    if (size !== bytes)
      throw new ShardmillError('VERIFY', `is ${size} bytes long, the manifest says ${bytes}`, {
        at: { file: path },
      })
    return new CheckedFile(await open(join(dir, path), 'r'), size)
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(length, this.size))
    let done = 0
    while (done < bytes.length) {
      const { bytesRead } = await this.file.read(bytes, done, bytes.length - done, null)
      if (bytesRead === 0) break
      done += bytesRead
    }
    this.hash.update(bytes.subarray(0, done))
    return bytes.subarray(0, done)
  }

  digest(): string {
    return this.hash.digest('hex')
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

/** The first split from 0, the next going on after it, no gaps; tokens add up to what the splits say. */
function checkNumbering(manifest: Manifest, problem: (file: string, why: string) => void): void {
  let number = 0
  for (const [split, said] of Object.entries(manifest.splits)) {
    const facts = said as { shards?: number; tokens?: number } | undefined
    const shards = manifest.files.filter((file) => file.role === 'tokens' && file.split === split)
    for (const file of shards) {
      const expected = shardNames(split, number++).tokens
      if (file.path !== expected) problem(file.path, `stands where ${expected} was expected`)
    }
    const tokens = shards.reduce((sum, file) => sum + (file.tokens ?? 0), 0)
    if (facts?.shards !== shards.length)
      problem(manifestName, `says ${facts?.shards} shards for ${split}, but lists ${shards.length}`)
    if (facts?.tokens !== tokens)
      problem(manifestName, `says ${facts?.tokens} tokens for ${split}, but its shards have ${tokens}`)
  }
}

/** The file may be absent (it names machines and users); one that is there must be whole. */
async function checkProvenance(dir: string, problem: (file: string, why: string) => void): Promise<void> {
  const there = (await readdir(dir)).includes(provenanceName)
  if (there && (await readProvenanceFile(dir)) === undefined)
    problem(provenanceName, 'does not have the digest that its last line names')
}

async function checkConfig(
  dir: string,
  manifest: Manifest,
  problem: (file: string, why: string) => void,
): Promise<void> {
  let config: Record<string, unknown>
  try {
    config = JSON.parse(await readFile(join(dir, configName), 'utf8')) as Record<string, unknown>
  } catch {
    return // missing or damaged: its digest has told already
  }
  for (const [split, said] of Object.entries(manifest.splits)) {
    const facts = said as Record<string, unknown>
    for (const name of ['conversations', 'tokens', 'shards', 'truncated']) {
      if (config[`${split}_${name}`] !== facts[name])
        problem(
          configName,
          `says ${split}_${name} ${String(config[`${split}_${name}`])}, the manifest ${String(facts[name])}`,
        )
    }
  }
  if (config['vocab_size'] !== manifest.vocabularySize)
    problem(
      configName,
      `says vocab_size ${String(config['vocab_size'])}, the manifest ${manifest.vocabularySize}`,
    )
}
