/** What verifying a folder of kind sft checks: shard pairs, their numbering and counts, config.json. */
import { readFile } from 'node:fs/promises'
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
import { CheckedFile } from './checked-file.ts'
import type { Checked, CheckedFolder } from './kinds/define-kind.ts'
import type { SftFacts } from './kinds/sft.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import { configName, manifestName } from './names.ts'

const windowTokens = 1 << 20

type SftManifest = Manifest & SftFacts

export async function checkSft(folder: CheckedFolder): Promise<Checked> {
  const { dir, problem, report, signal } = folder
  const manifest = folder.manifest as SftManifest
  const checked = { tokens: 0, trained: 0, shards: 0 }
  for (const file of manifest.files) {
    signal.throwIfAborted()
    if (file.role === 'mask') continue
    if (file.role !== 'tokens') {
      await folder.digest(file)
      continue
    }
    const mask = manifest.files.find(
      (other) => other.role === 'mask' && other.path === file.path.replace(/\.bin$/, '_mask.bin'),
    )
    if (mask === undefined) {
      problem(file, 'has no mask file in the manifest')
      continue
    }
    try {
      const { tokens, trained } = await verifyPair(dir, file, mask, manifest, problem, report, signal)
      checked.tokens += tokens
      checked.trained += trained
      checked.shards++
    } catch (error) {
      if (!isShardmillError(error, 'VERIFY')) throw error
      problem(error.at?.file === mask.path ? mask : file, error.why)
    }
  }
  checkNumbering(manifest, problem)
  await checkConfig(dir, manifest, problem)
  return checked
}

async function verifyPair(
  dir: string,
  tokensFile: ManifestFile,
  maskFile: ManifestFile,
  manifest: SftManifest,
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

/** The first split from 0, the next going on after it, no gaps; tokens add up to what the splits say. */
function checkNumbering(manifest: SftManifest, problem: (file: string, why: string) => void): void {
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

async function checkConfig(
  dir: string,
  manifest: SftManifest,
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
